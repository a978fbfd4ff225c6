"""Intervals for statistics of dependent data: resample blocks of time, never single rows.

Neighbouring bars share labels, and assets share bars. So whole blocks of time are drawn with replacement, each with
every asset in it; within a block all dependence stays as it is. Blocks should be longer than the dependence (label
horizon, volatility of a day) and there should be many: percentile intervals from fewer than some 20 blocks are too
narrow. The same seed gives the same interval. A resample in which the statistic is undefined is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from fxtrade.core.errors import ConfigError, DataError

DRAWS_AT_ONCE = 2**22  # bounds memory to some 100 MB however many blocks there are


def block_ids(times_ns: ArrayLike, block_ns: int) -> np.ndarray:
    """Block `[M]` int64, 0..blocks-1, of rows at `times_ns [M]` int64: stretches of `block_ns` counted from the epoch.

    Rows of one time, e.g. of several assets, fall into one block; stretches without a row are no block.
    """
    if block_ns < 1:
        raise ConfigError(f"block_ids: block_ns must be at least 1 nanosecond, got {block_ns}")
    times = np.asarray(times_ns, np.int64)
    if times.ndim != 1:
        raise DataError(f"block_ids: times must be one column [M], got shape {times.shape}")
    return np.unique(times // int(block_ns), return_inverse=True)[1].astype(np.int64)


def ratio_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    block_id: ArrayLike,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval `(low, high)` of sum(numerator) / sum(denominator) under resampling of blocks.

    Accuracy is such a ratio (numerator weight * correct, denominator weight), so are accuracy at a coverage
    (`classify.selected` as the weight), Brier score and log loss. Each resample draws, with replacement, as many
    blocks as there are (Efron & Tibshirani 1993, 8.6); only the sums per block are touched.

    Args:
        numerator, denominator: `[M]`, finite.
        block_id: `[M]` int, from `block_ids`.
        samples: number of resamples.
        level: share of resamples within the interval.
        seed: of the generator.

    Returns:
        nan, nan if there are fewer than two blocks or no resample has a positive denominator.

    Raises:
        DataError: lengths differ, NaN. ConfigError: level or samples out of range.
    """
    block_id = np.asarray(block_id, np.int64)
    rows = [np.asarray(x, np.float64) for x in (numerator, denominator)]
    if not all(x.shape == block_id.shape and x.ndim == 1 for x in rows):
        raise DataError(f"ratio_interval: shapes {rows[0].shape}, {rows[1].shape}, {block_id.shape} must be equal [M]")
    if not all(np.isfinite(x).all() for x in rows):
        raise DataError("ratio_interval: numerator or denominator is not finite; evaluate only rows that are ok")
    check(samples, level)
    group = np.unique(block_id, return_inverse=True)[1]
    blocks = int(group.max(initial=-1)) + 1
    if blocks < 2:
        return np.nan, np.nan
    top, bottom = (np.bincount(group, x, blocks) for x in rows)
    return percentiles(_ratios(top[None], bottom[None], samples, seed)[0], level)


class Difference(NamedTuple):
    """A difference with its percentile interval and the two-sided p-value of none."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    ours: tuple[ArrayLike, ArrayLike],
    theirs: tuple[ArrayLike, ArrayLike],
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Mean over R pairs of the difference of two ratios, such as accuracies, whose blocks are drawn together.

    What makes a day easy or hard for both cancels, so that the interval is that of the difference. The p-value is that
    of Student's t with blocks - 1 degrees of freedom, for the difference over the standard error that its linear part
    has across blocks (Cochran 1977, 6.3 on ratios): unlike a share of resamples it has no smallest value.

    Args:
        ours, theirs: numerator and denominator, summed over each block of time, the same ones: `[R, G]` or `[G]` each.
        samples, level, seed: as in `ratio_interval`.

    Returns:
        NaN where a denominator is 0 over all blocks. Without interval and p-value if there are fewer than two blocks;
        p is 1 where both are the same in every block.

    Raises:
        DataError: shapes differ, NaN. ConfigError: level or samples out of range.
    """
    parts = [np.atleast_2d(np.asarray(x, np.float64)) for x in (*ours, *theirs)]
    if len({x.shape for x in parts}) > 1 or parts[0].ndim != 2:
        raise DataError(f"paired_difference: shapes {[x.shape for x in parts]} must be equal [R, G]")
    if not all(np.isfinite(x).all() for x in parts):
        raise DataError("paired_difference: a numerator or denominator is not finite")
    check(samples, level)
    top, bottom = np.stack(parts[::2]), np.stack(parts[1::2])  # [2, R, G]
    pairs, blocks = top.shape[1:]
    whole = bottom.sum(-1, keepdims=True)
    if not (whole > 0).all():
        return Difference(np.nan, np.nan, np.nan, np.nan)
    ratio = top.sum(-1, keepdims=True) / whole
    value = float((ratio[0] - ratio[1]).mean())
    if blocks < 2:
        return Difference(value, np.nan, np.nan, np.nan)
    drawn = _ratios(top.reshape(-1, blocks), bottom.reshape(-1, blocks), samples, seed).reshape(2, pairs, -1)
    low, high = percentiles((drawn[0] - drawn[1]).mean(0), level)
    linear = (top - ratio * bottom) / whole
    error = np.sqrt(blocks / (blocks - 1) * ((linear[0] - linear[1]).mean(0) ** 2).sum())
    p = 2 * student.sf(abs(value) / error, blocks - 1) if error > 0 else float(value == 0)
    return Difference(value, low, high, float(p))


