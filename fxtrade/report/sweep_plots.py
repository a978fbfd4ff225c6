"""Plots of a sweep: the score over each pair of parameters, and by step of the gradient."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from fxtrade.report.plotting import BLUE, GREY, ORANGE, decorate, new_figure, with_legend
from fxtrade.report.sweep_schema import NAMES, Refined, SweepReport

PAIRS, TICKS = 3, 11  # heat maps, and their labels of an axis, at most


def heat_maps(report: SweepReport) -> list[Figure]:
    """Return the score over each pair of parameters; the best one over all others where there are more than two."""
    axes, index = report.grid.axes, report.grid.index
    figures = []
    for i, j in pairs(report):
        (x, across), (y, down) = list(axes.items())[i], list(axes.items())[j]
        best = np.full((len(down), len(across)), -np.inf)
        np.maximum.at(best, (index[:, j], index[:, i]), np.nan_to_num(report.score, nan=-np.inf))
        best[np.isinf(best)] = np.nan
        figure = new_figure(4.6)
        plot = figure.add_subplot()
        limit = np.nanmax(np.abs(best))
        image = plot.imshow(best, origin="lower", aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
        place = index[report.plateau.best]
        plot.plot(place[i], place[j], marker="o", ms=9, mfc="none", mec="black", mew=1.6)
        figure.colorbar(image, ax=plot, label=NAMES[report.config.score])
        others = [name for name in axes if name not in (x, y)]
        best_of = f", best over {' and '.join(others)}" if others else ""
        decorate(plot, f"{NAMES[report.config.score]}{best_of} (circle: the best set)", x, y)
        _label(plot.xaxis, across)
        _label(plot.yaxis, down)
        plot.grid(False)
        figures.append(figure)
    if len(axes) == 1:
        figures.append(_curve(report))
    return figures


def _curve(report: SweepReport) -> Figure:
    """Return the score over the only parameter, with the best scores on surrogate markets."""
    ((name, values),) = report.grid.axes.items()
    figure = new_figure(3.4)
    plot = figure.add_subplot()
    plot.plot(values, report.score, color=BLUE, lw=1.4)
    plot.plot(values[report.grid.index[report.plateau.best, 0]], report.plateau.score, "o", color=ORANGE)
    if report.null_best:
        plot.axhline(max(report.null_best), color=GREY, lw=1, ls="--")
    decorate(plot, NAMES[report.config.score], name, "")
    return figure


def climb(report: SweepReport, refined: Refined) -> Figure:
    """Return the score by step of the gradient, beside the best of the sets."""
    figure = new_figure(3.0)
    plot = figure.add_subplot()
    plot.plot(refined.path, color=BLUE, lw=1.4, label="gradient, from the middle of the grid")
    plot.axhline(report.plateau.score, color=ORANGE, lw=1.2, label="best set")
    decorate(plot, NAMES[report.config.score], "step", "")
    return with_legend(figure, plot)


def pairs(report: SweepReport) -> list[tuple[int, int]]:
    """Return the pairs of axes with a heat map."""
    return list(itertools.combinations(range(len(report.grid.axes)), 2))[:PAIRS]


def _label(axis: Axis, values: tuple[float, ...]) -> None:
    """Label cells of equal size, whatever their values; of many values only some."""
    places = np.arange(len(values))[:: -(-len(values) // TICKS)]
    axis.set_ticks(places, [f"{values[k]:g}" for k in places])
