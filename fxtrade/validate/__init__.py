"""Floor 5: whether a result is more than luck: splits, walk-forward, simulation, significance, the sealed test."""
