"""Trading rules, which choose the weights to hold.

To add a rule, write a function that makes a `Rule` of options, all with defaults, and one line below. The tests in
tests/risk run over these registries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fxtrade.core.trading_types import Rule
from fxtrade.risk import beta_hedge, carry, kelly_sizing, pairs, reversion, sizing, toward, trend


class Sizing(NamedTuple):
    """A rule that gives every asset a weight at every bar, never NaN.

    Attributes:
        description: what is traded, a sentence for reports; `{coverage}` is the share of `config.trade.coverage`.
        has_threshold: whether it reads the threshold of confidence.
    """

    function: Callable[..., Rule]
    description: str
    has_threshold: bool = False


SIZING: dict[str, Sizing] = {
    "threshold": Sizing(
        sizing.threshold, "The most confident {coverage} of the forecasts are traded", has_threshold=True
    ),
    "proportional": Sizing(
        sizing.proportional, "All forecasts are traded, each in proportion to its edge, p(up) - p(down)"
    ),
    "kelly": Sizing(kelly_sizing.kelly_sizing, "All forecasts are traded, by a fraction of their Kelly weights"),
}
# these, the rules that change or leave out what others ask for, and those that read bars alone
RULES: dict[str, Callable[..., Rule]] = {name: entry.function for name, entry in SIZING.items()} | {
    "only_changes": toward.only_changes,
    "buy_and_hold": toward.buy_and_hold,
    "sma_cross": trend.sma_cross,
    "ema_cross": trend.ema_cross,
    "donchian": trend.donchian,
    "rsi_reversion": reversion.rsi_reversion,
    "momentum": trend.momentum,
    "beta_hedge": beta_hedge.beta_hedge,
    "pairs": pairs.pairs,
    "funding_carry": carry.funding_carry,
}
# rules whose target depends on the account, so that they need an engine
READS_ACCOUNT: frozenset[str] = frozenset({"funding_carry"})
# rules whose targets are orders, so that they need an engine and end a chain
GIVES_ORDERS: frozenset[str] = frozenset()
