"""Write a tear sheet: a page, a Markdown document with its plots, and the table of trades."""

from __future__ import annotations

from pathlib import Path

from fxtrade.core.files import write_text
from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.report import tearsheet_html, tearsheet_plots
from fxtrade.report.plotting import write_plots
from fxtrade.report.tables import facts, grid
from fxtrade.report.tearsheet_tables import CONVENTIONS, describe, headline, notes, tables


def write(folder: Path, sheet: TearSheet) -> None:
    """Write `tearsheet.html`, `tearsheet.md` with `plots/tearsheet_*.png`, and `trades.parquet` and `.csv`.

    Each file is written atomically.

    Raises:
        FxtradeError: the folder cannot be written.
    """
    pictures = write_plots(folder, tearsheet_plots.figures(sheet))
    sheet.trades.write(folder, sheet.panel.times, sheet.panel.symbols)
    write_text(folder / "tearsheet.md", markdown(sheet, tuple(pictures)))
    write_text(folder / "tearsheet.html", tearsheet_html.page(sheet))


def markdown(sheet: TearSheet, pictures: tuple[str, ...]) -> str:
    """Return the tear sheet as Markdown.

    Args:
        pictures: names of the plots in the folder `plots/`.
    """
    parts = [f"# {sheet.title}", describe(sheet), *(f"**Warning:** {text}" for text in sheet.warnings)]
    parts += [facts(headline(sheet)), *(f"![{name.removeprefix('tearsheet_')}](plots/{name}.png)" for name in pictures)]
    for table in tables(sheet):
        parts += [f"## {table.title}", grid(table.header, table.rows, table.words)]
    listed = "\n".join(f"* {text}." for text in notes(sheet))
    return "\n\n".join([*parts, *([listed] if listed else ()), CONVENTIONS]) + "\n"


__all__ = ["markdown", "write"]
