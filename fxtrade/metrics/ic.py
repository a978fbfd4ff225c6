"""Information coefficients (Grinold 1989): Spearman's rank correlation of a column with the forward return.

Ranks are taken within each asset and standardised, so that the mean product of two such columns is their correlation
and the mean over the rows of all assets is the average of the assets' correlations, weighted by their rows. Intervals,
null distributions and periods need sums of the same products over blocks, lags or cells.
"""

from __future__ import annotations

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
