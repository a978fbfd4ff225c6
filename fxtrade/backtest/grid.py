"""Grids of parameters: the sets that a sweep runs, and the plateau around the best of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.errors import ConfigError

LARGEST = 10_000_000  # sets


@dataclasses.dataclass(frozen=True)
class Grid:
    """P parameter sets on a grid.

    Attributes:
        axes: the values of each parameter, ascending.
        index: position of each set on each axis, the last axis running fastest.
    """

    axes: dict[str, tuple[float, ...]]
    index: Int[np.ndarray, "P axes"]

    @property
    def size(self) -> int:
        return len(self.index)

    def sets(self, first: int = 0, last: int | None = None) -> dict[str, np.ndarray]:
        """Return the values of each parameter `[P]`, of the sets from `first` to before `last`."""
        rows = self.index[first:last]
        return {name: np.asarray(values)[rows[:, k]] for k, (name, values) in enumerate(self.axes.items())}

    def one(self, number: int) -> dict[str, float]:
        """Return the parameters of one set."""
        return {name: values[0].item() for name, values in self.sets(number, number + 1).items()}

    def describe(self, number: int) -> str:
        """Return the parameters of one set as text."""
        return ", ".join(
            f"{name} {values[i]:g}" for (name, values), i in zip(self.axes.items(), self.index[number], strict=True)
        )


def make(axes: Mapping[str, Sequence[Any]], increasing: Sequence[str] = ()) -> Grid:
    """Return every combination of the values of each parameter.

    Args:
        axes: values by parameter, in any order.
        increasing: parameters whose values must increase in this order; other combinations are left out, such as a fast
            window that is not shorter than the slow one.

    Raises:
        ConfigError: no axis or no set, a value that is not a number or is given twice, or too many sets.
    """
    if not axes:
        raise ConfigError("grid: there is no parameter; give at least one, such as fast=(5, 10, 20)")
    given: dict[str, tuple[float, ...]] = {}
    for name, values in axes.items():
        numbers = np.asarray(list(values))
        if numbers.size == 0 or numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
            raise ConfigError(f"grid: {name}={values!r} is not a list of finite numbers")
        if len(np.unique(numbers)) < numbers.size:
            raise ConfigError(f"grid: {name} has a value twice: {values!r}")
        whole = bool((numbers == np.round(numbers)).all())  # such as windows in bars
        given[name] = tuple(np.sort(numbers.astype(np.int64) if whole else numbers).tolist())
    if unknown := [name for name in increasing if name not in given]:
        raise ConfigError(f"grid: increasing names '{unknown[0]}', which is not one of {', '.join(given)}")
    count = int(np.prod([len(values) for values in given.values()], dtype=float))
    if count > LARGEST:
        raise ConfigError(f"grid: {count:,} sets are more than {LARGEST:,}; give fewer values")
    index = np.array(list(itertools.product(*(range(len(values)) for values in given.values()))), np.int32)
    columns = {name: np.asarray(values)[index[:, k]] for k, (name, values) in enumerate(given.items())}
    for one, next_one in itertools.pairwise(increasing):
        keep = columns[one] < columns[next_one]
        index, columns = index[keep], {name: values[keep] for name, values in columns.items()}
    if not len(index):
        raise ConfigError(f"grid: no set has {' < '.join(increasing)}; give other values")
    return Grid(given, index)


class Plateau(NamedTuple):
    """The best set, and the sets next to it: at most one step away on every axis.

    A best set far above its neighbours is more likely to be luck than one on a plateau.

    Attributes:
        best: number of the best set.
        score: of the best set.
        neighbours: number of sets next to it.
        mean, worst: of the neighbours' scores; NaN without one.
    """

    best: int
    score: float
    neighbours: int
    mean: float
    worst: float


def plateau(grid: Grid, score: Float[np.ndarray, " P"]) -> Plateau:
    """Return the plateau around the set with the highest score; sets without a score (NaN) are left out.

    Raises:
        ConfigError: no set has a score.
    """
    if np.isnan(score).all():
        raise ConfigError(
            "plateau: no set has a score: nothing was traded, all accounts were ruined, or there is but one day"
        )
    best = int(np.nanargmax(score))
    distance = np.abs(grid.index - grid.index[best]).max(axis=1)
    near = score[(distance == 1) & ~np.isnan(score)]
    mean, worst = (float(near.mean()), float(near.min())) if near.size else (np.nan, np.nan)
    return Plateau(best, float(score[best]), int(near.size), mean, worst)
