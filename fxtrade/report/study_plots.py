"""The plots of a feature study. Figures grow with the number of columns, so that every name is readable."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fxtrade.core.text import plural
from fxtrade.evaluate.results import FeatureTest
from fxtrade.report.formatting import missing
from fxtrade.report.plotting import BLUE, GREY, decorate, new_figure, with_legend
from fxtrade.report.study_schema import StudyReport

SHOWN = 60  # columns in tables and plots, the strongest; study.json has all
ROW, EDGES = 0.19, 1.5  # inches: height of a column's row, and of what is above and below
LEAST = 2.8  # inches of height, in which title, axes and the scale of colours find place
FAINT = 0.03  # the least IC at the end of the colour scale: small coefficients look small
Heat = Float[np.ndarray, "rows columns"]


def figures(report: StudyReport) -> dict[str, Figure]:
    """Return every plot by the name of its file."""
    return {
        "ic": horizons(report),
        "columns": columns(report),
        "stability": stability(report),
        "redundancy": redundancy(report),
    }


def strongest(report: StudyReport) -> list[FeatureTest]:
    """Return the clearest test of each column, the clearest column first."""
    by_column: dict[str, FeatureTest] = {}
    for test in sorted(report.tests, key=_clarity):
        by_column.setdefault(test.column, test)
    return list(by_column.values())


def best(report: StudyReport) -> int:
    """Return the horizon with most discoveries; of equal ones, that with the clearest test."""
    tests = sorted(report.tests, key=_clarity)
    found = {t.horizon: 0 for t in tests}  # the clearest first, which `max` takes among equals
    for test in tests:
        found[test.horizon] += test.discovery
    return max(found, key=lambda horizon: found[horizon])


def horizons(report: StudyReport) -> Figure:
    """Plot IC by column and horizon; discoveries are framed."""
    names, table = _order(report), _table(report)
    steps = report.config.study.horizons
    value = np.array([[table[n, h].ic for h in steps] for n in names])
    figure = new_figure(max(EDGES + ROW * len(names), LEAST))
    axes = figure.add_subplot()
    limit = _heat(figure, axes, value, names)
    for (row, place), x in np.ndenumerate(value):
        discovery = table[names[row], steps[place]].discovery
        if np.isfinite(x):
            color = "white" if abs(x) > 0.6 * limit else "black" if discovery else "#444444"
            weight = "bold" if discovery else "normal"
            axes.text(place, row, f"{x:+.3f}", ha="center", va="center", fontsize=7, color=color, weight=weight)
        if discovery:
            axes.add_patch(Rectangle((place - 0.49, row - 0.47), 0.98, 0.94, fill=False, lw=1.1))
    axes.set_xticks(range(len(steps)), [str(h) for h in steps])
    decorate(axes, f"IC by column and horizon (framed: discoveries){_which(report)}", "horizon (bars)", "")
    axes.grid(False)
    return figure


def columns(report: StudyReport) -> Figure:
    """Plot IC with interval and null distribution of every column at the horizon with most discoveries, sorted."""
    horizon = best(report)
    shown = set(_order(report))
    tests = [t for t in report.tests if t.horizon == horizon and t.column in shown]
    tests.sort(key=lambda t: -np.inf if missing(t.ic) else t.ic)
    value, low, high, null = np.array([(t.ic, t.low, t.high, t.null_quantile) for t in tests]).T
    found, place = np.array([t.discovery for t in tests]), np.arange(len(tests))
    figure = new_figure(max(EDGES + 0.5 + ROW * len(tests), LEAST))
    axes = figure.add_subplot()
    axes.use_sticky_edges = False  # bands end within the axes
    label, null = "null distribution: 95 % of the shifts", np.nan_to_num(null)
    axes.barh(place, 2 * null, 0.8, -null, color="#DDDDDD", label=label)
    error = np.nan_to_num(np.maximum([value - low, high - value], 0))
    for mask, color, name in ((found, BLUE, "discovery, 95 % interval"), (~found, GREY, "no discovery")):
        if mask.any():
            options = {"fmt": "o", "ms": 3.5, "lw": 1.3, "capsize": 1.5}
            axes.errorbar(value[mask], place[mask], xerr=error[:, mask], color=color, label=name, **options)
    axes.axvline(0, color="black", lw=0.7)
    axes.set_yticks(place, [t.column for t in tests])
    axes.set_ylim(-0.7, len(tests) - 0.3)
    decorate(axes, f"IC over {_bars(horizon)}{_which(report)}", "information coefficient", "")
    axes.tick_params(axis="y", labelsize=7)
    return with_legend(figure, axes)


def stability(report: StudyReport) -> Figure:
    """Plot IC by column and period at the horizon with most discoveries."""
    horizon, names, table = best(report), _order(report), _table(report)
    value = np.array([table[n, horizon].periods for n in names])
    figure = new_figure(max(EDGES + 0.3 + ROW * len(names), LEAST))
    axes = figure.add_subplot()
    _heat(figure, axes, value, names)
    starts = report.periods[:-1]
    every = -(-len(starts) // 12)
    axes.set_xticks(range(0, len(starts), every), [s[:10] for s in starts[::every]], rotation=45, ha="right")
    decorate(axes, f"IC over {_bars(horizon)} in each period{_which(report)}", "first day of the period (UTC)", "")
    axes.grid(False)
    return figure


def redundancy(report: StudyReport) -> Figure:
    """Plot the rank correlation of the columns; clusters are adjacent and framed."""
    shown, total = set(_order(report)), len(report.columns)
    listed = sorted(enumerate(report.columns), key=lambda pair: pair[1].place)
    index, made = zip(*((i, c) for i, c in listed if c.name in shown), strict=True)
    value = np.array(report.correlation).reshape(total, total)[np.ix_(index, index)]
    figure = new_figure(EDGES + 1.2 + max(ROW * len(made), 1.5))
    figure.set_figwidth(max(figure.get_figwidth(), 0.6 * figure.get_figheight()))
    axes = figure.add_subplot()
    names = [f"{c.name} ({c.cluster})" for c in made]
    _heat(figure, axes, value, names, 1.0)
    borders = [0, *(i for i in range(1, len(made)) if made[i].cluster != made[i - 1].cluster), len(made)]
    for start, stop in zip(borders, borders[1:], strict=False):
        box = Rectangle((start - 0.5, start - 0.5), stop - start, stop - start, fill=False, lw=1.2)
        axes.add_patch(box)
    few = len(made) <= 45  # more names would overlap below; they are those at the side
    axes.set_xticks(range(len(made)) if few else [], [c.name for c in made] if few else [], rotation=90)
    decorate(axes, f"Rank correlation of the columns (framed: clusters){_which(report)}", "", "column (cluster)")
    axes.tick_params(labelsize=7)
    axes.grid(False)
    return figure


def _heat(figure: Figure, axes: Axes, value: Heat, names: list[str], limit: float | None = None) -> float:
    """Draw `value` in colours from -limit to limit, missing cells grey; return the limit."""
    bound = max(np.nanmax(np.abs(np.append(value, 0))), FAINT) if limit is None else limit
    axes.set_facecolor("#EEEEEE")
    norm = TwoSlopeNorm(0, -bound, bound)
    image = axes.imshow(np.ma.masked_invalid(value), cmap="RdBu", norm=norm, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, fraction=0.04, aspect=max(40, 2 * len(names)))  # constant width in a tall figure
    bar.ax.tick_params(labelsize=7.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    return bound


def _order(report: StudyReport) -> list[str]:
    return [t.column for t in strongest(report)[:SHOWN]]


def _which(report: StudyReport) -> str:
    """Return, for titles, that some columns are left out."""
    size = len(report.columns)
    return f", strongest {SHOWN} of {size}" if size > SHOWN else ""


def _table(report: StudyReport) -> dict[tuple[str, int], FeatureTest]:
    return {(t.column, t.horizon): t for t in report.tests}


def _clarity(test: FeatureTest) -> tuple:
    """Sort key: discoveries by the size of their IC, then the others by their p-value, undefined ones last."""
    size = 0 if missing(test.ic) else -abs(test.ic)
    return (0, size) if test.discovery else (1, 2 if missing(test.p) else test.p, size)


def _bars(horizon: int) -> str:
    return "the next bar" if horizon == 1 else f"the next {plural(horizon, 'bar')}"
