"""Floor 0: the types, numerical kernels, configuration and version shims that every other room stands on."""
