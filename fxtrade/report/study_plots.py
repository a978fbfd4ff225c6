"""The plots of a feature study. Figures grow with the number of columns, so that every name stays readable."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fxtrade.report.formatting import missing
from fxtrade.report.plotting import BLUE, GREY, decorate, floats, new_figure, with_legend

ROW, EDGES = 0.19, 1.5  # inches: height of a column's row, and of what is above and below
FAINT = 0.03  # an IC that has the full colour at least: what is smaller everywhere shall look small


def figures(outcome: dict) -> dict[str, Figure]:
    """Every plot, by the name of its file."""
    return {
        "ic": horizons(outcome),
        "columns": columns(outcome),
        "stability": stability(outcome),
        "redundancy": redundancy(outcome),
    }


def strongest(outcome: dict) -> list[dict]:
    """The clearest test of each column, the clearest column first."""
    by_column: dict[str, dict] = {}
    for test in sorted(outcome["tests"], key=_clarity):
        by_column.setdefault(test["column"], test)
    return list(by_column.values())


def best(outcome: dict) -> int:
    """The horizon with most discoveries; of equal ones, that with the clearest test."""
    tests = sorted(outcome["tests"], key=_clarity)
    found = {t["horizon"]: 0 for t in tests}  # the clearest first, which `max` takes among equals
    for test in tests:
        found[test["horizon"]] += test["found"]
    return max(found, key=found.get)


def horizons(outcome: dict) -> Figure:
    """IC by column and horizon; discoveries are framed."""
    names, table = _order(outcome), _table(outcome)
    steps = outcome["run"]["config"]["study"]["horizons"]
    value = floats([[table[n, h]["ic"] for h in steps] for n in names])
    figure = new_figure(EDGES + ROW * len(names))
    axes = figure.add_subplot()
    limit = _heat(figure, axes, value, names)
    for (row, place), x in np.ndenumerate(value):
        found = table[names[row], steps[place]]["found"]
        if np.isfinite(x):
            color = "white" if abs(x) > 0.6 * limit else "black" if found else "#444444"
            weight = "bold" if found else "normal"
            axes.text(place, row, f"{x:+.3f}", ha="center", va="center", fontsize=7, color=color, weight=weight)
        if found:
            axes.add_patch(Rectangle((place - 0.49, row - 0.47), 0.98, 0.94, fill=False, lw=1.1))
    axes.set_xticks(range(len(steps)), [str(h) for h in steps])
    decorate(axes, "IC by column and horizon (framed: discoveries)", "horizon (bars)", "")
    axes.grid(False)
    return figure


def columns(outcome: dict) -> Figure:
    """IC with interval and null floor of every column at the horizon with most discoveries, sorted."""
    horizon = best(outcome)
    tests = [t for t in outcome["tests"] if t["horizon"] == horizon]
    tests.sort(key=lambda t: -np.inf if missing(t["ic"]) else t["ic"])
    value, low, high, floor = (floats([t[k] for t in tests]) for k in ("ic", "low", "high", "floor"))
    found, place = np.array([t["found"] for t in tests]), np.arange(len(tests))
    figure = new_figure(EDGES + 0.5 + ROW * len(tests))
    axes = figure.add_subplot()
    axes.use_sticky_edges = False  # bands end within the axes
    label = "null floor: 95 % of the shifts"
    axes.barh(place, 2 * np.nan_to_num(floor), 0.8, -np.nan_to_num(floor), color="#DDDDDD", label=label)
    error = np.nan_to_num(np.maximum([value - low, high - value], 0))
    for mask, color, name in ((found, BLUE, "discovery, 95 % interval"), (~found, GREY, "no discovery")):
        if mask.any():
            options = {"fmt": "o", "ms": 3.5, "lw": 1.3, "capsize": 1.5}
            axes.errorbar(value[mask], place[mask], xerr=error[:, mask], color=color, label=name, **options)
    axes.axvline(0, color="black", lw=0.7)
    axes.set_yticks(place, [t["column"] for t in tests])
    axes.set_ylim(-0.7, len(tests) - 0.3)
    decorate(axes, f"IC over {_bars(horizon)}", "information coefficient", "")
    axes.tick_params(axis="y", labelsize=7)
    return with_legend(figure, axes)


def stability(outcome: dict) -> Figure:
    """IC by column and period at the horizon with most discoveries."""
    horizon, names, table = best(outcome), _order(outcome), _table(outcome)
    value = floats([table[n, horizon]["periods"] for n in names])
    figure = new_figure(EDGES + 0.3 + ROW * len(names))
    axes = figure.add_subplot()
    _heat(figure, axes, value, names)
    starts = outcome["periods"][:-1]
    every = -(-len(starts) // 12)
    axes.set_xticks(range(0, len(starts), every), [s[:10] for s in starts[::every]], rotation=45, ha="right")
    decorate(axes, f"IC over {_bars(horizon)} in each period", "first day of the period (UTC)", "")
    axes.grid(False)
    return figure


def redundancy(outcome: dict) -> Figure:
    """Rank correlation of the columns, clusters beside each other and framed."""
    listed = sorted(enumerate(outcome["columns"]), key=lambda pair: pair[1]["place"])
    index, made = [i for i, _ in listed], [c for _, c in listed]
    value = floats(outcome["correlation"]).reshape(len(index), len(index))[np.ix_(index, index)]
    figure = new_figure(EDGES + 1.2 + max(ROW * len(made), 1.5))
    figure.set_figwidth(max(figure.get_figwidth(), 0.6 * figure.get_figheight()))
    axes = figure.add_subplot()
    names = [f"{c['name']} ({c['cluster']})" for c in made]
    _heat(figure, axes, value, names, 1.0)
    borders = [0, *(i for i in range(1, len(made)) if made[i]["cluster"] != made[i - 1]["cluster"]), len(made)]
    for start, stop in zip(borders, borders[1:], strict=False):
        box = Rectangle((start - 0.5, start - 0.5), stop - start, stop - start, fill=False, lw=1.2)
        axes.add_patch(box)
    few = len(made) <= 45  # beyond, names below would overlap; they are those at the side
    axes.set_xticks(range(len(made)) if few else [], [c["name"] for c in made] if few else [], rotation=90)
    decorate(axes, "Rank correlation of the columns (framed: clusters)", "", "column (cluster)")
    axes.tick_params(labelsize=7)
    axes.grid(False)
    return figure


def _heat(figure: Figure, axes: Axes, value: np.ndarray, names: list[str], limit: float | None = None) -> float:
    """Draw `value [R, C]` in colours from -limit to limit, missing cells grey; returns the limit."""
    if limit is None:
        limit = max(np.nanmax(np.abs(np.append(value, 0))), FAINT)
    axes.set_facecolor("#EEEEEE")
    norm = TwoSlopeNorm(0, -limit, limit)
    image = axes.imshow(np.ma.masked_invalid(value), cmap="RdBu", norm=norm, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, fraction=0.04, aspect=max(40, 2 * len(names)))  # as thin in a tall figure
    bar.ax.tick_params(labelsize=7.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    return limit


def _order(outcome: dict) -> list[str]:
    return [t["column"] for t in strongest(outcome)]


def _table(outcome: dict) -> dict[tuple[str, int], dict]:
    return {(t["column"], t["horizon"]): t for t in outcome["tests"]}


def _clarity(test: dict) -> tuple:
    """Sorts discoveries first, by the size of their IC, then the others by their p-value, undefined last."""
    size = 0 if missing(test["ic"]) else -abs(test["ic"])
    return (0, size) if test["found"] else (1, 2 if missing(test["p"]) else test["p"], size)


def _bars(horizon: int) -> str:
    return "the next bar" if horizon == 1 else f"the next {horizon} bars"
