"""Losses: pure functions `(output, segment, ...) -> scalar`."""
