"""Curriculum learning (Bengio et al. 2009): from which segments a step may draw.

Segments are put in order by a score, and a pacing function opens more and more of them. When all are open, training
draws what it would have drawn without a curriculum, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fxtrade.core.config import CurriculumConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.types import Array

PACES = ("linear", "root", "exponential", "step")
SCORES = ("none", "teacher", "signal", "volatility", "random")
STEPS = 4  # of the pace that opens in steps


class Curriculum(NamedTuple):
    """Place `[M]` of each segment in the order, 0 first, and how fast the rest follow."""

    rank: np.ndarray
    pace: str
    start: float
    steps: int


def check(config: CurriculumConfig) -> None:
    """Raises ConfigError if there is no such score or pace."""
    for kind, name, known in (("score", config.name, SCORES), ("pace", config.pace, PACES)):
        if name not in known:
            raise ConfigError(f"there is no curriculum {kind} '{name}'{nearest(name, known)}")


def make(config: CurriculumConfig, score: np.ndarray, steps: int) -> Curriculum:
    """Segments with a low score first; with `reverse` those with a high one.

    Args:
        score: `[M]` of the plan's segments.
        steps: of the whole training; all segments are open after the share `config.end` of them.
    """
    order = np.argsort(-score if config.reverse else score, kind="stable")
    rank = np.empty(len(score), np.int32)
    rank[order] = np.arange(len(score))
    return Curriculum(rank, config.pace, config.start, max(round(config.end * steps), 1))


def opened(curriculum: Curriculum, step: Array) -> Array:
    """How many segments are open, at least one.

    The share is s(u) with u = step / steps up to 1 and s0 = `start`: s0 + (1 - s0) u; the root of s0^2 + (1 - s0^2) u
    (Platanios et al. 2019); s0^(1 - u); or s0 + (1 - s0) u in four steps.
    """
    u, s0 = jnp.minimum(step / curriculum.steps, 1.0), curriculum.start
    share = {
        "linear": s0 + (1 - s0) * u,
        "root": jnp.sqrt(s0**2 + (1 - s0**2) * u),
        "exponential": s0 ** (1 - u),
        "step": s0 + (1 - s0) * jnp.floor(u * STEPS) / STEPS,
    }[curriculum.pace]
    count = len(curriculum.rank)
    return jnp.where(u >= 1, count, jnp.clip(jnp.ceil(share * count), 1, count)).astype(jnp.int32)


def reorder(curriculum: Curriculum, order: Array, step: Array) -> tuple[Array, Array]:
    """An epoch's random order `[M]` of the segments with the open ones in front, and how many these are."""
    count = opened(curriculum, step)
    closed = jnp.asarray(curriculum.rank)[order] >= count
    return order[jnp.argsort(closed, stable=True)], count


def row_scores(name: str, ret: np.ndarray, weight: np.ndarray, seed: int) -> np.ndarray:
    """How hard each labelled row is, `[N, A]`, low for easy ones.

    - "signal": minus |forward return| over its root mean square in the rows with weight, asset by asset: the further
      price moved, the less of the label is noise.
    - "volatility": the square of the same: calm rows first.
    - "random": a random number, as a control.
    """
    if name == "random":
        return np.random.default_rng(seed).random(ret.shape)
    square = np.where(weight > 0, np.nan_to_num(ret) ** 2, 0)
    typical = square.sum(0) / np.maximum((weight > 0).sum(0), 1)
    relative = square / np.where(typical > 0, typical, 1)
    return -np.sqrt(relative) if name == "signal" else relative


def segment_scores(of_row: np.ndarray, weight: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Mean `[M]` of `of_row [N, A]` over the rows of each segment, by their weights `[N, A]`."""
    sums = (np.where(weight > 0, of_row * weight, 0).sum(1), weight.sum(1, dtype=np.float64))
    total, known = (np.concatenate([[0], s.cumsum()]) for s in sums)
    ends = np.minimum(starts + length, len(of_row))
    return (total[ends] - total[starts]) / np.maximum(known[ends] - known[starts], 1e-12)
