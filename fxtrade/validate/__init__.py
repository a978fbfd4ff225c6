"""Validation: splits, surrogate markets, significance of results and discoveries."""
