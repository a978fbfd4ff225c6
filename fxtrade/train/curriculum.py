"""Curriculum learning (Bengio et al. 2009): the segments that a step may draw.

Segments are sorted by a difficulty score, and a pacing function opens more of them at each step. When all are open,
training draws the same batches as without a curriculum, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fxtrade.core.config import CurriculumConfig, Pace, Score
from fxtrade.core.types import Array

STEPS = 4  # of the pace "step"


class Curriculum(NamedTuple):
    """The order of the M segments of a plan, and the pace at which they are opened."""

    rank: Int[np.ndarray, " M"]  # place of each segment in the order, 0 first
    pace: Pace
    start: float  # share of the segments that is open at the first step
    steps: int  # after which all are open


def make(config: CurriculumConfig, score: Float[np.ndarray, " M"], steps: int) -> Curriculum:
    """Return the curriculum with segments of low score first; with `reverse`, of high score first.

    Args:
        steps: of the whole training; all segments are open after the share `config.end` of them.
    """
    order = np.argsort(-score if config.reverse else score, kind="stable")
    rank = np.empty(len(score), np.int32)
    rank[order] = np.arange(len(score))
    return Curriculum(rank, config.pace, config.start, max(round(config.end * steps), 1))


def num_open_segments(curriculum: Curriculum, step: Int[Array, ""] | int) -> Int[Array, ""]:
    """Return the number of segments that are open, at least one.

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


def reorder(
    curriculum: Curriculum, order: Int[Array, " M"], step: Int[Array, ""] | int
) -> tuple[Int[Array, " M"], Int[Array, ""]]:
    """Move the open segments of an epoch's random order to the front; return the order and their number."""
    count = num_open_segments(curriculum, step)
    closed = jnp.asarray(curriculum.rank)[order] >= count
    return order[jnp.argsort(closed, stable=True)], count


def row_scores(
    name: Score, ret: Float[np.ndarray, "N A"], weight: Float[np.ndarray, "N A"], seed: int
) -> Float[np.ndarray, "N A"]:
    """Return the difficulty of each labelled row, low for easy rows.

    - "abs_return": minus |forward return| over its root mean square in the rows with weight, asset by asset: the larger
      the move, the smaller the share of noise in the label.
    - "volatility": the square of the same: calm rows first.
    - "random": a random number, as a control.

    "teacher_loss", the loss of a simpler model, is computed by the caller.
    """
    if name == "random":
        return np.random.default_rng(seed).random(ret.shape)
    square = np.where(weight > 0, np.nan_to_num(ret) ** 2, 0)
    typical = square.sum(0) / np.maximum((weight > 0).sum(0), 1)
    relative = square / np.where(typical > 0, typical, 1)
    return {"abs_return": -np.sqrt(relative), "volatility": relative}[name]


def segment_scores(
    row_score: Float[np.ndarray, "N A"], weight: Float[np.ndarray, "N A"], starts: Int[np.ndarray, " M"], length: int
) -> Float[np.ndarray, " M"]:
    """Return the weighted mean of the scores of the rows of each segment."""
    sums = (np.where(weight > 0, row_score * weight, 0).sum(1), weight.sum(1, dtype=np.float64))
    total, mass = (np.concatenate([[0], s.cumsum()]) for s in sums)
    ends = np.minimum(starts + length, len(row_score))
    return (total[ends] - total[starts]) / np.maximum(mass[ends] - mass[starts], 1e-12)