def _ratios(top: np.ndarray, bottom: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Ratios `[R, samples]` of resampled sums over blocks, `[R, G]` each; NaN for 0 / 0."""
    above, below = np.split(resampled(np.concatenate([top, bottom]), samples, seed), 2)
    return np.where(below > 0, above, np.nan) / np.where(below > 0, below, 1)


def resampled(sums: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """`[S, samples]`: `sums [S, G]` over as many blocks as there are, drawn with replacement, the same for all S.

    A score that is a function of sums over rows has the values of its resamples by one call.
    """
    blocks = sums.shape[1]
    rng, at_once, made = np.random.default_rng(seed), max(1, DRAWS_AT_ONCE // blocks), []
    for start in range(0, samples, at_once):
        drawn = rng.integers(blocks, size=(min(at_once, samples - start), blocks))
        place = np.arange(len(drawn))[:, None] * blocks
        times = np.bincount((drawn + place).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)
        made.append(sums @ times.T)
    return np.concatenate(made, 1)


def stationary_bootstrap_indices(
    n: int, mean_block: float, samples: int, seed: int | np.random.Generator = 0
) -> np.ndarray:
    """Indices `[samples, n]` into a series of n rows by the stationary bootstrap (Politis & Romano 1994).

    Blocks start anywhere with equal probability, have geometric length with mean `mean_block` bars, and wrap around
    the end, so every row is drawn with equal probability. `mean_block=1` is the i.i.d. bootstrap.
    """
    if n < 1 or mean_block < 1:
        raise ConfigError(f"stationary bootstrap: n {n} and mean_block {mean_block} must be at least 1")
    rng = np.random.default_rng(seed)
    place = np.arange(n)
    starts = rng.random((samples, n)) < 1 / mean_block
    last_start = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    origin = np.take_along_axis(rng.integers(n, size=(samples, n)), last_start, axis=1)
    return (origin + place - last_start) % n


def interval(
    statistic: Callable[[np.ndarray], float],
    x: ArrayLike,
    mean_block: float,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval `(low, high)` of `statistic(x)`, e.g. a Sharpe ratio, by the stationary bootstrap.

    Args:
        statistic: function of an array like `x` to one number.
        x: `[N, ...]` rows in time, e.g. returns.
        mean_block: mean block length in bars, longer than the dependence; about N^(1/3) where it is short.
        samples, level, seed: as in `ratio_interval`.

    Returns:
        nan, nan if the statistic is nan in every resample or N < 2.
    """
    x = np.asarray(x)
    check(samples, level)
    if len(x) < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    draws = (stationary_bootstrap_indices(len(x), mean_block, 1, rng)[0] for _ in range(samples))
    return percentiles(np.array([statistic(x[index]) for index in draws], np.float64), level)


def check(samples: int, level: float) -> None:
    """Raises ConfigError if there is no interval of such a level from so many resamples."""
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(f"bootstrap: samples {samples} must be at least 1 and level {level} between 0 and 1")


def percentiles(x: np.ndarray, level: float) -> tuple[float, float]:
    """The middle share `level` of `x [samples]`, without its NaN; nan, nan if nothing else is there."""
    x = x[~np.isnan(x)]
    if x.size == 0:
        return np.nan, np.nan
    low, high = np.quantile(x, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
