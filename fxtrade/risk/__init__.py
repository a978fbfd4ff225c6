"""Floor 2: how much to trade."""
