"""A run's report: `report.md` and `plots/*.png` in its folder, and a short table on the screen."""

from __future__ import annotations

from pathlib import Path

from fxtrade.core.files import write_text
from fxtrade.report import markdown, plots
from fxtrade.report.plotting import Picture, write_plots
from fxtrade.report.schema import RunReport
from fxtrade.report.terminal import table


def write(folder: Path, report: RunReport) -> dict[str, Picture]:
    """Write `report.md` and its plots, each atomically; return the plots by name.

    Raises:
        FxtradeError: the folder cannot be written.
    """
    pictures = write_plots(folder, plots.figures(report))
    write_text(folder / "report.md", markdown.document(report, pictures))
    return pictures


__all__ = ["table", "write"]
