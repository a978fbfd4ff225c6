"""The grid of a comparison: every model with every recipe on every market, each a list of runs' configs.

`configs/comparison.py` builds the config, the command line overrides it, and `freeze` checks it, as for a single run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from fxtrade.core import config_dict
from fxtrade.core.config import RunConfig
from fxtrade.core.config_base import Config
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Natural, check_names, from_mapping, require, to_dict

PLAIN = "plain"  # the recipe without changes, with which the others are compared
PRETRAINING = 0.5  # share of a stage's budget for its pre-training, if it has any
WARMUP = 0.1  # of the steps, at most, for the learning rate to rise
Changes = Mapping[str, Any]  # keys of RunConfig, nested as there


@dataclasses.dataclass(frozen=True)
class ComparisonConfig(Config):
    """The models, recipes and markets of a comparison, and the budget of each cell."""

    name: str = "comparison"
    seed: Natural = 0
    seeds: int = 3  # members of every cell, with seeds seed, seed + 1, ...
    budget: int = 1_000_000  # bars of single symbols that a member is trained on, the same for every cell of a market
    market_budgets: Mapping[str, int] = dataclasses.field(default_factory=dict)  # lower ones, of markets with few bars
    evaluations: int = 10  # of the validation loss during training; the best weights are kept
    valid_rows: int = 100_000  # bars of single symbols that an evaluation sees, spread over the validation span
    data: str = "."  # folder that the paths of the markets are in
    markets: tuple[str, ...] = ("sim",)  # in the order of the report
    models: tuple[str, ...] = ("wavenet",)
    recipes: tuple[str, ...] = (PLAIN,)  # keys of `recipe_changes`
    runs: Mapping[str, Mapping[str, Changes]] = dataclasses.field(default_factory=dict)  # config by model and market
    changes: Changes = dataclasses.field(default_factory=dict)  # of every cell's config
    market_changes: Mapping[str, Changes] = dataclasses.field(default_factory=dict)
    recipe_changes: Changes = dataclasses.field(default_factory=dict)  # changes, or a list of them: one stage each


class Cell(NamedTuple):
    """One model with one recipe on one market; each stage starts from the weights of the one before."""

    market: str
    model: str
    recipe: str
    stages: tuple[RunConfig, ...]

    @property
    def name(self) -> str:
        return f"{self.market} {self.model} {self.recipe}"


def freeze(values: Mapping[str, Any]) -> ComparisonConfig:
    """Return the `ComparisonConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), name, wrong type or impossible value.
    """
    if isinstance(values, ConfigDict):
        values = values.to_dict()
    config = from_mapping(ComparisonConfig, values, "config")
    known = {
        "models": config.runs,
        "markets": set.intersection(*({*runs} for runs in config.runs.values())) if config.runs else set(),
        "recipes": {PLAIN, *config.recipe_changes},
    }
    for key, names in known.items():
        given = getattr(config, key)
        require(len(set(given)) == len(given), f"config.{key}", given, "be distinct")
        check_names(given, names, f"config.{key}: there is no")
    check_names(config.market_changes, known["markets"], "config.market_changes: there is no")
    check_names(config.market_budgets, known["markets"], "config.market_budgets: there is no")
    for market, budget in config.market_budgets.items():
        require(budget >= 1, f"config.market_budgets.{market}", budget, "be at least 1")
    return config


def cells(config: ComparisonConfig, assets: Mapping[str, int]) -> list[Cell]:
    """Return all cells, the most informative first: plain ones, then all recipes of the first model, and so on.

    Args:
        assets: of each market, by which the budget becomes steps.

    Raises:
        ConfigError: a change does not fit a run's config; the message names the recipe.
    """
    return [
        Cell(market, model, recipe, tuple(_stages(config, market, model, recipe, assets[market])))
        for model, recipe, market in _order(config)
    ]


def market_config(config: ComparisonConfig, market: str) -> RunConfig:
    """Return the config that all cells of a market share: data, features, label, spans, report, and further horizons.

    All cells have the further horizons if any recipe asks for them.

    Raises:
        ConfigError: a change does not fit, or recipes ask for different horizons.
    """
    model = config.models[0]
    stages = (stage for recipe in config.recipes for stage in _stages(config, market, model, recipe, 1))
    asked = {horizons for stage in stages if (horizons := stage.auxiliary.horizons) is not None}
    if len(asked) > 1:
        raise ConfigError(f"recipes ask for different auxiliary.horizons, {sorted(asked)}; give them the same")
    values = _base(config, market, model)
    values["auxiliary"]["horizons"] = next(iter(asked), None)
    return _freeze(values, f"market '{market}'")


def budget(config: ComparisonConfig, market: str) -> int:
    """Return the bars of single symbols that a member is trained on in a cell of this market."""
    return min(config.budget, config.market_budgets.get(market, config.budget))


def _order(config: ComparisonConfig) -> Iterator[tuple[str, str, str]]:
    first = PLAIN if PLAIN in config.recipes else config.recipes[0]
    yield from ((model, first, market) for model in config.models for market in config.markets)
    others = [recipe for recipe in config.recipes if recipe != first]
    yield from ((m, recipe, market) for m in config.models for recipe in others for market in config.markets)


def _base(config: ComparisonConfig, market: str, model: str) -> dict[str, Any]:
    values = _merged(to_dict(RunConfig()), config.runs[model][market])
    values |= {"name": f"{market}-{model}", "seed": config.seed}
    values["train"] |= {
        "ensemble": values["train"]["ensemble"] | {"size": config.seeds},
        "patience": None,
    }  # every member sees the whole budget
    values = _merged(_merged(values, config.changes), config.market_changes.get(market, {}))
    if values["data"]["path"] is not None:
        values["data"]["path"] = os.path.join(config.data, values["data"]["path"])
    return values


def _stages(config: ComparisonConfig, market: str, model: str, recipe: str, assets: int) -> Iterator[RunConfig]:
    """Yield the configs of the stages, which divide the budget equally or by their keys `share`."""
    where = f"recipe '{recipe}' of {model} on {market}"
    given = config.recipe_changes.get(recipe, {})
    parts = list(given) if isinstance(given, (list, tuple)) else [given]
    if not parts or not all(isinstance(part, Mapping) for part in parts):
        raise ConfigError(f"{where} must be a group of keys, or a list of them, got {given!r}")
    shares = [part.get("share", 1 / len(parts)) for part in parts]
    if not all(isinstance(s, (int, float)) and s > 0 for s in shares) or sum(shares) > 1 + 1e-9:
        raise ConfigError(f"{where}: the shares of its stages must be positive and not more than 1 together: {shares}")
    for part, share in zip(parts, shares, strict=True):
        changes = {key: value for key, value in part.items() if key != "share"}
        values = _merged(_base(config, market, model), {**changes, "name": f"{market}-{model}-{recipe}"})
        c = _freeze(values, where)
        pretrained = PRETRAINING if c.pretrain.name != "none" else 0
        total = share * budget(config, market) / (c.train.batch * c.train.segment_length * assets)
        steps = max(round((1 - pretrained) * total), 1)
        every = max(steps // config.evaluations, 1)
        # one call from each evaluation to the next: one program to compile
        values["train"] |= {"steps": steps // every * every, "eval_every": every, "steps_per_call": every}
        values["pretrain"] |= {"steps": max(round(pretrained * total) // every, 1) * every}
        values["optim"] |= {"warmup": min(c.optim.warmup, int(WARMUP * steps))}
        yield _freeze(values, where)


def _freeze(values: dict[str, Any], where: str) -> RunConfig:
    try:
        return config_dict.freeze(values)
    except ConfigError as e:
        raise ConfigError(f"{where}: {e}") from e


def _merged(values: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return `values` with `changes`, merged group by group; neither is modified."""
    both = dict(values)
    for key, new in changes.items():
        old = values.get(key)
        both[key] = _merged(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else new
    return both


__all__ = ["Cell", "ComparisonConfig", "PLAIN", "cells", "freeze", "market_config", "to_dict"]
