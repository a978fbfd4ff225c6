"""The plots of a run's report. Each returns None where there are no numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fxtrade.report.formatting import describe_costs, fixed, gain, missing, percent
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
    new_figure,
    reference,
    with_legend,
)
from fxtrade.report.rivals import null_baselines
from fxtrade.report.schema import RunReport


def figures(report: RunReport) -> dict[str, Figure]:
    """Return every plot for which there are numbers, by the name of its file."""
    made = {name: draw(report) for name, draw in PLOTS.items()}
    return {name: figure for name, figure in made.items() if figure is not None}


def coverage(report: RunReport) -> Figure | None:
    """Plot accuracy of the most confident share of forecasts, against that share."""
    model = report.training.model
    figure = new_figure(4.6)
    axes = coverage_axes(figure.add_subplot(), "Accuracy by coverage, test span")
    accuracy_points(axes, report.accuracy, f"{model}, fixed thresholds", color=BLUE, marker="o", zorder=3)
    curve, label = report.curve, f"{model}, ranked with hindsight"
    axes.plot(curve.coverage, 100 * np.array(curve.accuracy), color=SKY, lw=1, zorder=1, label=label)
    peak = {name: np.nanmax([0, *(r.accuracy for r in rows)]) for name, rows in report.baselines.items()}
    for color, name in zip((ORANGE, RED), sorted(peak, key=lambda name: peak[name], reverse=True), strict=False):
        accuracy_points(axes, report.baselines[name], f"baseline: {name}", color=color, marker="s")
    for style, (name, rows) in zip(("--", "-."), null_baselines(report).items(), strict=False):
        accuracy_points(axes, rows, f"null baseline: {name}", band=True, color=GREY, linestyle=style)
    top = report.data.best_accuracy
    if not missing(top):
        label = f"best possible on all bars: {percent(top)}"
        axes.plot([1], [100 * top], "D", color=GREEN, mfc="none", mew=1.8, ms=8, label=label)
    _uniform(axes, report)
    return with_legend(figure, axes)


def calibration(report: RunReport) -> Figure | None:
    """Plot accuracy against confidence, over bins of equally many forecasts."""
    r = report.reliability
    confidence, frequency, count = (np.array(x, float) for x in (r.confidence, r.frequency, r.count))
    if not confidence.size:
        return None
    figure = new_figure(4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    ends = 100 * np.array([confidence.min(), confidence.max()])
    upper.plot(ends, ends, color=GREY, lw=1, ls="--", label="perfectly calibrated")
    error = 1.96 * np.sqrt(frequency * (1 - frequency) / count)
    style = {"fmt": "o-", "color": BLUE, "lw": 1.2, "ms": 4, "capsize": 2}
    label = "forecasts; bars: 95 %, as if rows were independent"
    upper.errorbar(100 * confidence, 100 * frequency, 100 * error, label=label, **style)
    decorate(upper, f"Calibration, test span (ECE {percent(report.scores.ece.value, 2)})", "", "accuracy (%)")
    lower.vlines(100 * confidence, 0, count, color=BLUE, lw=3)
    lower.set_ylim(0, 1.25 * count.max())
    decorate(lower, "", "confidence: probability of the decision (%)", "forecasts")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    return with_legend(figure, upper)


def groups(report: RunReport) -> Figure | None:
    """Plot accuracy with interval in every symbol and every month."""
    parts = {name: rows for name, rows in (("symbol", report.symbols), ("month", report.months)) if rows}
    if not parts:
        return None
    whole = report.scores.accuracy.value
    figure = new_figure(2.6 * len(parts))
    for axes, (name, rows) in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts.items(), strict=True):
        place, (middle, error) = np.arange(len(rows)), error_bars(rows)
        axes.errorbar(place, middle, error, fmt="o", color=BLUE, ms=4, capsize=2, label="accuracy, 95 % interval")
        if not missing(whole):
            axes.axhline(100 * whole, color=ORANGE, lw=1, label=f"all together: {percent(whole)}")
        _uniform(axes, report)
        every = -(-len(rows) // 16)
        axes.set_xticks(place[::every], [r.name for r in rows[::every]], rotation=30 if len(rows) > 7 else 0)
        axes.set_xlim(-0.6, len(rows) - 0.4)
        decorate(axes, f"Accuracy by {name}, all bars of the test span", name, "accuracy (%)")
    return with_legend(figure, axes)


def equity(report: RunReport) -> Figure | None:
    """Plot equity and drawdown of the strategy, net of costs, beside buy and hold."""
    trading = report.trading
    if not trading:
        return None
    curve, figure, when = trading.curve, new_figure(5.4), dates(trading.curve)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    held = ("buy and hold", ORANGE, trading.buy_and_hold, curve.buy_and_hold, curve.buy_and_hold_drawdown)
    own = ("strategy", BLUE, trading.strategy, curve.strategy, curve.strategy_drawdown)
    for name, color, metrics, equity, drawdown in (held, own):
        upper.plot(when, equity, lw=1.3, color=color, label=f"{name}: {gain(metrics.total_return)}")
        lower.plot(when, 100 * np.array(drawdown), lw=1, color=color)
    paid = f"{describe_costs(report.config.trade.costs, report.config.trade.fee_schedule)} a side"
    equity_axes(upper, f"Equity net of {paid}, test span")
    decorate(lower, "", "date (UTC)", "drawdown (%)")
    return with_legend(figure, upper)


def costs(report: RunReport) -> Figure | None:
    """Plot Sharpe ratio and total return over a grid of fees and latencies."""
    if not report.trading:
        return None
    cells = {(c.latency, c.fee_bps): c for c in report.trading.grid}
    latencies, fees = (sorted(set(values)) for values in zip(*cells, strict=True))
    sharpe = np.array([[cells[k, fee].sharpe for fee in fees] for k in latencies])
    limit = max(1.0, np.nanmax(np.abs([0, *sharpe.ravel()])))
    figure = new_figure(3.2)
    axes = figure.add_subplot(facecolor="#EEEEEE")
    norm = TwoSlopeNorm(0, -limit, limit)
    image = axes.imshow(np.ma.masked_invalid(sharpe), cmap="RdBu", norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(sharpe):
        text = f"{fixed(value, 2)}\n{gain(cells[latencies[row], fees[column]].total_return)}"
        color = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=color)
    axes.set_xticks(range(len(fees)), [f"{fee:g}" for fee in fees])
    axes.set_yticks(range(len(latencies)), [f"{k}" for k in latencies])
    title = "Annual Sharpe ratio, below it total return, by cost and latency"
    decorate(axes, title, "fee (bps a side, no spread)", "fill after the next open (bars)")
    axes.grid(False)
    figure.colorbar(image).ax.tick_params(labelsize=8.5)
    return figure


def training(report: RunReport) -> Figure | None:
    """Plot the loss on training and validation segments by step."""
    rows, t = report.history, report.training
    if not rows:
        return None
    figure, classes = new_figure(3.8), report.label.classes
    axes, steps = figure.add_subplot(), [row.step for row in rows]
    axes.plot(steps, [row.train for row in rows], marker="s", ms=3.5, lw=1.4, color=ORANGE, label="training")
    axes.plot(steps, [row.valid for row in rows], marker="o", ms=3.5, lw=1.4, color=BLUE, label="validation")
    if not missing(t.best_loss):
        label = f"best: {t.best_loss:.4f} at step {t.best_step:,}"
        axes.plot([t.best_step], [t.best_loss], "o", color=GREEN, mfc="none", mew=1.8, ms=10, zorder=5, label=label)
    reference(axes, math.log(classes), f"uniform forecast: log {classes} = {math.log(classes):.4f}")
    axes.set_xlim(left=0)  # a single evaluation has a place in time too
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    decorate(axes, "Loss during training", "step", "cross-entropy (nats)")
    return with_legend(figure, axes)


def _uniform(axes, report: RunReport) -> None:
    chance = 1 / report.label.classes
    reference(axes, 100 * chance, f"uniform forecast: {percent(chance)}")


PLOTS: dict[str, Callable[[RunReport], Figure | None]] = {
    "coverage": coverage,
    "calibration": calibration,
    "groups": groups,
    "equity": equity,
    "costs": costs,
    "training": training,
}
