"""Build the network, the loss, the trading rules and the market of a config."""

from __future__ import annotations

from collections.abc import Callable

from fxtrade import losses, models
from fxtrade.core import registry
from fxtrade.core.config import RunConfig, TradeConfig
from fxtrade.core.market_types import Market
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number, Output, Segment
from fxtrade.data.times import format_interval
from fxtrade.market import costs
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
    cost = costs.cost_per_value(build_market(config.trade))
    return losses.build(config.loss, config.label, cost, config.auxiliary)


def build_market(config: TradeConfig) -> Market:
    """Return the market. Raises ConfigError for an unknown cost, or options that do not fit it."""
    return costs.build(config.costs, config.latency, "config.trade.costs")


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
