"""The plots of a report. Each takes the outcome and gives a figure, or None where its numbers are missing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fxtrade.report import summary
from fxtrade.report.formatting import fixed, gain, missing, percent
from fxtrade.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SKY,
    accuracy_points,
    coverage_axes,
    dates,
    decorate,
    equity_axes,
    error_bars,
    floats,
    new_figure,
    reference,
    with_legend,
)


def figures(outcome: dict) -> dict[str, Figure]:
    """Every plot for which there are numbers, by the name of its file."""
    made = {name: draw(outcome) for name, draw in PLOTS.items()}
    return {name: figure for name, figure in made.items() if figure is not None}


def coverage(outcome: dict) -> Figure | None:
    """Accuracy of the most confident share of forecasts, against that share."""
    model, chance = outcome["run"]["model"], 1 / outcome["run"]["config"]["label"]["classes"]
    figure = new_figure(4.6)
    axes = coverage_axes(figure.add_subplot(), "Accuracy by coverage, test span")
    accuracy_points(
        axes, outcome["accuracy"][model], f"{model}, thresholds fixed before", color=BLUE, marker="o", zorder=3
    )
    curve, label = outcome["scores"]["curve"], f"{model}, ranked with hindsight"
    axes.plot(curve["coverage"], 100 * floats(curve["accuracy"]), color=SKY, lw=1, zorder=1, label=label)
    rivals = summary.rivals(outcome)
    peak = {name: np.nanmax(floats([0, *(r["accuracy"] for r in rows)])) for name, rows in rivals.items()}
    for color, name in zip((ORANGE, RED), sorted(peak, key=peak.get, reverse=True), strict=False):
        accuracy_points(axes, rivals[name], f"baseline: {name}", color=color, marker="s")
    for style, (name, rows) in zip(("--", "-."), summary.floors(outcome).items(), strict=False):
        accuracy_points(axes, rows, f"null floor: {name}", band=True, color=GREY, linestyle=style)
    top = outcome["data"]["best_accuracy"]
    if not missing(top):
        label = f"best possible on all bars: {percent(top)}"
        axes.plot([1], [100 * top], "D", color=GREEN, mfc="none", mew=1.8, ms=8, label=label)
    reference(axes, 100 * chance, f"no opinion: {percent(chance)}")
    return with_legend(figure, axes)


def calibration(outcome: dict) -> Figure | None:
    """How often the decision is right, against how sure it is, over bins of equally many forecasts."""
    sure, right, count = (floats(outcome["scores"]["reliability"][k]) for k in ("confidence", "frequency", "count"))
    if not sure.size:
        return None
    figure = new_figure(4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    ends = 100 * floats([sure.min(), sure.max()])
    upper.plot(ends, ends, color=GREY, lw=1, ls="--", label="perfectly calibrated")
    error, label = 1.96 * np.sqrt(right * (1 - right) / count), "forecasts; bars: 95 %, as if rows were independent"
    upper.errorbar(100 * sure, 100 * right, 100 * error, fmt="o-", color=BLUE, lw=1.2, ms=4, capsize=2, label=label)
    title = f"Calibration, test span (ECE {percent(outcome['scores']['ece'], 2)})"
    decorate(upper, title, "", "right (% of forecasts)")
    lower.vlines(100 * sure, 0, count, color=BLUE, lw=3)
    lower.set_ylim(0, 1.25 * count.max())
    decorate(lower, "", "confidence: probability of the decision (%)", "forecasts")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    return with_legend(figure, upper)


def groups(outcome: dict) -> Figure | None:
    """Accuracy with interval in every symbol and every month."""
    parts = {name: entries for name, entries in outcome["groups"].items() if entries}
    if not parts:
        return None
    whole, chance = outcome["scores"]["accuracy"], 1 / outcome["run"]["config"]["label"]["classes"]
    figure = new_figure(2.6 * len(parts))
    for axes, (name, entries) in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts.items(), strict=True):
        place, (middle, error) = np.arange(len(entries)), error_bars(entries)
        axes.errorbar(place, middle, error, fmt="o", color=BLUE, ms=4, capsize=2, label="accuracy, 95 % interval")
        if not missing(whole):
            axes.axhline(100 * whole, color=ORANGE, lw=1, label=f"all together: {percent(whole)}")
        reference(axes, 100 * chance, f"no opinion: {percent(chance)}")
        every = -(-len(entries) // 16)
        names = [e["name"] for e in entries[::every]]
        axes.set_xticks(place[::every], names, rotation=30 if len(entries) > 7 else 0)
        axes.set_xlim(-0.6, len(entries) - 0.4)
        decorate(axes, f"Accuracy by {name}, all bars of the test span", name, "right (%)")
    return with_legend(figure, axes)


def equity(outcome: dict) -> Figure | None:
    """Equity and drawdown of the strategy, net of costs, beside buy and hold."""
    if not outcome.get("trading"):
        return None
    curve, costs = outcome["trading"]["curve"], outcome["run"]["config"]["trade"]
    figure, when = new_figure(5.4), dates(curve)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    for name, key, color in (("buy and hold", "buy_and_hold", ORANGE), ("strategy", "strategy", BLUE)):
        label = f"{name}: {gain(outcome['trading'][key]['total_return'])}"
        upper.plot(when, floats(curve[key]), lw=1.3, color=color, label=label)
        lower.plot(when, 100 * floats(curve[f"{key}_drawdown"]), lw=1, color=color)
    paid = f"{costs['fee_bps']:g} bps fee and {costs['half_spread_bps']:g} bps half-spread a side"
    equity_axes(upper, f"Equity net of {paid}, test span")
    decorate(lower, "", "date (UTC)", "drawdown (%)")
    return with_legend(figure, upper)


def costs(outcome: dict) -> Figure | None:
    """Sharpe ratio and total return over a grid of fees and latencies."""
    cells = outcome["trading"]["grid"] if outcome.get("trading") else []
    if not cells:
        return None
    fees, latencies = (sorted({c[k] for c in cells}) for k in ("fee_bps", "latency"))
    place = {(c["latency"], c["fee_bps"]): c for c in cells}
    sharpe = floats([[place[k, fee]["sharpe"] for fee in fees] for k in latencies])
    limit = max(1.0, np.nanmax(np.abs([0, *sharpe.ravel()])))
    figure = new_figure(3.2)
    axes = figure.add_subplot(facecolor="#EEEEEE")
    norm = TwoSlopeNorm(0, -limit, limit)
    image = axes.imshow(np.ma.masked_invalid(sharpe), cmap="RdBu", norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(sharpe):
        text = f"{fixed(value, 2)}\n{gain(place[latencies[row], fees[column]]['total_return'])}"
        color = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=color)
    axes.set_xticks(range(len(fees)), [f"{fee:g}" for fee in fees])
    axes.set_yticks(range(len(latencies)), [f"{k}" for k in latencies])
    title = "Sharpe ratio a year, below it total return, by cost and latency"
    decorate(axes, title, "fee (bps a side, no spread)", "fill after the next open (bars)")
    axes.grid(False)
    figure.colorbar(image).ax.tick_params(labelsize=8.5)
    return figure


def training(outcome: dict) -> Figure | None:
    """Loss on training and validation segments by step."""
    rows, run = outcome.get("history"), outcome["run"]
    if not rows:
        return None
    figure, classes = new_figure(3.8), run["config"]["label"]["classes"]
    axes, steps = figure.add_subplot(), [row["step"] for row in rows]
    for key, name, color, marker in (("train/loss", "training", ORANGE, "s"), ("valid/loss", "validation", BLUE, "o")):
        loss = floats([row.get(key) for row in rows])
        axes.plot(steps, loss, marker=marker, ms=3.5, lw=1.4, color=color, label=name)
    if not missing(run["best_loss"]):
        label = f"best: {run['best_loss']:.4f} at step {run['best_step']:,}"
        axes.plot([run["best_step"]], [run["best_loss"]], "*", color=GREEN, ms=13, zorder=5, label=label)
    reference(axes, math.log(classes), f"no opinion: log {classes} = {math.log(classes):.4f}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    decorate(axes, "Loss during training", "step", "cross-entropy (nats)")
    return with_legend(figure, axes)


PLOTS: dict[str, Callable[[dict], Figure | None]] = {
    "coverage": coverage,
    "calibration": calibration,
    "groups": groups,
    "equity": equity,
    "costs": costs,
    "training": training,
}
