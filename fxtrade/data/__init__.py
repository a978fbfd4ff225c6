"""Data sources and their readers: files, archives and simulations to aligned bars."""
