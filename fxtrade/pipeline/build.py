"""Build the network, the loss, the trading rules and the market of a config."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from fxtrade import losses, models
from fxtrade.backtest import engine
from fxtrade.core import registry
from fxtrade.core.config import BracketConfig, LimitsConfig, RunConfig, TradeConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry, Conditions, ExecutionPolicy, Margin, Market, OrderLimits
from fxtrade.core.order_types import Bracket, Order
from fxtrade.core.trading_types import Result, Rule
from fxtrade.core.types import Array, Bars, Number, Output, Segment
from fxtrade.data import funding
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval
from fxtrade.market import carry, costs, fees
from fxtrade.pipeline import spreads
from fxtrade.pipeline.dataset import Dataset
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
    conditions, source = build_conditions(config, panel)
    return Terms(build_market(config, panel.interval), build_policy(config), conditions, config.capital, source)


def build_market(config: TradeConfig, interval: int | None = None) -> Market:
    """Return the market.

    Args:
        interval: of the bars in ns, `Panel.interval`, in which annual rates of carry are paid.

    Raises:
        ConfigError: an unknown cost or fee schedule, options that do not fit it, or a carry without an interval.
    """
    market, margin, limits, rates = build_costs(config), config.margin, config.limits, config.carry
    if margin.initial is not None:
        terms = Margin(margin.initial, margin.maintenance or None, margin.collateral, margin.fee_bps)
        market = market._replace(margin=jax.tree.map(np.float64, terms))
    if limits != LimitsConfig():
        given = OrderLimits(limits.lot, limits.tick, limits.min_notional, limits.participation)
        market = market._replace(limits=jax.tree.map(np.float64, given))
    if rates.borrow is not None or rates.interest is not None:
        if interval is None:
            raise ConfigError("config.trade.carry: annual rates need the interval of the bars; give Panel.interval")
        borrow, interest = (carry.per_bar(np.float64(rate or 0.0), interval) for rate in (rates.borrow, rates.interest))
        market = market._replace(carry=Carry(borrow, interest, np.float64(rates.derivative)))
    return market


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
    if "quoted_spread" in config.costs:
        spread = spreads.before_each_row(panel.bars, config.spread)
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


def build_costs(config: TradeConfig) -> Market:
    """Return the market with its costs alone, which need no bars."""
    options, schedule = dict(config.costs), None
    if config.fee_schedule is not None:
        registry.check_names([config.fee_schedule], fees.SCHEDULES, "config.trade.fee_schedule: there is no schedule")
        schedule = fees.SCHEDULES[config.fee_schedule]
        options.pop("fee", None)
        options["tiered_fee"] = {}
    elif "tiered_fee" in options:
        raise ConfigError("config.trade.costs: tiered_fee needs config.trade.fee_schedule, such as 'binance_spot'")
    return costs.build(options, config.latency, "config.trade.costs", schedule)


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
