"""Types, numerical kernels, configuration and version shims, on which every other package depends."""
