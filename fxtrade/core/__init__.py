"""Layer 0: types, numerical kernels, configuration and version shims, on which every other package depends."""
