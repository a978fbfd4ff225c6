"""Metrics of forecasts and of returns, each in one definition, in NumPy float64."""

from fxtrade.metrics.performance import Summary, SummaryIntervals, summary, summary_intervals

__all__ = ["Summary", "SummaryIntervals", "summary", "summary_intervals"]
