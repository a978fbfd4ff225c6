"""Floor 2: what trading costs."""
