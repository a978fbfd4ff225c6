"""Metrics of forecasts and of returns, each in one definition, in NumPy float64."""

from fxtrade.metrics.performance import Summary, summary

__all__ = ["Summary", "summary"]
