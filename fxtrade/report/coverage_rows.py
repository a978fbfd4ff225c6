"""Rows of tables of accuracy by coverage, and the names of coverages."""

from __future__ import annotations

from fxtrade.evaluate.results import NAN, CoverageRow, CoverageTable
from fxtrade.report.schema import RunReport


def coverage_name(target: float) -> str:
    return "all bars" if target == 1 else f"top {100 * target:g} %"


def at(table: CoverageTable, target: float) -> CoverageRow:
    """Return the row of a target coverage; without numbers if the config does not have it among its `coverages`."""
    missing = CoverageRow(target, coverage=NAN, accuracy=NAN, low=NAN, high=NAN, rows=0)
    return next((row for row in table if row.target == target), missing)


def target_coverages(report: RunReport) -> list[float]:
    """Return the target coverages of the run, widest first."""
    return sorted((row.target for row in report.accuracy), reverse=True)
