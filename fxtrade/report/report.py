"""A run's report: `report.md` and `plots/*.png` in its folder, and a short table on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import write_atomic
from fxtrade.report import markdown, plots
from fxtrade.report.plotting import pixels, save_png
from fxtrade.report.terminal import table


def write(folder: Path, outcome: dict[str, Any]) -> dict[str, np.ndarray]:
    """Write `report.md` and its plots; every file is either whole or not there.

    Args:
        outcome: what `experiment.run.judge` found, as in `report.json`: None where there is no number.

    Returns:
        The plots as uint8 `[H, W, 4]`, by name.

    Raises:
        FxtradeError: the folder cannot be written.
    """
    pictures = {name: pixels(figure) for name, figure in plots.figures(outcome).items()}
    for name, picture in pictures.items():
        save_png(folder / "plots" / f"{name}.png", picture)
    try:
        write_atomic(folder / "report.md", markdown.document(outcome, pictures))
    except OSError as e:
        raise FxtradeError(f"the report in {folder} cannot be written: {e.strerror}; mend that and run again") from e
    return pictures


__all__ = ["table", "write"]
