"""The configuration of a sweep: a rule, its grid of parameters, and the market it is traded in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from ml_collections import ConfigDict

from fxtrade.core.config import DataConfig, check_of_rules
from fxtrade.core.config_base import Config, empty
from fxtrade.core.registry import Interval, Natural, Positive, from_mapping, require
from fxtrade.core.trade_config import RuleConfig, TradeConfig

UNUSED = ("sizing", "coverage", "max_gross_exposure", "allow_short", "bracket")  # keys of trade
HINT = "the weights, sides and exits of a sweep are those of config.rule and config.grid, such as bracket_stop"
Score = Literal["sharpe", "sortino", "calmar", "total_return"]


@dataclasses.dataclass(frozen=True)
class RefineConfig(Config):
    """Gradient ascent of the parameters that are real numbers, within the range of their values in the grid."""

    steps: Natural = 0  # 0: none
    learning_rate: Positive = 0.05  # of the first step, as a share of the range


@dataclasses.dataclass(frozen=True)
class SweepConfig(Config):
    """The sets of a sweep are all combinations of the values of `grid`; `trade.rules` follow the rule."""

    name: str = "sweep"
    run: str | None = None  # folder of a finished run whose forecasts the rule reads; the bars are the run's
    data: DataConfig = DataConfig()  # with `run` only its path counts, of the same bars
    # share of the bars, the last ones, on which the best set is tested; with `run` its test span, sets being compared
    # on its validation span
    held_out: Annotated[float, Interval(ge=0, lt=1)] = 0.25
    rule: RuleConfig = RuleConfig("sma_cross")  # a key of risk.RULES, and its fixed options
    # values by parameter of the rule, or of the bracket such as "bracket_stop"
    grid: Mapping[str, tuple[float, ...]] = empty()
    increasing: tuple[str, ...] | None = None  # parameters whose values must increase in this order
    trade: TradeConfig = TradeConfig()  # the market, and the rules that follow
    score: Score = "sharpe"  # by which the best set is chosen
    refine: RefineConfig = RefineConfig()
    null_paths: Natural = 20  # surrogate markets on which the sweep is repeated; 0: none
    null_block: str = "1d"  # blocks of bars that are shuffled for a surrogate
    seed: Natural = 0  # of the surrogates
    max_hours: float = 24.0  # longest estimated time that is begun


def freeze(values: Mapping[str, Any]) -> SweepConfig:
    """Return the `SweepConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    config = from_mapping(SweepConfig, values.to_dict() if isinstance(values, ConfigDict) else values, "config")
    require(bool(config.grid), "config.grid", {}, "have at least one parameter")
    check_of_rules(config.data, config.run, config.trade, UNUSED, HINT)
    return config
