"""The comparison of architectures and training recipes on the same rows."""
