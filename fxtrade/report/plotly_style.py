"""Helpers of all interactive figures: axes, times and menus.

Backgrounds are transparent and grids half-transparent grey, so that the page decides between light and dark.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Int

from fxtrade.core.types import Array
from fxtrade.report.plotting import BLUE, GREY

POINTS = 3_000  # of a line
LINES = "rgba(128,128,128,0.25)"
SHADE = "rgba(0,114,178,0.2)"
CLEAR = "rgba(0,0,0,0)"
LEGEND = {"orientation": "h", "x": 0, "y": -0.06, "yanchor": "top"}


def clock(ns: Int[Array, " points"]) -> np.ndarray:
    """Return times as plotly writes them, to the millisecond."""
    return np.asarray(ns, np.int64).astype("M8[ns]").astype("M8[ms]")


def style(figure: go.Figure, height: int) -> None:
    """Set the height in pixels, margins, fonts and grids of a figure."""
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


def with_scales(figure: go.Figure, axis: str, *menus: dict, log: bool = False) -> go.Figure:
    """Add two buttons that make an axis linear or logarithmic, which it is at first if `log`."""
    buttons = [{"label": name, "method": "relayout", "args": [{f"{axis}.type": name}]} for name in ("linear", "log")]
    scale = {
        "buttons": buttons, "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.02,
        "yanchor": "bottom", "bgcolor": CLEAR, "pad": {"t": 0, "b": 0}, "active": int(log),
    }  # fmt: skip
    figure.update_layout(updatemenus=[*menus, scale], margin_t=72)  # below the mode bar
    # with a format of its own a logarithmic axis writes 20, not a small 2
    figure.update_layout({axis: {"type": "log" if log else "linear", "tickformat": ",~g"}})
    return figure
