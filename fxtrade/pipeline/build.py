"""Build the network, the loss, the trading rules and the terms of trade of a config."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade import losses, models
from fxtrade.backtest import engine
from fxtrade.core import registry
from fxtrade.core.config import RunConfig
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Market
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trade_config import BracketConfig, TradeConfig
from fxtrade.core.trading_types import Result, Rule
from fxtrade.core.types import Array, Bars, Number, Output, Segment
from fxtrade.data import funding
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval
from fxtrade.market import costs
from fxtrade.pipeline import spreads
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.market import build_costs, build_market
from fxtrade.risk import RULES, SIZING
from fxtrade.runs.record import Identity


def build_model(config: RunConfig) -> models.Network:
    """Return the network, with the heads that the config's label and auxiliary losses need.

    Raises:
        ConfigError: an unknown model, or options that do not fit it.
    """
    tasks = config.auxiliary
    head_spec = models.HeadSpec(
        config.label.classes,
        returns=bool(tasks.volatility or tasks.expected_return),
        horizons=len(tasks.horizons or ()),
    )
    return models.build(config.model.name, config.model.options, head_spec, config.model.encoding)


def build_loss(config: RunConfig) -> Callable[[Output, Segment], Array]:
    """Return the loss. Raises ConfigError for an unknown one, or options that do not fit it."""
    cost = costs.cost_per_value(build_costs(config.trade))
    return losses.build(config.loss, config.label, cost, config.auxiliary)


class Terms(NamedTuple):
    """The terms on which a config trades the bars of a panel.

    Attributes:
        capital: at the start, in the account's currency.
        funding: source of the funding rates, with what was counted of them; "" without funding.
    """

    market: Market
    policy: ExecutionPolicy
    conditions: Conditions
    capital: float
    funding: str = ""

    def backtest(self, bars: Bars, target: Array | Order, record: bool = False) -> Result:
        """Return `engine.backtest` on these terms."""
        return engine.backtest(bars, target, self.market, self.policy, self.conditions, self.capital, record)


def build_terms(config: TradeConfig, panel: Panel) -> Terms:
    """Return the terms of trade. Raises ConfigError or DataError as the functions below."""
    market = build_market(config, panel.interval, panel.symbols)
    conditions, source = build_conditions(config, panel)
    return Terms(market, build_policy(config), conditions, config.capital, source)


def build_policy(config: TradeConfig) -> ExecutionPolicy:
    """Return how orders fill where the bars leave it open."""
    return ExecutionPolicy(
        config.zero_volume, config.delisted, config.haircut, config.path, config.seed, config.exits_from
    )


def build_conditions(config: TradeConfig, panel: Panel) -> tuple[Conditions, str]:
    """Return funding rates and spreads of each row, and the source of the rates with what was counted of them.

    Raises:
        DataError: see `data.funding.read`. ConfigError: the cost "quoted_spread" without order books and estimator.
    """
    spread, given = None, config.funding
    own = {f"assets.{symbol}.costs": terms.costs for symbol, terms in config.assets.items()}
    key = next((key for key, costs in ({"costs": config.costs} | own).items() if "quoted_spread" in costs), None)
    if key is not None:
        spread = spreads.before_each_row(panel.bars, config.spread, f"config.trade.{key}")
    if given.path is None:
        return Conditions(spread=spread), ""
    aligned = funding.read(given.path, panel, given.files or given.symbols)
    return Conditions(aligned.rates, spread), aligned.source


def build_order(config: TradeConfig, target: Float[np.ndarray, "N A"]) -> Order:
    """Return market orders for target weights, with the exits of the config."""
    if config.bracket == BracketConfig():
        return Order(target)
    exits = (getattr(config.bracket, name) for name in Bracket._fields)
    return Order(target, bracket=Bracket(*(None if x is None else np.full(target.shape, x) for x in exits)))


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


def build_rules(config: TradeConfig) -> list[Rule]:
    """Return the rules that follow the sizing. Raises ConfigError for an unknown one, or options that do not fit it."""
    return [
        registry.build(RULES, rule.name, rule.options, "rule", f"config.trade.rules[{i}]")()
        for i, rule in enumerate(config.rules or ())
    ]


def identity(config: RunConfig, data: Dataset, fingerprint: str = "") -> Identity:
    """Return what the weights of a run of this config on these data belong to."""
    encoding, options = config.model.encoding, dict(config.model.options)
    if encoding.name != "none":
        options["encoding"] = {encoding.name: dict(encoding.options)}
    return Identity(
        model=config.model.name,
        model_options={k: str(v) for k, v in options.items()},
        head_spec=tuple(map(int, build_model(config).head_spec)),
        features=config.features,
        columns=data.features.names,
        scaler=config.scaler,
        symbols=data.panel.symbols,
        interval=format_interval(data.panel.interval),
        label=config.label,
        horizons=tuple(config.auxiliary.horizons or ()),
        data_fingerprint=fingerprint,
    )
