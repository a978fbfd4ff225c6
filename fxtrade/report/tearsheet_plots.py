"""The plots of a tear sheet as pictures, for Markdown reports."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from fxtrade.evaluate.bindings import Bindings
from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.evaluate.tearsheet_metrics import DAY
from fxtrade.report.formatting import gain, percent
from fxtrade.report.plotly_style import POINTS, clock
from fxtrade.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    date_ticks,
    decorate,
    equity_axes,
    log_if_wide,
    new_figure,
    with_legend,
)
from fxtrade.report.tearsheet_figures import BINS, MONTHS, PALE, STRETCHES, month_table, moving_days
from fxtrade.report.tearsheet_trades import drawn_assets, drawn_trades
from fxtrade.report.thinning import thin

ASSETS = 6  # assets whose trades are drawn


def figures(sheet: TearSheet) -> dict[str, Figure]:
    """Return every plot by the name of its file."""
    made = {"curves": curves(sheet), "months": months(sheet), "days": days(sheet)}
    if len(sheet.trades):
        made["trades"] = trades(sheet)
    if sheet.bindings is not None:
        made["rules"] = rules(sheet, sheet.bindings)
    return {f"tearsheet_{name}": figure for name, figure in (made | {"profit": attributions(sheet)}).items()}


def curves(sheet: TearSheet) -> Figure:
    """Plot equity, drawdown and rolling Sharpe ratio."""
    rows = 3 if sheet.window else 2
    figure = new_figure(3.4 + 1.4 * rows)
    upper, *lower = figure.subplots(rows, 1, sharex=True, height_ratios=(3, 1.4, 1.6)[:rows])
    drawn = (
        (sheet.benchmark_name, ORANGE, sheet.benchmark, sheet.benchmark_metrics),
        ("strategy", BLUE, sheet.strategy, sheet.strategy_metrics),
    )
    for name, color, curve, metrics in drawn:
        if curve is None or metrics is None:
            continue
        kept = thin(curve.equity, POINTS)
        upper.plot(
            clock(sheet.closes[kept]),
            curve.equity[kept],
            lw=1.2,
            color=color,
            label=f"{name}: {gain(metrics.total_return)}",
        )
        kept = thin(curve.drawdown, POINTS)
        lower[0].plot(clock(sheet.closes[kept]), 100 * curve.drawdown[kept], lw=0.9, color=color)
        if sheet.window:
            ends = sheet.day_starts[sheet.window - 1 :] + DAY
            lower[1].plot(clock(ends), curve.rolling_sharpe, lw=0.9, color=color)
    equity_axes(upper, "Equity net of costs")
    decorate(lower[0], "", "", "drawdown (%)")
    if sheet.window:
        lower[1].axhline(0, color="black", lw=0.6)
        decorate(lower[1], "", "", f"Sharpe ratio\n({sheet.window} days)")
    lower[-1].set_xlabel("date (UTC)", fontsize=9)
    return with_legend(figure, upper)


def months(sheet: TearSheet) -> Figure:
    """Plot the return of every month and year on a diverging scale."""
    years, table = month_table(sheet)
    limit = float(np.nanquantile(np.abs(sheet.month_returns), 0.95)) or 0.01
    figure = new_figure(0.9 + 0.34 * len(years))
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_invalid(table), cmap="RdBu", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            color = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, gain(value), ha="center", va="center", fontsize=7.5, color=color)
    axes.axvline(11.5, color=GREY, lw=1.5)
    axes.set_xticks(range(13), [*MONTHS, "year"])
    axes.set_yticks(range(len(years)), [str(year) for year in years])
    decorate(axes, "Return by month", "", "")
    axes.grid(False)
    return figure


def days(sheet: TearSheet) -> Figure:
    """Plot the distribution of the daily returns that are not 0."""
    r, idle = moving_days(sheet)
    r = 100 * r
    counts, edges = np.histogram(r, BINS)
    figure = new_figure(2.8)
    axes = figure.add_subplot()
    color = np.where(edges[1:] + edges[:-1] < 0, RED, BLUE).tolist()
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color, edgecolor="white", lw=0.3)
    if len(r):
        low = np.quantile(r, 0.05)
        axes.axvline(r.mean(), color="black", lw=1, ls="-", label=f"mean {percent(r.mean() / 100, 2)}")
        axes.axvline(low, color="black", lw=1, ls=":", label=f"5 % quantile {percent(low / 100, 2)}")
        axes.legend(fontsize=8.5, frameon=False)
    decorate(axes, "Daily returns", f"return of the day in %{idle}", "days")
    return figure


def trades(sheet: TearSheet) -> Figure:
    """Plot the closes of the assets that matter most, with their trades."""
    chosen = drawn_assets(sheet, ASSETS)
    figure = new_figure(0.6 + 2.1 * len(chosen))
    panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for axes, asset in zip(panels, chosen, strict=True):
        own, times = drawn_trades(sheet, asset), sheet.panel.times
        close = np.asarray(sheet.panel.bars.close, np.float64)[:, asset]
        kept = thin(close, POINTS)
        axes.plot(clock(sheet.closes[1:][kept]), close[kept], color=GREY, lw=0.7, label="close")
        entry, leave = times[own.entry_row], np.where(own.is_open, sheet.closes[-1], times[own.exit_row])
        long, won = own.side > 0, own.net > 0
        marks = (
            ("entry, long", entry, own.entry_price, long, "^", BLUE, 44),
            ("entry, short", entry, own.entry_price, ~long, "v", ORANGE, 44),
            ("exit with profit", leave, own.exit_price, won, "o", GREEN, 14),
            ("exit with loss", leave, own.exit_price, ~won, "X", RED, 14),
        )
        for place, (name, time, price, mask, marker, color, size) in enumerate(marks):
            style = {"marker": marker, "color": color, "s": size, "edgecolors": "white", "linewidths": 0.4}
            axes.scatter(clock(time[mask]), price[mask], label=name, zorder=3 + place, **style)
        log_if_wide(axes, np.nanmin(close), np.nanmax(close))
        decorate(axes, sheet.panel.symbols[asset], "", "price")
    date_ticks(panels[-1])
    panels[-1].set_xlabel("date (UTC)", fontsize=9)
    return with_legend(figure, panels[0])


def rules(sheet: TearSheet, bindings: Bindings) -> Figure:
    """Plot the share of bars in which each rule bound, over time."""
    first, shares = bindings.shares(STRETCHES)
    names, edges = [rule.name for rule in bindings.rules], np.append(sheet.closes[first], sheet.closes[-1])
    figure = new_figure(0.9 + 0.35 * len(names))
    axes = figure.add_subplot()
    colors = LinearSegmentedColormap.from_list("bound", [PALE, BLUE])
    bound = np.ma.masked_equal(shares, 0)
    axes.pcolormesh(clock(edges), np.arange(len(names) + 1) - 0.5, bound, cmap=colors, vmin=0, vmax=1)
    for between in range(1, len(names)):
        axes.axhline(between - 0.5, color="white", lw=4)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(*clock(sheet.closes[[0, -1]]))
    axes.invert_yaxis()
    date_ticks(axes)
    decorate(axes, "Bars in which each rule bound", "date (UTC)", "")
    return figure


def attributions(sheet: TearSheet) -> Figure:
    """Plot the net profit by each of the groups."""
    rows = -(-len(sheet.attributions) // 2)
    figure = new_figure(2.2 * rows)
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, part in zip(panels, sheet.attributions, strict=False):
        values, place = 100 * np.array(part.profit), np.arange(len(part.groups))
        axes.bar(place, values, color=np.where(values < 0, RED, BLUE).tolist())
        every = -(-len(place) // 12)
        axes.set_xticks(place[::every], part.groups[::every], rotation=30 if max(map(len, part.groups)) > 5 else 0)
        axes.axhline(0, color="black", lw=0.6)
        decorate(axes, f"Net profit by {part.name}", "", "% of capital")
    for axes in panels[len(sheet.attributions) :]:
        axes.remove()
    return figure
