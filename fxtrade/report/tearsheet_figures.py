"""The interactive figures of a tear sheet, by plotly."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fxtrade.core.text import plural
from fxtrade.evaluate.bindings import Bindings
from fxtrade.evaluate.tearsheet import Attribution, TearSheet
from fxtrade.evaluate.tearsheet_metrics import DAY, Curve
from fxtrade.report.formatting import gain, percent, signed_percent
from fxtrade.report.plotly_style import CLEAR, LEGEND, POINTS, SHADE, clock, style, with_scales
from fxtrade.report.plotting import BLUE, GREY, ORANGE, RED, is_wide
from fxtrade.report.tearsheet_trades import trades
from fxtrade.report.thinning import thin

BINS = 60
NAMED = 60  # assets that each have a line of text; of more some names are left out
TICKS = 8  # groups side by side that have a name
STRETCHES = 500  # of bars side by side, over which bindings of rules are counted
PALE = "#c6dbef"  # a rule that bound in one bar of many
MONTHS = "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"


def figures(sheet: TearSheet) -> dict[str, go.Figure]:
    """Return every figure by its name; the name of an attribution begins with "by_"."""
    made = {"curves": curves(sheet), "months": months(sheet), "days": days(sheet)}
    if len(sheet.trades):
        made["trades"] = trades(sheet)
    if sheet.bindings is not None:
        made["rules"] = rules(sheet, sheet.bindings)
    return made | {f"by_{part.name}": attribution(part) for part in sheet.attributions}


def curves(sheet: TearSheet) -> go.Figure:
    """Draw equity, drawdown and rolling Sharpe ratio one above the other, with one axis of time."""
    titles = ["Equity (start = 1)", "Drawdown"]
    titles += [f"Sharpe ratio of the last {sheet.window} days (annual)"] if sheet.window else []
    heights = [0.5, 0.22, 0.28][: len(titles)]
    figure = make_subplots(
        len(titles), 1, shared_xaxes=True, vertical_spacing=0.08, row_heights=heights, subplot_titles=titles
    )
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    drawn = [("strategy", BLUE, sheet.strategy), (sheet.benchmark_name, ORANGE, sheet.benchmark)]
    for name, color, curve in reversed(drawn):
        if curve is not None:
            _add_curve(figure, sheet, curve, name, color)
    figure.update_yaxes(tickformat="~%", row=2)
    style(figure, 170 + 190 * len(titles))
    figure.update_layout(hovermode="x unified", legend=LEGEND)
    equity = np.concatenate([curve.equity for _, _, curve in drawn if curve is not None])
    return with_scales(figure, "yaxis", log=is_wide(equity.min(), equity.max()))


def _add_curve(figure: go.Figure, sheet: TearSheet, curve: Curve, name: str, color: str) -> None:
    rolling_ends = sheet.day_starts[sheet.window - 1 :] + DAY
    parts = (
        (sheet.closes, curve.equity, "%{y:.4g}", None),
        (sheet.closes, curve.drawdown, "%{y:.1%}", "tozeroy" if name == "strategy" else None),
        (rolling_ends, curve.rolling_sharpe, "%{y:.2f}", None),
    )
    for row, (times, values, hover, fill) in enumerate(parts if sheet.window else parts[:2], 1):
        kept = thin(values, POINTS)
        figure.add_scatter(
            x=clock(times[kept]), y=values[kept], row=row, col=1, name=name, legendgroup=name, showlegend=row == 1,
            mode="lines", line={"color": color, "width": 1.5}, hovertemplate=hover, fill=fill, fillcolor=SHADE,
        )  # fmt: skip


def months(sheet: TearSheet) -> go.Figure:
    """Draw the return of every month, and of every year beside them, on a diverging scale."""
    years, table = month_table(sheet)
    limit = float(np.nanquantile(np.abs(sheet.month_returns), 0.95)) or 0.01
    figure = go.Figure(
        go.Heatmap(
            x=[*MONTHS, "year"],
            y=[str(year) for year in years],
            z=table,
            text=[[gain(x) if np.isfinite(x) else "" for x in row] for row in table],
            texttemplate="%{text}",
            hovertemplate="%{y} %{x}: %{text}<extra></extra>",
            colorscale="RdBu",
            zmin=-limit,
            zmax=limit,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    style(figure, 50 + 34 * len(years))
    figure.update_layout(margin={"t": 30, "b": 8})
    figure.add_vline(11.5, line={"color": GREY, "width": 2})
    figure.update_xaxes(side="top", showgrid=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category", fixedrange=True)
    return figure


def month_table(sheet: TearSheet) -> tuple[list[int], np.ndarray]:
    """Return the years, and `[years, 13]`: the returns of their months and of the year, NaN where there is none."""
    number = sheet.month_starts.astype("M8[ns]").astype("M8[M]").astype(int)
    years, row = np.unique(1970 + number // 12, return_inverse=True)
    table = np.full((len(years), 13), np.nan)
    table[row, number % 12] = sheet.month_returns
    growth = np.ones(len(years))
    np.multiply.at(growth, row, 1 + sheet.month_returns)
    table[:, 12] = growth - 1
    return years.tolist(), table


def days(sheet: TearSheet) -> go.Figure:
    """Draw the distribution of the daily returns that are not 0, as they are on days without a position."""
    r, idle = moving_days(sheet)
    counts, edges = np.histogram(r, BINS)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    color = np.where(middle < 0, RED, BLUE)
    figure = go.Figure(
        go.Bar(
            x=middle,
            y=counts,
            width=width,
            marker={"color": color, "line_width": 0},
            hovertemplate="%{x:.2%}: %{y:,} days<extra></extra>",
        )  # fmt: skip
    )
    if len(r):
        dots = {"color": GREY, "dash": "dot", "width": 1}
        for level, name, side in ((r.mean(), "mean", "right"), (np.quantile(r, 0.05), "5 % quantile", "left")):
            text = f"{name} {percent(level, 2)}"
            figure.add_vline(float(level), line=dots, annotation_text=text, annotation_position=f"top {side}")
    style(figure, 320)
    figure.update_xaxes(tickformat="~%", title_text=f"daily return{idle}")
    figure.update_yaxes(title_text="days")
    return figure


def moving_days(sheet: TearSheet) -> tuple[np.ndarray, str]:
    """Return the daily returns that are not 0, and in words how many are."""
    r = sheet.strategy.days[np.isfinite(sheet.strategy.days)]
    idle = int((r == 0).sum())
    return r[r != 0], f" ({plural(idle, 'day')} of exactly 0 left out)" if idle else ""


def rules(sheet: TearSheet, bindings: Bindings) -> go.Figure:
    """Draw the share of bars in which each rule bound, over time."""
    first, shares = bindings.shares(STRETCHES)
    names = [rule.name for rule in bindings.rules]
    figure = go.Figure(
        go.Heatmap(
            x=clock(sheet.closes[1:][first]),
            y=list(range(len(names))),
            z=shares,
            text=[[name] * len(first) for name in names],
            hovertemplate="%{x} %{text}: %{z:.0%} of the bars<extra></extra>",
            colorscale=[[0, CLEAR], [1e-6, PALE], [1, BLUE]],
            zmin=0,
            zmax=1,
            showscale=False,
            ygap=4,
        )
    )
    style(figure, 70 + 30 * len(names))
    figure.update_layout(margin_t=8)
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False, fixedrange=True
    )
    return figure


def attribution(part: Attribution) -> go.Figure:
    """Draw the net profit of every group; assets, whose names are long, one below the other."""
    values, down = np.array(part.profit), part.name == "asset"
    x, y = (values, list(part.groups)) if down else (list(part.groups), values)
    figure = go.Figure(
        go.Bar(
            x=x,
            y=y,
            orientation="h" if down else "v",
            marker_color=np.where(values < 0, RED, BLUE),
            customdata=[signed_percent(value, 2) for value in part.profit],
            hovertemplate=f"%{{{'y' if down else 'x'}}}: %{{customdata}}<extra></extra>",
        )  # fmt: skip
    )
    style(figure, max(250, 50 + 20 * min(len(values), NAMED)) if down else 250)
    profits = {"tickformat": "~%", "fixedrange": True}
    names = {"type": "category", "showgrid": False, "fixedrange": True}
    if down:
        figure.update_xaxes(**profits)
        figure.update_yaxes(**names, autorange="reversed")
    else:
        figure.update_xaxes(**names, dtick=-(-len(values) // TICKS), tickangle=0)
        figure.update_yaxes(**profits)
    figure.update_layout(margin_t=8)
    return figure
