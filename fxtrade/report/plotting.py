"""Helpers of all plots: size, colours, axes and series.

Figures use the object API, so that the global state of `pyplot` is not touched. The colours are those of Okabe and Ito
(2008), which colour-blind readers can distinguish.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import Container
from matplotlib.dates import HOURS_PER_DAY, MINUTES_PER_DAY, AutoDateFormatter, AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import write_atomic
from fxtrade.evaluate.results import CoverageRow, EquityCurve, GroupRow
from fxtrade.report.formatting import missing

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY = "#666666"
WIDE = 3  # factor between values from which on an axis is logarithmic
DOTS = (0, (1, 2))
DPI, WIDTH = 110, 7.2  # inches
COVERAGE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
Picture = UInt8[np.ndarray, "height width 4"]


def new_figure(height: float) -> Figure:
    """Return an empty figure of `height` inches."""
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def pixels(figure: Figure) -> Picture:
    """Render a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def write_plots(folder: Path, figures: Mapping[str, Figure]) -> dict[str, Picture]:
    """Write `plots/<name>.png` in the folder; return the plots by name. Raises FxtradeError if it cannot be written."""
    pictures = {name: pixels(figure) for name, figure in figures.items()}
    for name, picture in pictures.items():
        save_png(folder / "plots" / f"{name}.png", picture)
    return pictures


def save_png(path: Path, picture: Picture) -> None:
    """Write a picture as PNG, atomically. Raises FxtradeError if `path` cannot be written."""
    content = io.BytesIO()
    imsave(content, picture, format="png", pil_kwargs={"optimize": True})
    try:
        write_atomic(path, content.getvalue())
    except OSError as e:
        raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place") from e


def decorate(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8.5)
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def with_legend(figure: Figure, axes: Axes) -> Figure:
    """Add one legend below the axes."""
    series = zip(*axes.get_legend_handles_labels(), strict=True)
    error_bars_first = sorted(series, key=lambda pair: not isinstance(pair[0], Container))
    figure.legend(
        *zip(*error_bars_first, strict=True), loc="outside lower center", ncols=2, fontsize=8.5, frameon=False
    )
    return figure


def reference(axes: Axes, level: float, name: str) -> None:
    """Draw the level of a uniform forecast."""
    axes.axhline(level, color="black", lw=0.8, ls=DOTS, label=name)


def coverage_axes(axes: Axes, title: str) -> Axes:
    """Set up axes of accuracy over a logarithmic scale of coverage."""
    axes.set_xscale("log")
    axes.set_xticks(COVERAGE_TICKS, [f"{100 * t:g}" for t in COVERAGE_TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    decorate(axes, title, "coverage: most confident share of the labelled rows (%)", "accuracy (%)")
    return axes


def accuracy_points(axes: Axes, rows: Sequence[CoverageRow], label: str, band: bool = False, **style) -> None:
    """Draw accuracy with interval over the coverages of fixed thresholds; a `band` stays in the background."""
    rows = sorted((r for r in rows if not missing(r.accuracy)), key=lambda r: r.coverage)
    place, (middle, error) = np.array([r.coverage for r in rows]), error_bars(rows)
    if band:
        axes.fill_between(place, middle - error[0], middle + error[1], color=style["color"], alpha=0.15, lw=0)
        axes.plot(place, middle, lw=1, label=label, **style)
    else:
        axes.errorbar(place, middle, error, lw=1.4, ms=4, capsize=2, label=label, **style)


def error_bars(
    rows: Sequence[CoverageRow | GroupRow],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, "2 rows"]]:
    """Return accuracies in percent and their error bars below and above, of length 0 where there is no interval."""
    middle, low, high = 100 * np.array([(r.accuracy, r.low, r.high) for r in rows], float).reshape(-1, 3).T
    return middle, np.nan_to_num(np.maximum([middle - low, high - middle], 0))


def equity_axes(axes: Axes, title: str) -> None:
    """Add title and dates to the curves drawn so far; logarithmic where they span more than `WIDE`."""
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    values = values[np.isfinite(values)]
    log_if_wide(axes, values.min(initial=1), values.max(initial=1))
    axes.axhline(1, color="black", lw=0.8, ls=DOTS)
    date_ticks(axes)
    decorate(axes, title, "", "equity (start = 1)")


def is_wide(low: float, high: float) -> bool:
    """Return whether values from `low` to `high` need a logarithmic axis."""
    return 0 < WIDE * low < high


def log_if_wide(axes: Axes, low: float, high: float) -> None:
    """Make the vertical axis logarithmic if values from `low` to `high` span more than `WIDE`."""
    if is_wide(low, high):
        axes.set_yscale("log")
        steps = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 100 * low else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def date_ticks(axes: Axes) -> None:
    """Label dates with their year, at even distances."""
    if 5 < axes.dataLim.width < 100:  # days; those of AutoDateLocator begin again with each month, and overlap
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 3, 4, 5, 7, 10)))
        axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))
        return
    locator = AutoDateLocator(minticks=3, maxticks=7)
    form = AutoDateFormatter(locator)
    form.scaled |= dict.fromkeys((1 / HOURS_PER_DAY, 1 / MINUTES_PER_DAY), "%Y-%m-%d\n%H:%M")
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(form)


def dates(curve: EquityCurve) -> list[dt.datetime]:
    """Return the times of an equity curve, UTC."""
    return [dt.datetime(1970, 1, 1) + dt.timedelta(seconds=t / 1e9) for t in curve.time]
