"""Build the network, the loss and the terms of trade of a config."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fxtrade import losses, models
from fxtrade.backtest import engine
from fxtrade.backtest.checks import needs_path
from fxtrade.core import compat
from fxtrade.core.config import RunConfig
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Market
from fxtrade.core.order_types import Order
from fxtrade.core.trade_config import TradeConfig
from fxtrade.core.trading_types import Result
from fxtrade.core.types import Array, Bars, Output, Segment
from fxtrade.data import funding
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval
from fxtrade.market import costs
from fxtrade.pipeline import spreads
from fxtrade.pipeline.dataset import Dataset
from fxtrade.pipeline.market import build_costs, build_market
from fxtrade.pipeline.strategy import Strategy
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

    def backtest(self, bars: Bars, target: Array | Order | Strategy, record: bool = False) -> Result:
        """Return `engine.backtest` of targets, or `engine.backtest_rule` of a strategy, on these terms."""
        terms = self.market, self.policy, self.conditions, self.capital, record
        if isinstance(target, Strategy):
            return engine.backtest_rule(bars, target.rule, *terms, target.forecast, target.target)
        return engine.backtest(bars, target, *terms)

    def stress(self, bars: Bars, strategy: Strategy) -> Result:
        """Return `engine.stress_rule` on these terms, whose market has leaves `[P]`."""
        terms = self.market, self.policy, self.conditions, self.capital
        return engine.stress_rule(bars, strategy.rule, *terms, strategy.forecast, strategy.target)

    def needs_path(self, bars: Bars, strategy: Strategy) -> bool:
        """Return whether the orders of a strategy depend on the path within a bar."""
        seen = engine.observe(bars, self.conditions, strategy.forecast, strategy.target)
        with compat.float64():
            return needs_path(engine.order_like(strategy.rule, seen), self.market)


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
        return Conditions(panel.funding, spread), "" if panel.funding is None else "simulated"
    aligned = funding.read(given.path, panel, given.files or given.symbols)
    return Conditions(aligned.rates, spread), aligned.source


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
