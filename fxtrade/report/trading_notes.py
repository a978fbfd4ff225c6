"""Notes on a backtest in words: its terms of trade, its events, and its results under other paths within a bar."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fxtrade.backtest.trade_table import OPEN, Trades
from fxtrade.core.order_types import Reason
from fxtrade.core.registry import to_dict
from fxtrade.core.text import plural
from fxtrade.core.trade_config import BracketConfig, LimitsConfig, TradeConfig
from fxtrade.core.trading_types import Counts
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_time
from fxtrade.evaluate.results import PathCell, TradingSummary
from fxtrade.report.formatting import describe_costs, fixed, gain, number, percent

EVENTS = {  # by name of a count: what was counted, and of what
    "liquidated": ("position", "liquidated for want of margin"),
    "cut": ("order", "cut for want of margin"),
    "dropped": ("order", "dropped, smaller than a lot or than the smallest value of a trade"),
    "expired": ("order", "expired"),
    "ambiguous": (
        "bar",
        "in whose range both the stop and the target of a position lie, so that their order is assumed",
    ),
}
ENDED = {OPEN: "kept at its last price", Reason.DELISTED: "closed", Reason.LIQUIDATION: "written off"}
LISTED = 12  # assets that are named
SAME = 0.001  # paths whose total returns differ by no more need no words
DELISTED = {
    "mark": "keeps its last price",
    "close": "is sold at its last price",
    "haircut": "is closed: a long one {haircut} below its last price, a short one at that price",
    "zero": "is closed: a long one at nothing, a short one at its last price",
}


def describe_events(counts: Counts | TradingSummary) -> list[str]:
    """Return a line for each number of events that is not 0: "3 orders cut for want of margin"."""
    found = ((int(getattr(counts, name)), *words) for name, words in EVENTS.items())
    return [f"{plural(count, noun)} {what}" for count, noun, what in found if count]


def describe_ended(panel: Panel, trades: Trades) -> str:
    """Return the assets whose bars end before those of the panel while they are held, and what became of them."""
    ok = np.asarray(panel.bars.ok)
    last = len(ok) - 1 - ok[::-1].argmax(0)
    ended = trades.select(trades.exit_row > last[trades.asset])
    ended = ended.select(last[ended.asset] < len(ok) - 1)
    if not len(ended):
        return ""
    texts = [
        f"{panel.symbols[asset]} (last bar {format_time(int(panel.times[last[asset]]), 'D')}, position {ENDED[reason]})"
        for asset, reason in zip(ended.asset[:LISTED].tolist(), ended.reason[:LISTED].tolist(), strict=True)
    ]
    more = f" and {len(ended) - LISTED} more" if len(ended) > LISTED else ""
    return f"The bars of {plural(len(ended), 'asset')} end before the data while held: {', '.join(texts)}{more}"


def describe_repeats(target: Float[np.ndarray, "N A"], trade: TradeConfig) -> str:
    """Return that targets with exits repeat the one before, and what prevents it; "" where none does."""
    repeats = int(np.count_nonzero((target[1:] == target[:-1]) & (target[1:] != 0)))
    if trade.bracket == BracketConfig() or not repeats:
        return ""
    return (
        f"{plural(repeats, 'target')} {'repeats' if repeats == 1 else 'repeat'} the one before, and each is an order: "
        "it may move the stop closer, and opens a position again that its exit has closed; "
        """--config.trade.rules='({"name": "only_changes"},)' trades changes alone"""
    )


def describe_paths(paths: Sequence[PathCell]) -> str:
    """Return the range of results over the order of the extremes in a bar; "" where little or nothing depends on it."""
    returns = [x.total_return for x in paths]
    if not paths or max(returns) - min(returns) <= SAME:
        return ""
    texts = [f"{gain(x.total_return)} (Sharpe ratio {fixed(x.sharpe, 2)}) {x.path}" for x in paths]
    return f"A bar does not tell which extreme came first; total return by path: {', '.join(texts)}"


def describe_first_tier(trade: TradeConfig) -> str:
    """Return that the capital is too small for the tiers of a fee schedule; "" where it was given."""
    schedules = {own.fee_schedule for own in (trade, *trade.assets.values())} - {None}
    if not schedules or trade.capital != TradeConfig().capital:
        return ""
    names = " and ".join(sorted(map(str, schedules)))
    return f"A capital of {trade.capital:g} always pays the first tier of {names}: give config.trade.capital"


def describe_delisted(trade: TradeConfig) -> str:
    """Return what becomes of a position in an asset whose bars end."""
    return DELISTED[trade.delisted].format(haircut=percent(trade.haircut, 0))


def describe_trade(trade: TradeConfig) -> str:
    """Return the terms of trade in words: costs, latency, what `describe_terms` says, and `delisted`."""
    late = f", {plural(trade.latency, 'bar')} later" if trade.latency else ""
    paid = describe_costs(trade.costs, trade.fee_schedule)
    made = [f"Decisions fill from the next open on{late}, at {paid} a side.", *describe_terms(trade)]
    if trade.delisted != "mark":
        made.append(f"A position in an asset whose bars end before the data {describe_delisted(trade)}.")
    return " ".join(made)


def describe_terms(trade: TradeConfig) -> list[str]:
    """Return a sentence for each part of the terms of trade that the config sets besides costs and latency."""
    made, exits = [], _given(trade.bracket, percent)
    if exits:
        later = " from the bar after it on" if trade.exits_from == "next_bar" else ""
        made.append(f"Each position has exits, as shares of its entry price{later}: {exits}; path {trade.path}.")
    margin, own_margins = trade.margin, any(own.margin for own in trade.assets.values())
    if margin.initial or margin.maintenance or (margin.initial is not None and not own_margins):
        made.append(f"Initial margin {percent(margin.initial)}, maintenance margin {percent(margin.maintenance)}.")
    if trade.limits != LimitsConfig():
        made.append(f"Limits of orders: {_given(trade.limits, number)}.")
    by_size = any(own.limits or own.fee_schedule for own in trade.assets.values())
    if trade.limits != LimitsConfig() or trade.fee_schedule or by_size:
        made.append(f"The account starts with {number(trade.capital)}.")
    if trade.carry.borrow is not None or trade.carry.interest is not None:
        rates = f"borrow {percent(trade.carry.borrow or 0.0)}, interest {percent(trade.carry.interest or 0.0)}"
        made.append(f"Annual rates: {rates}.")
    own_terms = {symbol: ", ".join(_keys(to_dict(own))) for symbol, own in trade.assets.items()}
    return [*made, *(f"{symbol} differs: {terms}." for symbol, terms in own_terms.items() if terms)]


def _keys(terms: Mapping[str, Any], group: str = "") -> list[str]:
    """Return the keys of nested terms that are given with their values: ["costs.fee.rate_bps 5", ...]."""
    found = []
    for key, value in terms.items():
        if isinstance(value, Mapping):
            found += _keys(value, f"{group}{key}.")
        elif value is not None:
            found.append(f"{group}{key} {value:g}" if isinstance(value, float) else f"{group}{key} {value}")
    return found


def _given(group: Any, form) -> str:
    """Return the keys of a group that are not None with their values: "stop 5.0 %, target 10.0 %"."""
    values = {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
    return ", ".join(f"{name.replace('_', ' ')} {form(value)}" for name, value in values.items() if value is not None)
