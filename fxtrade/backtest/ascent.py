"""Gradient ascent of a score over parameters that have a range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fxtrade.backtest.gradient import Evaluate, Parameters
from fxtrade.core.errors import ConfigError

WIDE = 10  # ratio of the ends of a range from which on it is measured by logarithms
DECAY, SQUARE_DECAY, TINY = 0.9, 0.999, 1e-8  # of Adam, those of the paper


class Range(NamedTuple):
    """Values from `low` to `high`; the place 0 is the lowest of them and 1 the highest."""

    low: float
    high: float

    @property
    def is_wide(self) -> bool:
        return self.low > 0 and self.high >= WIDE * self.low

    def at(self, place: float) -> float:
        """Return the value at a place; between ends that are far apart, places are those of its logarithm."""
        if self.is_wide:
            return self.low * (self.high / self.low) ** place
        return self.low + (self.high - self.low) * place

    def place(self, value: float) -> float:
        """Return the place of a value, that of the nearer end for a value outside."""
        if self.is_wide:
            place = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)

    def slope(self, place: float) -> float:
        """Return the derivative of `at`."""
        return self.at(place) * math.log(self.high / self.low) if self.is_wide else self.high - self.low


class Ascent(NamedTuple):
    """The steps of an ascent, and its start.

    Attributes:
        parameters: `[steps + 1]` by name.
        score: `[steps + 1]`, NaN where a step led to no score or gradient.
        flat: parameters without a gradient at the start, which stay where they are.
    """

    parameters: dict[str, Float[np.ndarray, " steps_plus_1"]]
    score: Float[np.ndarray, " steps_plus_1"]
    flat: tuple[str, ...]

    @property
    def best(self) -> int:
        """The step with the highest score."""
        return int(np.nanargmax(self.score))

    @property
    def found(self) -> dict[str, float]:
        """The parameters of the best step."""
        return {name: float(values[self.best]) for name, values in self.parameters.items()}

    @property
    def skipped(self) -> int:
        """Number of steps that were taken back."""
        return int(np.isnan(self.score).sum())


def ascend(
    evaluate: Evaluate,
    ranges: Mapping[str, Range],
    start: Parameters | None = None,
    steps: int = 100,
    learning_rate: float = 0.05,
    on_step: Callable[[int], None] = lambda steps: None,
) -> Ascent:
    """Climb a score by Adam (Kingma & Ba 2015, ICLR), each parameter within its range.

    Steps are measured in places of the ranges and end at their borders (projected gradient). Where there is no score
    or gradient, such as after a ruin, the ascent goes back to the best step so far, with half the rate.

    Args:
        evaluate: such as `gradient.objective`.
        start: None: the middle of each range.
        learning_rate: of the first step, as a share of the range; it falls to 0 by half a cosine.
        on_step: called with 1 after each step.

    Raises:
        ConfigError: a range is empty; at the start there is no score, or no parameter has a gradient.
    """
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError(f"ascend: {name} has the range {low:g} to {high:g}; give a lower and a higher end")
    place = np.array([0.5 if start is None else span.place(start[name]) for name, span in ranges.items()])
    path, scores, rate, adam = [place], [], learning_rate, Adam(len(place))
    score, slope = _evaluate(evaluate, ranges, place)
    _check_start(score, slope, _values(ranges, place))
    flat = tuple(name for name, one in zip(ranges, slope, strict=True) if one == 0)
    best = score, place, slope
    for k in range(steps):
        scores.append(score)
        if np.isnan(score):  # the step is taken back
            (score, place, slope), rate, adam = best, rate / 2, Adam(len(place))
        elif score > best[0]:
            best = score, place, slope
        moved = rate * (1 + math.cos(math.pi * k / steps)) / 2
        place = np.clip(place + moved * adam.direction(slope), 0, 1)
        path.append(place)
        score, slope = _evaluate(evaluate, ranges, place)
        on_step(1)
    scores.append(score)
    rows = [_values(ranges, one) for one in path]
    return Ascent({name: np.array([row[name] for row in rows]) for name in ranges}, np.array(scores), flat)


class Adam:
    """The direction of Adam: the mean of the gradients so far over the root of their mean square."""

    def __init__(self, size: int):
        self._mean, self._square, self._count = np.zeros(size), np.zeros(size), 0

    def direction(self, slope: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        self._count += 1
        self._mean += (1 - DECAY) * (slope - self._mean)
        self._square += (1 - SQUARE_DECAY) * (slope**2 - self._square)
        mean, square = self._mean / (1 - DECAY**self._count), self._square / (1 - SQUARE_DECAY**self._count)
        return mean / (np.sqrt(square) + TINY)


def _values(ranges: Mapping[str, Range], place: Float[np.ndarray, " K"]) -> dict[str, float]:
    return {name: span.at(float(x)) for (name, span), x in zip(ranges.items(), place, strict=True)}


def _evaluate(
    evaluate: Evaluate, ranges: Mapping[str, Range], place: Float[np.ndarray, " K"]
) -> tuple[float, Float[np.ndarray, " K"]]:
    """Return the score, and its derivative by each place; the score is NaN where one of them is not finite."""
    score, by_value = evaluate(_values(ranges, place))
    slope = np.array(
        [by_value[name] * span.slope(float(x)) for (name, span), x in zip(ranges.items(), place, strict=True)]
    )
    return (score if np.isfinite([score, *slope]).all() else np.nan), slope


def _check_start(score: float, slope: Float[np.ndarray, " K"], values: Parameters) -> None:
    """Raise ConfigError for a start from which there is no way up."""
    place = ", ".join(f"{name} {value:g}" for name, value in values.items())
    if np.isnan(score):
        raise ConfigError(
            f"ascend: there is no score or no gradient at the start ({place}): nothing is traded there, the account is "
            "ruined, or there is but one day; give other ranges or another start"
        )
    if not slope.any():
        raise ConfigError(
            f"ascend: the score has no gradient at the start ({place}): these parameters only decide, as a threshold "
            "does, or are limits that are not reached; sweep them"
        )
