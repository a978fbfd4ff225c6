"""Plots of comparisons."""

from __future__ import annotations

from fxtrade.models import MODELS
from fxtrade.report import comparison_plots


def test_every_network_looks_different():
    for looks in (comparison_plots.COLORS, comparison_plots.MARKERS):
        assert len(set(looks)) == len(looks) >= len(MODELS)
