"""Metrics of forecasts and of equity curves: free functions over NumPy arrays on the host, in float64."""
