"""Information coefficients (Grinold 1989): Spearman's rank correlation of a column with the forward return.

Ranks are taken within each asset and standardised, so that the mean product of two such columns is their correlation
and the mean over the rows of all assets is the average of the assets' correlations, weighted by their rows. Intervals,
null distributions and periods need sums of the same products over blocks, lags or cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int, Real
from scipy import fft
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array

CHUNK = 65_536  # rows of float32 ranks that are multiplied before their products are summed in float64


def standard_ranks(x: Real[Array, " M"]) -> Float[np.ndarray, " M"]:
    """Return ranks less their mean over their standard deviation, float64; equal values share their mean rank.

    A constant column gives zeros: its correlation with anything counts as 0.

    Raises:
        DataError: a value is not finite.
    """
    x = np.asarray(x)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise DataError(f"standard_ranks: x must be one column [M] of finite numbers, got shape {x.shape}")
    ranks = rankdata(x) - (x.size + 1) / 2
    spread = np.sqrt(np.mean(ranks**2)) if x.size else 0.0
    return ranks / spread if spread > 0 else ranks


def correlation_within(
    f: Float[np.ndarray, " M"], r: Float[np.ndarray, " M"], cell: Int[np.ndarray, " M"], cells: int
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Return the Pearson correlation of `f` and `r` in each cell, counted from 0, and the rows of each.

    NaN where a cell has fewer than two rows or one column is constant in it.
    """
    rows = np.bincount(cell, minlength=cells).astype(np.float64)
    sums = [np.bincount(cell, x, cells) for x in (f, r, f * f, r * r, f * r)]
    mean_f, mean_r, ff, rr, fr = (s / np.where(rows > 0, rows, np.nan) for s in sums)
    spread = np.sqrt(np.maximum(ff - mean_f**2, 0) * np.maximum(rr - mean_r**2, 0))
    flat = ~(spread > 1e-9 * np.sqrt(ff * rr))
    return np.clip((fr - mean_f * mean_r) / np.where(flat, np.nan, spread), -1, 1), rows


def weighted_mean(x: Float[np.ndarray, "A ..."], weight: Float[np.ndarray, "A ..."]) -> Float[np.ndarray, ...]:
    """Return the weighted mean over the first axis, ignoring NaN; NaN where all values are NaN."""
    weight = np.where(np.isnan(x), 0, weight)
    total = weight.sum(0)
    return (weight * np.nan_to_num(x)).sum(0) / np.where(total > 0, total, np.nan)


class Decay(NamedTuple):
    """Information coefficients by horizon, with all bars up to it and with its last bar alone; rows of the former."""

    horizons: Int[np.ndarray, " H"]
    cumulative: Float[np.ndarray, " H"]
    single: Float[np.ndarray, " H"]
    rows: Int[np.ndarray, " H"]


def decay(score: Real[Array, "N A"], ret: Real[Array, "N A"], horizons: Sequence[int]) -> Decay:
    """Return the IC of a score with the returns that follow it, over growing horizons.

    Ranks are taken within each asset; the IC of all assets is the mean of theirs, weighted by their rows.

    Args:
        score: known when the bar has closed; rows where it is not finite do not count.
        ret: log return of each bar; row t is compared with bars t + 1 .. t + h, all of which must be finite, and for
            `single` with bar t + h alone.
        horizons: h, in bars.

    Returns:
        NaN where no asset has two rows, or all are constant.

    Raises:
        DataError: shapes differ, or a horizon is not within 1 .. N - 1.
    """
    score, ret = np.asarray(score, np.float64), np.asarray(ret, np.float64)
    if score.ndim != 2 or score.shape != ret.shape:
        raise DataError(f"ic.decay: score {score.shape} and ret {ret.shape} must be equal [N, A]")
    bars = len(score)
    if bad := [h for h in horizons if not 1 <= h < bars]:
        raise DataError(f"ic.decay: horizon {bad[0]} must lie in 1..{bars - 1} for {bars} bars")
    total = np.concatenate([np.zeros_like(ret[:1]), np.nancumsum(ret, 0)])
    gaps = np.concatenate([np.zeros(ret[:1].shape, int), np.cumsum(~np.isfinite(ret), 0)])
    ahead = [np.where(gaps[h + 1 :] == gaps[1:-h], total[h + 1 :] - total[1:-h], np.nan) for h in horizons]
    cumulative = [_pooled(score[:-h], r) for h, r in zip(horizons, ahead, strict=True)]
    single = [_pooled(score[:-h], ret[h:])[0] for h in horizons]
    return Decay(
        np.array(horizons, np.int64),
        np.array([value for value, _ in cumulative]),
        np.array(single),
        np.array([rows for _, rows in cumulative], np.int64),
    )


