"""Combination of several forecasts into one."""
