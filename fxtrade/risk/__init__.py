"""Trading rules, which choose the weights to hold.

To add a rule, write a function that makes a `Rule` of options, all with defaults, and one line below. The tests in
tests/risk run over these registries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fxtrade.core.trading_types import Rule
from fxtrade.risk import (
    allocation_rule,
    beta_hedge,
    carry,
    cost_aware,
    exits,
    exposure_limits,
    forecast_sizing,
    guard,
    kelly_sizing,
    limits,
    pairs,
    regimes,
    reversion,
    scaling,
    sizing,
    stops,
    toward,
    trend,
    universe,
)


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
    "bet_size": Sizing(
        forecast_sizing.bet_size,
        "The most confident {coverage} of the forecasts are traded, the more the more confident they are",
        has_threshold=True,
    ),
    "mean_variance": Sizing(
        forecast_sizing.mean_variance, "All forecasts are traded, each in proportion to its mean over its variance"
    ),
    "kelly": Sizing(kelly_sizing.kelly_sizing, "All forecasts are traded, by a fraction of their Kelly weights"),
}
# these, the rules that change or leave out what others ask for, and those that read bars alone
RULES: dict[str, Callable[..., Rule]] = {name: entry.function for name, entry in SIZING.items()} | {
    "only_changes": toward.only_changes,
    "buy_and_hold": toward.buy_and_hold,
    "no_trade_band": toward.no_trade_band,
    "buffer": toward.buffer,
    "turnover_limit": toward.turnover_limit,
    "cost_gate": cost_aware.cost_gate,
    "aim": cost_aware.aim,
    "fixed_weight": scaling.fixed_weight,
    "fixed_risk": scaling.fixed_risk,
    "volatility_target": scaling.volatility_target,
    "inverse_volatility": scaling.inverse_volatility,
    "portfolio_volatility": scaling.portfolio_volatility,
    "cap": limits.cap,
    "whole_lots": limits.whole_lots,
    "bracket": exits.bracket,
    "atr_bracket": exits.atr_bracket,
    "volatility_barrier": exits.volatility_barrier,
    "chandelier": stops.chandelier,
    "time_stop": stops.time_stop,
    "reentry": stops.reentry,
    "sma_cross": trend.sma_cross,
    "ema_cross": trend.ema_cross,
    "donchian": trend.donchian,
    "rsi_reversion": reversion.rsi_reversion,
    "momentum": trend.momentum,
    "drawdown_scaling": guard.drawdown_scaling,
    "drawdown_stop": guard.drawdown_stop,
    "kill_switch": guard.kill_switch,
    "daily_loss_limit": guard.daily_loss_limit,
    "regime_exposure": regimes.regime_exposure,
    "beta_hedge": beta_hedge.beta_hedge,
    "pairs": pairs.pairs,
    "funding_carry": carry.funding_carry,
    "allocation": allocation_rule.allocation,
    "liquid_universe": universe.liquid_universe,
    "leverage_limit": exposure_limits.leverage_limit,
    "concentration_limit": exposure_limits.concentration_limit,
}
# rules whose target depends on the account, so that they need an engine
READS_ACCOUNT: frozenset[str] = frozenset(
    {
        "drawdown_scaling",
        "drawdown_stop",
        "kill_switch",
        "daily_loss_limit",
        "regime_exposure",
        "leverage_limit",
        "concentration_limit",
        "no_trade_band",
        "buffer",
        "turnover_limit",
        "cost_gate",
        "aim",
        "whole_lots",
        "volatility_barrier",
        "chandelier",
        "time_stop",
        "reentry",
    }
)
# rules whose targets are orders, so that they need an engine and end a chain
GIVES_ORDERS: frozenset[str] = frozenset({"whole_lots", "bracket", "atr_bracket", "volatility_barrier", "chandelier"})
