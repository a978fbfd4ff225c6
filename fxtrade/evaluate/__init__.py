"""Evaluation: forecasts and labels in, typed results out."""
