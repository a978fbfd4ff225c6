"""The configuration of a portfolio: sleeves of rules, how they are blended, and the terms on which the sum trades."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from ml_collections import ConfigDict

from fxtrade.core.config import DataConfig, check_of_rules
from fxtrade.core.config_base import Config, empty
from fxtrade.core.registry import Interval, Positive, from_mapping, require
from fxtrade.core.trade_config import RuleConfig, TradeConfig

UNUSED = ("sizing", "coverage", "max_gross_exposure", "allow_short")  # keys of trade
HINT = "the weights of a portfolio are those of config.sleeves, and the rules of config.trade limit them"


@dataclasses.dataclass(frozen=True)
class SleeveConfig(Config):
    """A chain of rules, the first of which makes weights of bars or of a run's forecasts, and its share of the risk."""

    rules: tuple[RuleConfig, ...]
    budget: Positive = 1.0
    symbols: tuple[str, ...] | None = (
        None  # that it trades, or patterns: "*_PERP", "!*_PERP" for all but these; None: all
    )


@dataclasses.dataclass(frozen=True)
class BlendConfig(Config):
    """How the sleeves are added; see `risk.blend`."""

    volatility: Positive = 0.2  # annual, of each sleeve before its budget
    halflife: Positive = 90.0  # bars
    min_bars: Annotated[int, Interval(ge=2)] = 30
    max_scale: Positive = 5.0  # largest factor on a sleeve


@dataclasses.dataclass(frozen=True)
class PortfolioConfig(Config):
    """The rules of `trade` follow the sum of the sleeves, and that of the benchmark."""

    name: str = "portfolio"
    run: str | None = None  # folder of a finished run whose forecasts sleeves read; the bars are its test span
    data: DataConfig = DataConfig()  # with `run` only its path counts, of the same bars
    first: str | None = None  # ISO date at which the account begins; bars before it warm the rules up; None: first bar
    sleeves: Mapping[str, SleeveConfig] = empty()  # by name
    blend: BlendConfig = BlendConfig()
    # beside the portfolio: equal weights, under the same rules of trade
    benchmark: tuple[RuleConfig, ...] = (RuleConfig("allocation", {"method": "equal"}),)
    trade: TradeConfig = TradeConfig(rules=None)


def freeze(values: Mapping[str, Any]) -> PortfolioConfig:
    """Return the `PortfolioConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    config = from_mapping(PortfolioConfig, values.to_dict() if isinstance(values, ConfigDict) else values, "config")
    require(bool(config.sleeves), "config.sleeves", {}, "have at least one sleeve")
    check_of_rules(config.data, config.run, config.trade, UNUSED, HINT)
    return config
