"""Information coefficients: how a column orders what follows (Grinold 1989), by Spearman's rank correlation.

Ranks are taken within each asset and standardised, so that the mean product of two such columns is their correlation
and the mean over the rows of all assets is the average of the assets' correlations, weighted by their rows. What
an interval, a null distribution or a period needs are then sums of the same products over blocks, lags or cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fxtrade.core.errors import ConfigError, DataError

CHUNK = 65_536  # rows of float32 ranks that are multiplied before their products are summed in float64


def standard_ranks(x: ArrayLike) -> np.ndarray:
    """Ranks of `x [M]` less their mean over their standard deviation, float64; equal values share their mean rank.

    A constant column orders nothing: zeros, whose correlation with anything counts as 0.

    Raises:
        DataError: a value is not finite.
    """
    x = np.asarray(x)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise DataError(f"standard_ranks: x must be one column [M] of finite numbers, got shape {x.shape}")
    ranks = rankdata(x) - (x.size + 1) / 2
    spread = np.sqrt(np.mean(ranks**2)) if x.size else 0.0
    return ranks / spread if spread > 0 else ranks


def correlation_within(f: np.ndarray, r: np.ndarray, cell: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Pearson correlation `[C]` of `f [M]` and `r [M]` in each cell 0..C-1, and the rows `[C]` of each.

    `cell [M]` int says where each row belongs. NaN where a cell has fewer than two rows or one column is flat in it.
    """
    rows = np.bincount(cell, minlength=cells).astype(np.float64)
    sums = [np.bincount(cell, x, cells) for x in (f, r, f * f, r * r, f * r)]
    mean_f, mean_r, ff, rr, fr = (s / np.where(rows > 0, rows, np.nan) for s in sums)
    spread = np.sqrt(np.maximum(ff - mean_f**2, 0) * np.maximum(rr - mean_r**2, 0))
    flat = ~(spread > 1e-9 * np.sqrt(ff * rr))
    return np.clip((fr - mean_f * mean_r) / np.where(flat, np.nan, spread), -1, 1), rows


def weighted_mean(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean over the first axis of `x [A, ...]` by `weight [A, ...]`, leaving NaN out; NaN where nothing is left."""
    weight = np.where(np.isnan(x), 0, weight)
    total = weight.sum(0)
    return (weight * np.nan_to_num(x)).sum(0) / np.where(total > 0, total, np.nan)


def bootstrap_intervals(
    sums: np.ndarray, rows: np.ndarray, samples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals `(low [C], high [C])` of the C ratios sum(sums) / sum(rows) under resampling of blocks.

    As `bootstrap.ratio_interval` (Efron & Tibshirani 1993, 8.6), for many columns that share their blocks: every
    resample is a row of multinomial counts, all of them one matrix product with the sums of the blocks.

    Args:
        sums: `[B, C]` sum of the products of standardised ranks in each block of time, all assets together.
        rows: `[B]` number of products in each block.

    Returns:
        NaN if there are fewer than two blocks.

    Raises:
        ConfigError: samples or level out of range.
    """
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(f"bootstrap: samples {samples} must be at least 1 and level {level} between 0 and 1")
    blocks, columns = sums.shape
    if blocks < 2:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), samples).astype(np.float64)
    below = drawn @ rows
    drawn, below = drawn[below > 0], below[below > 0]
    low, high = np.quantile(drawn @ sums / below[:, None], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def spectrum(x: np.ndarray) -> np.ndarray:
    """Fourier transform `[A, K]` of rows in time `x [A, N]`, 0 where there is none; padded with zeros to 2 (K - 1)."""
    length = 2 * fft.next_fast_len(-(-x.shape[-1] // 2), real=True)
    return fft.rfft(x, length, axis=-1, workers=-1)


def all_lags(f: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Sum over assets and rows of f[t] r[t + s], for every circular shift s in 0..L-1, from their spectra `[A, K]`.

    L = 2 (K - 1) rows make the circle, the zeros of the padding included. Shift L - s is shift -s.
    """
    cross = np.einsum("ak,ak->k", f.conj(), r)
    return fft.irfft(cross, 2 * (len(cross) - 1))


def stability(whole: float, periods: np.ndarray) -> dict[str, float]:
    """How an IC over a whole span, `whole`, came about in its periods `[P]`, of which NaN are left out.

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


def correlation_matrix(ranks: np.ndarray) -> np.ndarray:
    """Correlation `[F, F]` of the standardised ranks `[F, M]`, pooled over assets; NaN for a constant column."""
    total = np.zeros((len(ranks), len(ranks)))
    for start in range(0, ranks.shape[1], CHUNK):
        part = ranks[:, start : start + CHUNK]
        total += part @ part.T
    size = np.sqrt(np.diag(total))
    size = np.where(size > 0, size, np.nan)
    return np.clip(total / size / size[:, None], -1, 1)


def clusters(correlation: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Cluster `[F]` int of each column and an order `[F]` of the columns in which clusters stand together.

    Average linkage on the distance 1 - |correlation| `[F, F]`, cut at 1 - `least`: columns whose absolute correlation
    is above it on average are one cluster. NaN is no correlation.
    """
    size = len(correlation)
    if size < 2:
        return np.zeros(size, np.int64), np.arange(size)
    distance = np.clip(1 - np.abs(np.nan_to_num(correlation)), 0, 1)
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(squareform(distance, checks=False), "average")
    return hierarchy.fcluster(tree, 1 - least, "distance") - 1, hierarchy.leaves_list(tree)
