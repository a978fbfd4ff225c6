"""Intervals of the scores of `classify`, by the block bootstrap.

Each score is a function of sums over rows. They are summed within blocks once; a resample adds up those of its blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real, Shaped
from scipy.stats import rankdata

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array
from fxtrade.metrics import bootstrap, classify

BINS = 15  # of the calibration error, as in `classify.ece`
BlockSums = dict[str, Float[np.ndarray, "kinds blocks"]]  # or resamples in place of blocks


def of_classes(
    prob: Float[Array, "M K"],
    y: Real[Array, " M"],
    block_id: Real[Array, " M"],
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return `(low, high)` of "accuracy", "balanced_accuracy", "mcc", "log_loss", "brier" and "ece".

    They are percentile intervals, except for the calibration error e = sum_b |g_b| / M, with g_b the sums over the bins
    of all rows: noise makes e larger, and resampling adds as much noise again. Its interval is the pivotal one
    (Davison & Hinkley 1997, 5.2), from 2 e - high to 2 e - low. It begins at 0 if e lies within the interval of noise
    alone, which is that of sum_b |g*_b - g_b| / M over the resamples g*.

    Args:
        prob, y: as in `classify`.
        block_id: from `bootstrap.block_ids`.
        samples, level, seed: as in `bootstrap.ratio_interval`.

    Returns:
        NaN if there are fewer than two blocks.

    Raises:
        DataError: shapes differ, or as in `classify`. ConfigError: level or samples out of range.
    """
    prob, y = np.asarray(prob, np.float64), np.asarray(y)
    classes, (confidence, correct) = prob.shape[-1], classify.top_label(prob, y)
    of_block = _summed(block_id, len(y))
    sums = {
        "rows": of_block(1),
        "log_loss": of_block(classify.negative_log_likelihood(prob, y)),
        "error": of_block(classify.half_squared_error(prob, y)),
        "counts": of_block(1, y.astype(int) * classes + prob.argmax(1), classes**2),
        "gaps": of_block(correct - confidence, classify.equal_mass(confidence, BINS), BINS),
    }

    def scores(s: BlockSums) -> dict[str, Any]:
        counts, rows = s["counts"].reshape(classes, classes, -1), s["rows"][0]
        return {
            "accuracy": np.einsum("kk...->...", counts) / rows,
            "balanced_accuracy": classify.balanced_accuracy_of(counts),
            "mcc": classify.mcc_of(counts),
            "log_loss": s["log_loss"][0] / rows,
            "brier": s["error"][0] / rows,
            "ece": np.abs(s["gaps"]).sum(0) / rows,
            "noise": np.abs(s["gaps"] - sums["gaps"].sum(1, keepdims=True)).sum(0) / rows,
        }

    found, error = _intervals(scores, sums, samples, level, seed), classify.ece(prob, y, BINS)
    (low, high), (_, noise) = found["ece"], found.pop("noise")
    return found | {"ece": (max(2 * error - high, 0.0) if error > noise else 0 * high, max(2 * error - low, 0.0))}


def of_orders(
    score: Real[Array, " M"],
    ret: Real[Array, " M"],
    block_id: Real[Array, " M"],
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return `(low, high)` of "ic" and "rank_ic"; the ranks are those among all rows.

    As `of_classes`, for `score` and `ret` as in `classify.ic`.
    """
    of_block = _summed(block_id, np.size(score))
    found = {}
    for name, (x, r) in {"ic": (score, ret), "rank_ic": (rankdata(score), rankdata(ret))}.items():
        x, r = (np.asarray(a, np.float64) - np.mean(a) if np.size(a) else np.zeros(0) for a in (x, r))
        sums = {"sums": np.concatenate([of_block(a) for a in (1, x, r, x * x, r * r, x * r)])}

        def correlation(s: BlockSums, name: str = name) -> dict[str, np.ndarray]:
            rows, x, r, xx, rr, xr = s["sums"]
            spread = (rows * xx - x * x) * (rows * rr - r * r)
            return {name: (rows * xr - x * r) / np.sqrt(np.where(spread > 0, spread, np.nan))}

        found |= _intervals(correlation, sums, samples, level, seed)
    return found


def _summed(block_id: Real[Array, " M"], rows: int) -> Callable[..., Float[np.ndarray, "kinds blocks"]]:
    """Return a function that sums a column within each block, separately for each value of `kind`."""
    block_id = np.asarray(block_id)
    if block_id.shape != (rows,):
        raise DataError(f"score intervals: block_id must be one column of {rows} rows [M], got shape {block_id.shape}")
    blocks, block = np.unique(block_id, return_inverse=True)

    def of_block(
        x: Shaped[Array, " M"] | int, kind: Int[Array, " M"] | int = 0, kinds: int = 1
    ) -> Float[np.ndarray, "kinds blocks"]:
        place = kind * np.int64(len(blocks)) + block
        return np.bincount(place, np.broadcast_to(x, (rows,)), kinds * len(blocks)).reshape(kinds, -1)

    return of_block


def _intervals(
    scores: Callable[[BlockSums], dict[str, Any]], sums: BlockSums, samples: int, level: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals of scores from resampled sums."""
    bootstrap.check(samples, level)
    if next(iter(sums.values())).shape[1] < 2:
        return dict.fromkeys(scores({k: np.ones((len(s), 1)) for k, s in sums.items()}), (np.nan, np.nan))
    names, ends = list(sums), np.cumsum([len(s) for s in sums.values()])[:-1]
    stacked = np.concatenate(list(sums.values()))
    counts = bootstrap.block_counts(stacked.shape[1], samples, seed)
    drawn = np.split(bootstrap.resample(stacked, counts), ends)
    return {k: bootstrap.percentiles(v, level) for k, v in scores(dict(zip(names, drawn, strict=True))).items()}
