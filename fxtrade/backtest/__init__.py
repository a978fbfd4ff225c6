"""Floor 3: what a stream of target weights would have earned, after costs."""
