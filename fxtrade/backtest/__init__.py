"""Layer 3: backtests of a stream of target weights, after costs."""
