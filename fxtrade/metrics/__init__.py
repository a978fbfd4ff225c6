"""Floor 1: what a forecast or an equity curve is worth, as free functions over NumPy arrays on the host."""
