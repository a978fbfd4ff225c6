"""Block bootstrap: intervals for statistics of dependent data.

Neighbouring bars share labels, and assets share bars. So whole blocks of time are drawn with replacement, each with all
its assets, which keeps the dependence within a block. Blocks should be longer than the dependence (label horizon,
volatility of a day) and numerous: percentile intervals from fewer than some 20 blocks are too narrow. The same seed
gives the same interval. A resample in which the statistic is undefined is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num, Shaped
from scipy.stats import t as student

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array

DRAWS_AT_ONCE = 2**22  # bounds the memory to some 100 MB


def block_ids(times_ns: Int[Array, " M"], block_ns: int) -> Int[np.ndarray, " M"]:
    """Return the block of each row, counted from 0: spans of `block_ns` since the epoch that have a row.

    Rows of one time, e.g. of several assets, fall into one block.
    """
    if block_ns < 1:
        raise ConfigError(f"block_ids: block_ns must be at least 1 nanosecond, got {block_ns}")
    times = np.asarray(times_ns, np.int64)
    if times.ndim != 1:
        raise DataError(f"block_ids: times must be one column [M], got shape {times.shape}")
    return np.unique(times // int(block_ns), return_inverse=True)[1].astype(np.int64)


def ratio_interval(
    numerator: Shaped[Array, " M"],
    denominator: Shaped[Array, " M"],
    block_id: Int[Array, " M"],
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval `(low, high)` of sum(numerator) / sum(denominator) under resampling of blocks.

    Accuracy is such a ratio (numerator weight * correct, denominator weight), so are Brier score and log loss. Each
    resample draws, with replacement, as many blocks as there are (Efron & Tibshirani 1993, 8.6).

    Args:
        numerator, denominator: finite.
        block_id: from `block_ids`.
        samples: number of resamples.
        level: share of resamples within the interval.
        seed: of the generator.

    Returns:
        NaN if there are fewer than two blocks or no resample has a positive denominator.

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


def ratio_intervals(
    numerators: Float[Array, "blocks C"],
    denominator: Num[Array, " blocks"],
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """Return the percentile intervals `(low, high)` of many ratios with one denominator, summed over each block.

    As `ratio_interval`; the counts of a resample are one multinomial draw.
    """
    check(samples, level)
    blocks, columns = numerators.shape
    if blocks < 2:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    counts = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), samples).astype(np.float64)
    *above, below = resample(np.vstack([numerators.T, denominator]), [counts])
    ratios = np.array(above)[:, below > 0] / below[below > 0]
    return tuple(np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], axis=1))


class Difference(NamedTuple):
    """A difference with its percentile interval and two-sided p-value."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    ours: tuple[Num[Array, "*R blocks"], Num[Array, "*R blocks"]],
    theirs: tuple[Num[Array, "*R blocks"], Num[Array, "*R blocks"]],
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Return the mean over pairs of the difference of two ratios, such as accuracies, whose blocks are drawn together.

    Effects of a day on both ratios cancel. The p-value is that of Student's t with blocks - 1 degrees of freedom, for
    the difference over the standard error that its linear part has across blocks (Cochran 1977, 6.3 on ratios). Unlike
    a share of resamples it has no smallest value.

    Args:
        ours, theirs: numerator and denominator of each pair, summed over the same blocks of time.
        samples, level, seed: as in `ratio_interval`.

    Returns:
        NaN where a denominator is 0 over all blocks. Without interval and p-value if there are fewer than two blocks;
        p is 1 where both are the same in every block.

    Raises:
        DataError: shapes differ, NaN. ConfigError: level or samples out of range.
    """
    parts = [np.atleast_2d(np.asarray(x, np.float64)) for x in (*ours, *theirs)]
    if len({x.shape for x in parts}) > 1 or parts[0].ndim != 2:
        raise DataError(f"paired_difference: shapes {[x.shape for x in parts]} must be equal [pairs, blocks]")
    if not all(np.isfinite(x).all() for x in parts):
        raise DataError("paired_difference: a numerator or denominator is not finite")
    check(samples, level)
    top, bottom = np.stack(parts[::2]), np.stack(parts[1::2])  # [side, pair, block]
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


def _ratios(
    top: Num[np.ndarray, "R blocks"], bottom: Num[np.ndarray, "R blocks"], samples: int, seed: int
) -> Float[np.ndarray, "R samples"]:
    """Ratios of resampled sums over blocks; NaN for 0 / 0."""
    sums = np.concatenate([top, bottom])
    above, below = np.split(resample(sums, block_counts(sums.shape[1], samples, seed)), 2)
    return np.where(below > 0, above, np.nan) / np.where(below > 0, below, 1)


def block_counts(blocks: int, samples: int, seed: int) -> Iterator[Float[np.ndarray, "some blocks"]]:
    """Yield how often each block is drawn in each resample, some resamples at a time.

    As many blocks are drawn as there are, with replacement.
    """
    rng, at_once = np.random.default_rng(seed), max(1, DRAWS_AT_ONCE // blocks)
    for start in range(0, samples, at_once):
        drawn = rng.integers(blocks, size=(min(at_once, samples - start), blocks))
        place = np.arange(len(drawn))[:, None] * blocks
        yield np.bincount((drawn + place).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def block_length(bars: int) -> int:
    """Return N^(1/3) bars, rounded up, the rate of the best length for a variance (Kuensch 1989; Hall et al. 1995)."""
    return int(np.ceil(round(bars ** (1 / 3), 9)))


def resampled_bars(bars: int, block: int, samples: int, seed: int) -> Iterator[Int[np.ndarray, "some N"]]:
    """Yield the bars of each resample in their order, some resamples at a time: the circular block bootstrap.

    Blocks of `block` consecutive bars begin anywhere with equal probability; the first bar follows the last, so that
    every bar is drawn as often (Politis & Romano 1992). For statistics that depend on the order within a block.

    Raises:
        ConfigError: block out of range.
    """
    if not 1 <= block <= bars:
        raise ConfigError(f"bootstrap: a block of {block} bars must have 1 to {bars} bars, those of the series")
    rng, at_once, blocks = np.random.default_rng(seed), max(1, DRAWS_AT_ONCE // bars), -(-bars // block)
    for start in range(0, samples, at_once):
        first = rng.integers(bars, size=(min(at_once, samples - start), blocks, 1))
        yield ((first + np.arange(block)) % bars).reshape(len(first), -1)[:, :bars]


def resample(
    sums: Num[np.ndarray, "S blocks"], counts: Iterable[Float[np.ndarray, "some blocks"]]
) -> Float[np.ndarray, "S samples"]:
    """Return the sums over the drawn blocks of every resample."""
    return np.concatenate([sums @ times.T for times in counts], 1)


def check(samples: int, level: float) -> None:
    """Raise ConfigError if an interval of this level cannot be made from so many resamples."""
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(f"bootstrap: samples {samples} must be at least 1 and level {level} between 0 and 1")


def percentiles(x: Float[np.ndarray, " samples"], level: float) -> tuple[float, float]:
    """Return the ends of the middle share `level` of `x` without its NaN; NaN if all are NaN."""
    x = x[~np.isnan(x)]
    if x.size == 0:
        return np.nan, np.nan
    low, high = np.quantile(x, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
