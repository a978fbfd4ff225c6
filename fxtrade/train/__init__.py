"""Training: one loop, one compiled step, checkpoints and metrics."""
