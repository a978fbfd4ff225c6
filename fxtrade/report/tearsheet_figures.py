"""The interactive figures of a tear sheet, by plotly.

Backgrounds are transparent and grids half-transparent grey, so that the page decides between light and dark.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Int
from plotly.subplots import make_subplots

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.types import Array
from fxtrade.evaluate.tearsheet import Attribution, TearSheet
from fxtrade.evaluate.tearsheet_metrics import DAY, Curve
from fxtrade.report.formatting import gain, percent
from fxtrade.report.plotting import BLUE, GREEN, GREY, ORANGE, RED
from fxtrade.report.tearsheet_tables import profit
from fxtrade.report.thinning import thin

POINTS = 3_000  # of a line
PRICES = 1_500  # of a line of prices, of which there is one for each asset
MARKERS = 500  # trades of an asset that are marked, those with the largest profits and losses
ASSETS = 30  # assets whose trades are drawn, those with the largest profits and losses
BINS = 60
LINES = "rgba(128,128,128,0.25)"
SHADE = "rgba(0,114,178,0.2)"
CLEAR = "rgba(0,0,0,0)"
LEGEND = {"orientation": "h", "x": 0, "y": -0.06, "yanchor": "top"}
MONTHS = "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"


def figures(sheet: TearSheet) -> dict[str, go.Figure]:
    """Return every figure by its name; the name of an attribution begins with "by_"."""
    made = {"curves": curves(sheet), "months": months(sheet), "days": days(sheet)}
    if len(sheet.trades):
        made["trades"] = trades(sheet)
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
    drawn = [("strategy", BLUE, sheet.strategy), ("benchmark", ORANGE, sheet.benchmark)]
    for name, color, curve in reversed(drawn):
        if curve is not None:
            _add_curve(figure, sheet, curve, name, color)
    figure.update_yaxes(tickformat=".0%", row=2)
    _style(figure, 170 + 190 * len(titles))
    figure.update_layout(hovermode="x unified", legend=LEGEND)
    return _with_scales(figure, "yaxis")


def _add_curve(figure: go.Figure, sheet: TearSheet, curve: Curve, name: str, color: str) -> None:
    line = {"color": color, "width": 1.5}
    rows = thin(curve.equity, POINTS)
    style = {"line": line, "name": name, "legendgroup": name}
    figure.add_scatter(
        x=_clock(sheet.closes[rows]), y=curve.equity[rows], row=1, col=1, hovertemplate="%{y:.4g}", **style
    )
    rows, style = thin(curve.drawdown, POINTS), style | {"showlegend": False}
    fill = {"fill": "tozeroy", "fillcolor": SHADE} if name == "strategy" else {}
    figure.add_scatter(
        x=_clock(sheet.closes[rows]), y=curve.drawdown[rows], row=2, col=1, hovertemplate="%{y:.1%}", **fill, **style
    )
    if sheet.window:
        rows, ends = thin(curve.rolling_sharpe, POINTS), sheet.day_starts[sheet.window - 1 :] + DAY
        figure.add_scatter(
            x=_clock(ends[rows]), y=curve.rolling_sharpe[rows], row=3, col=1, hovertemplate="%{y:.2f}", **style
        )


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
    _style(figure, 50 + 34 * len(years))
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
    """Draw the distribution of the daily returns."""
    r = sheet.strategy.days[np.isfinite(sheet.strategy.days)]
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
        for level, name in ((r.mean(), "mean"), (np.quantile(r, 0.05), "5 % quantile")):
            figure.add_vline(
                float(level),
                line={"color": GREY, "dash": "dot", "width": 1},
                annotation_text=f"{name} {percent(level, 2)}",
            )
        figure.layout.annotations[1].update(xanchor="right", y=0.9)
    _style(figure, 320)
    figure.update_xaxes(tickformat=".1%", title_text="daily return")
    figure.update_yaxes(title_text="days")
    return figure


def attribution(part: Attribution) -> go.Figure:
    """Draw the net profit of every group."""
    values = np.array(part.profit)
    figure = go.Figure(
        go.Bar(
            x=list(part.groups),
            y=values,
            marker_color=np.where(values < 0, RED, BLUE),
            customdata=[profit(x) for x in part.profit],
            hovertemplate="%{x}: %{customdata}<extra></extra>",
        )  # fmt: skip
    )
    _style(figure, 250)
    figure.update_xaxes(type="category", showgrid=False, fixedrange=True)
    figure.update_yaxes(tickformat=".0%", fixedrange=True)
    figure.update_layout(margin_t=8)
    return figure


def trades(sheet: TearSheet) -> go.Figure:
    """Draw the closes of each asset with its trades; a menu chooses the asset."""
    figure, chosen = go.Figure(), drawn_assets(sheet)
    for place, asset in enumerate(chosen):
        _add_asset(figure, sheet, asset, visible=place == 0)
    each = len(figure.data) // len(chosen)
    _style(figure, 480)
    figure.update_layout(hovermode="closest", legend=LEGEND | {"y": -0.1})
    buttons = [
        {
            "label": sheet.panel.symbols[asset],
            "method": "restyle",
            "args": [{"visible": [i // each == place for i in range(len(figure.data))]}],
        }
        for place, asset in enumerate(chosen)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "bgcolor": CLEAR}
    return _with_scales(figure, "yaxis", menu)


def drawn_assets(sheet: TearSheet) -> list[int]:
    """Return the assets whose trades are drawn, in the order of the panel."""
    t = sheet.trades
    moved = np.bincount(t.asset, np.abs(t.net), len(sheet.panel.symbols))
    traded = np.unique(t.asset)
    return sorted(traded[np.argsort(-moved[traded], kind="stable")[:ASSETS]].tolist())


def drawn_trades(sheet: TearSheet, asset: int) -> Trades:
    """Return the trades of an asset that are drawn, by time."""
    own = sheet.trades.select(sheet.trades.asset == asset)
    return own.select(np.sort(np.argsort(-np.abs(own.net), kind="stable")[:MARKERS]))


def _add_asset(figure: go.Figure, sheet: TearSheet, asset: int, visible: bool) -> None:
    close, times = np.asarray(sheet.panel.bars.close, np.float64)[:, asset], sheet.panel.times
    rows, own = thin(close, PRICES), drawn_trades(sheet, asset)
    entry, leave = times[own.entry_row], np.where(own.is_open, sheet.closes[-1], times[own.exit_row])
    frame = own.to_frame(times, sheet.panel.symbols)
    texts = [
        f"{side}, {size:.6g} units<br>in {a:.6g}, out {b:.6g}<br>net profit {profit(net)}, return {gain(ret)}"
        f"<br>{bars:,} bars, MAE {percent(mae)}, MFE {percent(mfe)}<br>exit: {reason}"
        for side, size, a, b, net, ret, bars, mae, mfe, reason in frame.select(
            "side", "size", "entry_price", "exit_price", "net", "ret", "bars", "mae", "mfe", "reason"
        ).iter_rows()
    ]
    figure.add_scatter(
        x=_clock(sheet.closes[1:][rows]), y=close[rows], name="close", visible=visible, hoverinfo="skip",
        line={"color": GREY, "width": 1},
    )  # fmt: skip
    held = np.stack([own.entry_price, own.exit_price, np.full(len(own), np.nan)], 1).ravel()
    figure.add_scatter(  # from entry to exit; a gap separates two trades
        x=_clock(np.stack([entry, leave, leave], 1).ravel()), y=held,
        name="held", visible=visible, hoverinfo="skip", mode="lines", line={"color": GREY, "width": 1, "dash": "dot"},
    )  # fmt: skip
    long = own.side > 0
    marks = (  # a reversal is exit and entry in one place, so that the marker of the entry is the larger one
        ("entry, long", entry, own.entry_price, long, "triangle-up", BLUE, 13),
        ("entry, short", entry, own.entry_price, ~long, "triangle-down", ORANGE, 13),
        ("exit with profit", leave, own.exit_price, own.net > 0, "circle", GREEN, 7),
        ("exit with loss", leave, own.exit_price, own.net <= 0, "x", RED, 7),
    )
    for name, time, price, mask, symbol, color, size in marks:
        figure.add_scatter(
            x=_clock(time[mask]), y=price[mask], name=name, visible=visible, mode="markers",
            text=[texts[i] for i in np.flatnonzero(mask)], hovertemplate="%{x}<br>%{text}<extra>" + name + "</extra>",
            marker={"symbol": symbol, "color": color, "size": size, "line": {"color": "white", "width": 0.8}},
        )  # fmt: skip


def _clock(ns: Int[Array, " points"]) -> np.ndarray:
    """Return times as plotly writes them, to the millisecond."""
    return np.asarray(ns, np.int64).astype("M8[ns]").astype("M8[ms]")


def _style(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 16, "t": 36, "b": 32},
        modebar={"bgcolor": CLEAR, "color": GREY, "activecolor": BLUE},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": "system-ui, sans-serif", "size": 12, "color": GREY},
        bargap=0.15,
    )
    figure.update_xaxes(gridcolor=LINES, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=LINES, zerolinecolor=LINES, automargin=True)


def _with_scales(figure: go.Figure, axis: str, *menus: dict) -> go.Figure:
    """Add two buttons that make an axis linear or logarithmic."""
    buttons = [{"label": name, "method": "relayout", "args": [{f"{axis}.type": name}]} for name in ("linear", "log")]
    scale = {
        "buttons": buttons, "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.02,
        "yanchor": "bottom", "bgcolor": CLEAR, "pad": {"t": 0, "b": 0},
    }  # fmt: skip
    figure.update_layout(updatemenus=[*menus, scale], margin_t=72)  # below the mode bar
    return figure
