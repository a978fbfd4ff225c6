"""The rules of a sweep: from the parameters of one set, which may be traced, to the rule that trades it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
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
from fxtrade.pipeline.strategy import build_rules
from fxtrade.risk import RULES, SIZING
from fxtrade.risk.exits import bracket
from fxtrade.risk.rule import chain
from fxtrade.risk.signals import as_real
from fxtrade.risk.sizing import confidence_threshold

CHECKED = 20_000  # sets, at most, that are checked one by one before a sweep starts
BRACKET = "bracket_"  # beginning of the parameters of a bracket
COVERAGE = "coverage"  # share of the forecasts that is traded, in place of the threshold itself


class Given(NamedTuple):
    """What the rules of a sweep depend on besides their parameters.

    Attributes:
        assets: their number.
        horizon: of the label of the run whose forecasts are traded, in bars; None without a run.
        confidence: of the forecasts on which a threshold is chosen.
    """

    assets: int = 1
    horizon: int | None = None
    confidence: Float[np.ndarray, " M"] = np.zeros(1, np.float32)


def make_grid(config: SweepConfig) -> Grid:
    """Return the sets of a config. Raises ConfigError as `backtest.grid.make`."""
    return grids.make(config.grid, config.increasing or ())


def rule_factory(config: SweepConfig, given: Given) -> Callable[..., Rule]:
    """Return the function that makes the rule of one set from its parameters.

    A rule that gives each asset a weight gets 1 over their number, and one that holds a forecast gets the horizon of
    its label, unless the config has another. The parameter `coverage` of a rule with a threshold is the share of the
    forecasts that reach it.

    Raises:
        ConfigError: a rule or a parameter that does not exist, a set that is impossible, or a rule that reads forecasts
            without a run.
    """
    name, options = config.rule.name, dict(config.rule.options)
    registry.check_names([name], RULES, "config.rule: there is no rule")
    if name in SIZING and given.horizon is None:
        raise ConfigError(f"config.rule: {name} reads forecasts; name a finished run with config.run")
    rules, (own, exits) = build_rules(config.trade), _divide(config.grid)
    _check_parameters(name, options, own, exits)
    accepted = inspect.signature(RULES[name]).parameters
    if "max_window" in accepted and "max_window" not in options and own:
        options["max_window"] = int(max(map(max, own.values())))
    for option, value in (("weight", 1 / given.assets), ("horizon", given.horizon)):
        if option in accepted and option not in {*options, *own}:
            options[option] = value
    level = _threshold_of(own.get(COVERAGE, ()), given.confidence)

    def make(**parameters: Any) -> Rule:
        own, exits = _divide(parameters)
        if COVERAGE in own:
            own["threshold"] = level(own.pop(COVERAGE))
        made = [RULES[name](**options, **own), *rules]
        return chain(*made, bracket(**exits)) if exits else chain(*made)

    sets = make_grid(config).sets()
    count = len(next(iter(sets.values())))
    for p in range(0, count, -(-count // CHECKED)):
        make(**{axis: values[p].item() for axis, values in sets.items()})
    return make


def _check_parameters(name: str, options: Mapping[str, Any], own: Mapping[str, Any], exits: Mapping[str, Any]) -> None:
    """Raise ConfigError for parameters that the rule or the bracket does not have, or that cannot be swept."""
    accepted = {**inspect.signature(RULES[name]).parameters}
    has_coverage = name in SIZING and SIZING[name].has_threshold
    for axis in own:
        parameter = accepted.get(axis)
        switch = parameter is not None and isinstance(parameter.default, bool)
        if switch or axis in options or axis in ("max_window", "horizon"):
            raise ConfigError(f"config.grid: {axis} cannot be swept; give it in config.rule.options alone")
    names = [*accepted, COVERAGE] if has_coverage else [*accepted]
    registry.check_names(own, names, f"config.grid: the rule {name} has no parameter")
    allowed = inspect.signature(bracket).parameters
    registry.check_names(exits, allowed, "config.grid: the rule bracket has no parameter")
    if COVERAGE in own and "threshold" in {*own, *options}:
        raise ConfigError("config.grid: coverage chooses the threshold; give one of the two")


def _divide(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the rule, and those of the bracket without their prefix."""
    own = {axis: value for axis, value in parameters.items() if not axis.startswith(BRACKET)}
    exits = {axis.removeprefix(BRACKET): value for axis, value in parameters.items() if axis.startswith(BRACKET)}
    return own, exits


def _threshold_of(coverages: tuple[float, ...], confidence: Float[np.ndarray, " M"]) -> Callable[[Any], Array]:
    """Return the function from a coverage, one of the given, to the confidence that such a share reaches."""
    rising, every = np.sort(coverages), np.ones(len(confidence), bool)
    levels = np.asarray([confidence_threshold(confidence, every, share) for share in rising.tolist()])
    return lambda share: as_real(levels)[jnp.searchsorted(as_real(rising), as_real(share))]
