"""The plots of a comparison."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fxtrade.report import plotting
from fxtrade.report.comparison_schema import ComparisonReport, ComparisonRow, MarketReport
from fxtrade.report.coverage_rows import at
from fxtrade.report.formatting import missing, percent
from fxtrade.report.plotting import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

COLORS = (BLUE, GREEN, RED, PURPLE, SKY, "black", "#8B5A2B", "#B8B800")
MARKERS = "osD^vPXh"
NAMES = {1.0: "all bars", 0.1: "top 10 %"}  # coverages


def figures(report: ComparisonReport) -> dict[str, Figure]:
    """Return every plot for which there are numbers, by the name of its file."""
    trained = [market for market in report.markets if market.of_recipe(report.plain)]
    made = {f"coverage_{market.name}": coverage(market, report) for market in trained}
    if report.recipes:
        made["recipes"] = recipes(report)
    if trained:
        made["cost"] = cost(trained, report)
    return made


def coverage(market: MarketReport, report: ComparisonReport) -> Figure:
    """Plot accuracy by coverage of every model in plain training, beside the baselines that have probabilities."""
    label = market.labels[0]
    figure = plotting.new_figure(4.8)
    axes = plotting.coverage_axes(figure.add_subplot(), f"Accuracy by coverage on {market.name}, plain training")
    for row, color, style in _baselines(market, report):
        name, table = f"{row.result.model}, 95 %", row.result.accuracy[label.name]
        plotting.accuracy_points(axes, table, name, band=True, color=color, linestyle=style)
    for i, row in enumerate(market.of_recipe(report.plain)):
        table = [r for r in row.result.accuracy[label.name] if not missing(r.accuracy)]
        place, accuracy = [r.coverage for r in table], plotting.error_bars(table)[0]
        axes.plot(place, accuracy, ms=4, lw=1.2, label=row.result.model, color=_color(i), marker=_marker(i))
    plotting.reference(axes, 100 / label.classes, f"uniform forecast: {percent(1 / label.classes)}")
    return plotting.with_legend(figure, axes)


def recipes(report: ComparisonReport) -> Figure:
    """Plot the mean difference of each recipe from plain training, with interval; one colour for each market."""
    found = sorted(report.recipes, key=lambda r: r.mean)
    markets = list(dict.fromkeys(name for recipe in found for name in recipe.markets))
    effects = [effect.differences.accuracy for recipe in found for effect in recipe.markets.values()]
    coverages = [c for c in NAMES if any(c in accuracy for accuracy in effects)]
    figure = plotting.new_figure(1.6 + (0.14 + 0.13 * len(markets)) * len(found))
    panels = figure.subplots(1, len(coverages), sharey=True, squeeze=False)[0]
    for axes, c in zip(panels, coverages, strict=True):
        for i, market in enumerate(markets):
            effects = [recipe.markets.get(market) for recipe in found]
            tests = [effect.differences.accuracy.get(c) if effect else None for effect in effects]
            numbers = [(t.value, t.low, t.high) if t else (np.nan,) * 3 for t in tests]
            value, low, high = 100 * np.array(numbers).T
            place = np.arange(len(found)) + 0.22 * ((len(markets) - 1) / 2 - i)
            error = np.nan_to_num(np.maximum([value - low, high - value], 0))
            style = {"fmt": _marker(i), "ms": 4, "lw": 1.3, "capsize": 2, "color": _color(i)}
            axes.errorbar(value, place, xerr=error, label=f"{market}, 95 % interval", **style)
        axes.axvline(0, color="black", lw=0.8)
        axes.set_yticks(range(len(found)), [recipe.recipe for recipe in found])
        axes.set_ylim(-0.7, len(found) - 0.3)
        plotting.decorate(axes, f"Against plain, {NAMES[c]}", "percentage points of accuracy", "")
    return plotting.with_legend(figure, panels[0])


def cost(markets: list[MarketReport], report: ComparisonReport) -> Figure:
    """Plot accuracy of every model in plain training, with 95 % interval, against its training speed."""
    figure = plotting.new_figure(0.7 + 2.9 * len(markets))
    for axes, market in zip(figure.subplots(len(markets), 1, squeeze=False)[:, 0], markets, strict=True):
        label, rows = market.labels[0].name, market.of_recipe(report.plain)
        for row, color, _ in _baselines(market, report):
            accuracy = at(row.result.accuracy[label], 1.0).accuracy
            axes.axhline(100 * accuracy, color=color, lw=1.2, label=row.result.model)
        middle, error = plotting.error_bars([at(row.result.accuracy[label], 1.0) for row in rows])
        for i, row in enumerate(rows):
            if row.result.training is None:
                continue
            style = {"ms": 5, "lw": 1.2, "capsize": 2, "color": _color(i), "fmt": _marker(i), "label": row.result.model}
            axes.errorbar(row.result.training.labels_per_second, middle[i], error[:, i : i + 1], **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.1)
        title = f"Accuracy and speed on {market.name}, all bars, plain training, 95 % interval"
        plotting.decorate(axes, title, "samples/s in training", "accuracy (%)")
    return plotting.with_legend(figure, figure.axes[0])


def _baselines(market: MarketReport, report: ComparisonReport) -> list[tuple[ComparisonRow, str, str]]:
    """Return the baselines with probabilities, the reference first, each with a colour and a line style."""
    rows = [row for row in market.rows if row.result.is_baseline and row.result.scores]
    rows.sort(key=lambda row: row.result.model != report.baseline)
    return [(row, *style) for row, style in zip(rows, ((ORANGE, "-"), (GREY, "--")), strict=False)]


def _color(i: int) -> str:
    return COLORS[i % len(COLORS)]


def _marker(i: int) -> str:
    return MARKERS[i % len(MARKERS)]
