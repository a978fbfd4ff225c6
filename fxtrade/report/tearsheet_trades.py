"""The interactive figure of a tear sheet's trades on the prices of the assets."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from fxtrade.backtest.trade_table import Trades
from fxtrade.evaluate.tearsheet import TearSheet
from fxtrade.report.formatting import gain, signed_percent
from fxtrade.report.plotly_style import CLEAR, LEGEND, clock, style, with_scales
from fxtrade.report.plotting import BLUE, GREEN, GREY, ORANGE, RED
from fxtrade.report.thinning import thin

PRICES = 1_500  # points of a line, of which there is one for each asset
MARKERS = 300  # trades of an asset that are marked, those with the largest profits and losses
ASSETS = 20  # assets whose trades are drawn, those with the largest profits and losses


def trades(sheet: TearSheet) -> go.Figure:
    """Draw the closes of each asset with its trades; a menu chooses the asset."""
    chosen = drawn_assets(sheet)
    drawn = [_traces(sheet, asset, visible=place == 0) for place, asset in enumerate(chosen)]
    figure = go.Figure([trace for traces in drawn for trace in traces])
    style(figure, 480)
    figure.update_layout(hovermode="closest", legend=LEGEND | {"y": -0.1})
    buttons = [
        {
            "label": sheet.panel.symbols[asset],
            "method": "restyle",
            "args": [{"visible": [other is own for other in drawn for _ in other]}],
        }
        for asset, own in zip(chosen, drawn, strict=True)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "bgcolor": CLEAR}
    return with_scales(figure, "yaxis", menu)


def drawn_assets(sheet: TearSheet, most: int = ASSETS) -> list[int]:
    """Return the assets whose trades are drawn, those with the largest profits and losses, in the panel's order."""
    t = sheet.trades
    moved = np.bincount(t.asset, np.abs(t.net), len(sheet.panel.symbols))
    traded = np.unique(t.asset)
    return sorted(traded[np.argsort(-moved[traded], kind="stable")[:most]].tolist())


def drawn_trades(sheet: TearSheet, asset: int) -> Trades:
    """Return the trades of an asset that are drawn, by time."""
    own = sheet.trades.select(sheet.trades.asset == asset)
    return own.select(np.sort(np.argsort(-np.abs(own.net), kind="stable")[:MARKERS]))


def _traces(sheet: TearSheet, asset: int, visible: bool) -> list[go.Scatter]:
    """Return the closes of an asset, lines from entries to exits, and the markers of both."""
    close, times = np.asarray(sheet.panel.bars.close, np.float64)[:, asset], sheet.panel.times
    rows, own, texts = thin(close, PRICES), drawn_trades(sheet, asset), []
    entry, leave = times[own.entry_row], np.where(own.is_open, sheet.closes[-1], times[own.exit_row])
    for t in own.to_frame(times, sheet.panel.symbols).iter_rows(named=True):
        texts.append(
            f"{t['side']}, {t['size']:.6g} units<br>in {t['entry_price']:.6g}, out {t['exit_price']:.6g}<br>"
            f"net profit {signed_percent(t['net'] / sheet.capital, 2)}, of the starting capital<br>"
            f"return {gain(t['ret'])}, {t['bars']:,} bars<br>"
            f"MAE {signed_percent(t['mae'], 1)}, MFE {signed_percent(t['mfe'], 1)}<br>exit: {t['reason']}"
        )
    gap = np.full(len(own), np.nan)  # between two trades
    ends, prices = np.stack([entry, leave, leave], 1), np.stack([own.entry_price, own.exit_price, gap], 1)
    grey = {"color": GREY, "width": 1}
    common = {"visible": visible, "hoverinfo": "skip", "mode": "lines"}
    made = [
        go.Scatter(x=clock(sheet.closes[1:][rows]), y=close[rows], name="close", line=grey, **common),
        go.Scatter(x=clock(ends.ravel()), y=prices.ravel(), name="held", line=grey | {"dash": "dot"}, **common),
    ]
    long = own.side > 0
    marks = (  # a reversal is exit and entry in one place, so that the marker of the entry is the larger one
        ("entry, long", entry, own.entry_price, long, "triangle-up", BLUE, 13),
        ("entry, short", entry, own.entry_price, ~long, "triangle-down", ORANGE, 13),
        ("exit with profit", leave, own.exit_price, own.net > 0, "circle", GREEN, 7),
        ("exit with loss", leave, own.exit_price, own.net <= 0, "x", RED, 7),
    )
    for name, time, price, mask, symbol, color, size in marks:
        marker = {"symbol": symbol, "color": color, "size": size, "line": {"color": "white", "width": 0.8}}
        hover = {"text": [texts[i] for i in np.flatnonzero(mask)], "hovertemplate": "%{x}<br>%{text}<extra></extra>"}
        made.append(
            go.Scatter(
                x=clock(time[mask]), y=price[mask], name=name, visible=visible, mode="markers", marker=marker, **hover
            )
        )
    return made
