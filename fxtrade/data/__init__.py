"""Data: files, archives and simulations to aligned bars."""
