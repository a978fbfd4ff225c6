"""The trading rules of a config, and the strategy that they make of forecasts or of given weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Float

from fxtrade.core import compat, registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trade_config import BracketConfig, RuleConfig, TradeConfig
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Bars, Forecast, Number
from fxtrade.data.times import UNITS
from fxtrade.market import costs
from fxtrade.pipeline.market import build_costs
from fxtrade.risk import GIVES_ORDERS, READS_ACCOUNT, RULES, SIZING
from fxtrade.risk.exits import bracket
from fxtrade.risk.rule import replay, traced

YEAR = 365 * UNITS["d"]


class Strategy(NamedTuple):
    """What an account trades: a rule, and the rows that it reads besides bars.

    Attributes:
        rule: decides at the close of each bar, within the loop over the bars.
        target: weights that the rule gets, such as those of a sizing or of a file; None: NaN.
        forecast: None: the rule reads none.
        names: of the rules of a `traced` one, for the report of when each bound; empty: it is not reported.
    """

    rule: Rule
    target: Float[Array, "N A"] | None = None
    forecast: Forecast | None = None
    names: tuple[str, ...] = ()

    def targets(self, bars: Bars) -> Array | Order:
        """Return the targets of a rule that does not read the account, in float64 where the backend has it."""
        rows = Observation(self.forecast, bars, self.target)
        with compat.float64():
            return jax.device_get(_replay(self.rule, rows))


def build_sizing(config: TradeConfig, horizon: int, threshold: Number = 0.0) -> Rule:
    """Return the rule that makes target weights of a forecast.

    Args:
        horizon: of the label, in bars; the option `horizon` takes its place.
        threshold: of confidence, for the rules that have one.

    Raises:
        ConfigError: an unknown rule, or options that do not fit it.
    """
    given = {
        "threshold": threshold,
        "max_gross_exposure": config.max_gross_exposure,
        "allow_short": config.allow_short,
    }
    if "horizon" not in config.sizing.options:
        given["horizon"] = horizon
    name, options = config.sizing.name, config.sizing.options
    return registry.build(SIZING, name, options, "rule", "config.trade.sizing", **given)()


def build_rules(
    config: TradeConfig, rules: Sequence[RuleConfig] | None = None, where: str = "config.trade.rules", **given: Any
) -> list[Rule]:
    """Return the rules of `rule_makers`."""
    return [make() for make in rule_makers(config, rules, where, **given)]


def rule_makers(
    config: TradeConfig, rules: Sequence[RuleConfig] | None = None, where: str = "config.trade.rules", **given: Any
) -> list[Callable[..., Rule]]:
    """Return the functions that make rules on the terms of a config; they take further options.

    What a rule has to know of the terms, the options `cost_per_value` and `latency`, comes from the config.

    Args:
        rules: None: those that follow the sizing, `config.rules`.
        where: the config key of the rules, in messages.
        given: what the program knows, such as the horizon of a label; an option of a rule takes its place.

    Raises:
        ConfigError: an unknown rule, options that do not fit it, or a rule after one whose targets are orders.
    """
    rules = config.rules or () if rules is None else rules
    terms, made = {"cost_per_value": costs.cost_per_value(build_costs(config)), "latency": config.latency}, []
    for i, rule in enumerate(rules):
        known = {key: value for key, value in given.items() if key not in rule.options}
        place = f"{where}[{i}]"
        made.append(registry.build(RULES, rule.name, rule.options, "rule", place, **terms, **known))
    names = [rule.name for rule in rules] + (["bracket"] if config.bracket != BracketConfig() else [])
    for i, name in enumerate(names[:-1]):
        if name in GIVES_ORDERS:
            raise ConfigError(
                f"{where}[{i}]: '{name}' gives orders and ends a chain; '{names[i + 1]}' cannot follow it"
            )
    return made


@functools.cache  # the same rule is the same compiled program
def build_rule(config: TradeConfig, interval: int = UNITS["d"], horizon: int | None = None) -> Rule:
    """Return the rules of a config, `traced`, with its bracket at the end.

    Args:
        interval: of the bars in ns, by which rules annualise volatility.
        horizon: of the label whose forecasts are traded, in bars; None: there are no forecasts.

    Raises:
        ConfigError: as `build_rules`.
    """
    given = {} if horizon is None else {"horizon": horizon}
    return traced(*build_rules(config, bars_per_year=YEAR / interval, **given), *build_bracket(config))


def rule_names(config: TradeConfig) -> tuple[str, ...]:
    """Return the names of the rules of `build_rule`; none, where they are those that every config has."""
    if config.rules == TradeConfig().rules:
        return ()
    names = tuple(rule.name for rule in config.rules or ())
    return names if config.bracket == BracketConfig() else (*names, "bracket")


def build_bracket(config: TradeConfig) -> list[Rule]:
    """Return the rule that attaches the exits of a config to every order; none without exits."""
    exits = {name: getattr(config.bracket, name) for name in Bracket._fields}
    return [] if config.bracket == BracketConfig() else [bracket(**exits)]


def reads_account(config: TradeConfig) -> bool:
    """Return whether the targets of a config's rules depend on the account, so that they need an engine."""
    return any(rule.name in READS_ACCOUNT for rule in config.rules or ())


_replay = jax.jit(replay, static_argnames="rule")
