"""Training: one loop, one compiled step, and what is needed to stop and resume."""
