"""The rules of a sweep: from the parameters of one set, which may be traced, to the rule that trades it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.backtest import grid as grids
from fxtrade.backtest.grid import Grid
from fxtrade.core import registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.sweep_config import SweepConfig
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array
from fxtrade.pipeline.strategy import rule_makers
from fxtrade.risk import RULES, SIZING
from fxtrade.risk.exits import bracket
from fxtrade.risk.rule import chain
from fxtrade.risk.signals import as_real
from fxtrade.risk.sizing import confidence_threshold

CHECKED = 20_000  # sets, at most, that are checked one by one before a sweep starts
BRACKET = "bracket"  # the rule that ends a chain where its parameters are swept
FIXED = ("max_window", "horizon", "cost_per_value", "bars_per_year")  # parameters that are not of one set
COVERAGE = "coverage"  # share of the forecasts that is traded, in place of the threshold itself


class Given(NamedTuple):
    """What the rules of a sweep depend on besides their parameters.

    Attributes:
        assets: their number.
        horizon: of the label of the run whose forecasts are traded, in bars; None without a run.
        confidence: of the forecasts on which a threshold is chosen.
        bars_per_year: by which rules annualise volatility.
    """

    assets: int = 1
    horizon: int | None = None
    confidence: Float[np.ndarray, " M"] = np.zeros(1, np.float32)
    bars_per_year: float = 365.0


def make_grid(config: SweepConfig) -> Grid:
    """Return the sets of a config. Raises ConfigError as `backtest.grid.make`."""
    return grids.make(config.grid, config.increasing or ())


def rule_factory(config: SweepConfig, given: Given) -> Callable[..., Rule]:
    """Return the function that makes the rule of one set from its parameters.

    A rule that gives each asset a weight gets 1 over their number, and one that holds a forecast gets the horizon of
    its label, unless the config has another. The parameter `coverage` of a rule with a threshold is the share of the
    forecasts that reach it. A parameter of a rule of `config.trade.rules`, or of the bracket, begins with its name,
    such as `bracket_stop`.

    Raises:
        ConfigError: a rule or a parameter that does not exist, a set that is impossible, or a rule that reads forecasts
            without a run.
    """
    name, options = config.rule.name, dict(config.rule.options)
    registry.check_names([name], RULES, "config.rule: there is no rule")
    if name in SIZING and given.horizon is None:
        raise ConfigError(f"config.rule: {name} reads forecasts; name a finished run with config.run")
    known: dict[str, Any] = {} if given.horizon is None else {"horizon": given.horizon}
    makers = rule_makers(config.trade, bars_per_year=given.bars_per_year, **known)
    following = [rule.name for rule in config.trade.rules or ()]
    own, others = _divide(config.grid, following)
    _check_parameters(name, options, own)
    _check_following(config, others)
    accepted = inspect.signature(RULES[name]).parameters
    if "max_window" in accepted and "max_window" not in options and own:
        options["max_window"] = int(max(map(max, own.values())))
    for option, value in (("weight", 1 / given.assets), ("horizon", given.horizon)):
        if option in accepted and option not in {*options, *own}:
            options[option] = value
    level = _threshold_of(own.get(COVERAGE, ()), given.confidence)

    def make(**parameters: Any) -> Rule:
        own, others = _divide(parameters, following)
        if COVERAGE in own:
            own["threshold"] = level(own.pop(COVERAGE))
        exits = {} if BRACKET in following else others.get(BRACKET, {})
        made = [RULES[name](**options, **own)]
        made += [maker(**others.get(rule, {})) for rule, maker in zip(following, makers, strict=True)]
        return chain(*made, bracket(**exits)) if exits else chain(*made)

    sets = make_grid(config).sets()
    count = len(next(iter(sets.values())))
    for p in range(0, count, -(-count // CHECKED)):
        make(**{axis: values[p].item() for axis, values in sets.items()})
    return make


def real_parameters(config: SweepConfig) -> list[str]:
    """Return the parameters of the grid that gradient ascent may move: real numbers with several values.

    Windows are whole numbers, a coverage is one of those given, and parameters that must increase stay as they are.
    """
    own, others = _divide(config.grid, [rule.name for rule in config.trade.rules or ()])
    rules = {axis: (config.rule.name, axis) for axis in own}
    rules |= {f"{rule}_{option}": (rule, option) for rule, options in others.items() for option in options}
    return [axis for axis, place in rules.items() if _is_real(config, axis, *place)]


def _is_real(config: SweepConfig, axis: str, rule: str, option: str) -> bool:
    parameter = inspect.signature(RULES[rule]).parameters.get(option)
    free = len(config.grid[axis]) > 1 and axis not in (config.increasing or ())
    return free and parameter is not None and (parameter.default is None or isinstance(parameter.default, float))


def _check_parameters(name: str, options: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise ConfigError for parameters that the rule does not have, or that cannot be swept."""
    accepted = {**inspect.signature(RULES[name]).parameters}
    has_coverage = name in SIZING and SIZING[name].has_threshold
    for axis in own:
        if _is_switch(accepted.get(axis)) or axis in options or axis in FIXED:
            raise ConfigError(f"config.grid: {axis} cannot be swept; give it in config.rule.options alone")
    names = [*accepted, COVERAGE] if has_coverage else [*accepted]
    registry.check_names(own, names, f"config.grid: the rule {name} has no parameter")
    if COVERAGE in own and "threshold" in {*own, *options}:
        raise ConfigError("config.grid: coverage chooses the threshold; give one of the two")


def _check_following(config: SweepConfig, others: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConfigError for parameters of the rules of `config.trade` that these do not have, or cannot be swept."""
    rules = config.trade.rules or ()
    for name, parameters in others.items():
        accepted = inspect.signature(RULES[name] if name in RULES else bracket).parameters
        registry.check_names(parameters, accepted, f"config.grid: the rule {name} has no parameter")
        named = [rule for rule in rules if rule.name == name]
        if len(named) > 1:
            raise ConfigError(f"config.grid: config.trade.rules has '{name}' twice, so its parameters cannot be swept")
        for axis in parameters:
            if _is_switch(accepted[axis]) or axis in FIXED or any(axis in rule.options for rule in named):
                raise ConfigError(f"config.grid: {name}_{axis} cannot be swept; give it in config.trade.rules alone")


def _is_switch(parameter: inspect.Parameter | None) -> bool:
    return parameter is not None and isinstance(parameter.default, (bool, str))


def _divide(
    parameters: Mapping[str, Any], following: Sequence[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the parameters of the rule, and those of each rule after it, which begin with its name."""
    own, others = {}, {}
    names = sorted({*following, BRACKET}, key=len, reverse=True)
    for axis, value in parameters.items():
        name = next((name for name in names if axis.startswith(f"{name}_")), None)
        if name is None:
            own[axis] = value
        else:
            others.setdefault(name, {})[axis.removeprefix(f"{name}_")] = value
    return own, others


def _threshold_of(coverages: tuple[float, ...], confidence: Float[np.ndarray, " M"]) -> Callable[[Any], Array]:
    """Return the function from a coverage, one of the given, to the confidence that such a share reaches."""
    rising, every = np.sort(coverages), np.ones(len(confidence), bool)
    levels = np.asarray([confidence_threshold(confidence, every, share) for share in rising.tolist()])
    return lambda share: as_real(levels)[jnp.searchsorted(as_real(rising), as_real(share))]