def _pooled(score: Float[np.ndarray, "M A"], ret: Float[np.ndarray, "M A"]) -> tuple[float, int]:
    """Return the IC over all assets, and the rows that have both."""
    known = np.isfinite(score) & np.isfinite(ret)
    f, r = (
        np.concatenate([standard_ranks(x[ok]) for x, ok in zip(values.T, known.T, strict=True)])
        for values in (score, ret)
    )
    asset = np.nonzero(known.T)[0]
    correlation, rows = correlation_within(f, r, asset, score.shape[1])
    return float(weighted_mean(correlation, rows)), int(known.sum())


def spectrum(x: Float[np.ndarray, "A N"]) -> Complex[np.ndarray, "A frequencies"]:
    """Return the Fourier transform of rows in time, padded with zeros to 2 (frequencies - 1)."""
    half = fft.next_fast_len(-(-x.shape[-1] // 2), real=True)
    length = 2 * half  # pyright: ignore[reportOperatorIssue]
    return np.asarray(fft.rfft(x, length, axis=-1, workers=-1))


def all_lags(
    f: Complex[np.ndarray, "A frequencies"], r: Complex[np.ndarray, "A frequencies"]
) -> Float[np.ndarray, " lags"]:
    """Return the sum over assets and rows of f[t] r[t + s], for every circular shift s, from their spectra.

    The circle has 2 (frequencies - 1) rows, the zeros of the padding included. Shift lags - s is shift -s.
    """
    cross = np.einsum("ak,ak->k", f.conj(), r)
    return np.asarray(fft.irfft(cross, 2 * (len(cross) - 1)))


def stability(whole: float, periods: Float[np.ndarray, " periods"]) -> dict[str, float]:
    """Return statistics of an IC in the periods of a span, over which it is `whole`; NaN are left out.

    Returns:
        `mean` and `std` (ddof = 1) over the periods, `same_sign`, the share of them with the sign of the whole, and
        `last`, the last one; NaN where undefined.
    """
    known = periods[np.isfinite(periods)]
    defined = known.size > 0 and np.isfinite(whole)
    return {
        "mean": float(known.mean()) if known.size else np.nan,
        "std": float(known.std(ddof=1)) if known.size > 1 else np.nan,
        "same_sign": float((np.sign(known) == np.sign(whole)).mean()) if defined else np.nan,
        "last": float(periods[-1]),
    }


def correlation_matrix(ranks: Float[np.ndarray, "F M"]) -> Float[np.ndarray, "F F"]:
    """Return the correlation of standardised ranks, pooled over assets; NaN for a constant column."""
    total = np.zeros((len(ranks), len(ranks)))
    for start in range(0, ranks.shape[1], CHUNK):
        part = ranks[:, start : start + CHUNK]
        total += part @ part.T
    size = np.sqrt(np.diag(total))
    size = np.where(size > 0, size, np.nan)
    return np.clip(total / size / size[:, None], -1, 1)


def clusters(
    correlation: Float[np.ndarray, "F F"], threshold: float
) -> tuple[Int[np.ndarray, " F"], Int[np.ndarray, " F"]]:
    """Return the cluster of each column, and an order of the columns that keeps clusters together.

    Average linkage on the distance 1 - |correlation|, cut at 1 - `threshold`: columns whose mean absolute correlation
    is above it are one cluster. NaN counts as no correlation.
    """
    size = len(correlation)
    if size < 2:
        return np.zeros(size, np.int64), np.arange(size)
    distance = np.clip(1 - np.abs(np.nan_to_num(correlation)), 0, 1)
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(squareform(distance, checks=False), "average")
    return hierarchy.fcluster(tree, 1 - threshold, "distance") - 1, hierarchy.leaves_list(tree)
