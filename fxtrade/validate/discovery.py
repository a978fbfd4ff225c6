"""Whether an information coefficient is more than luck, and how many of many tests are.

Features and forward returns both depend on their own past, so that the rows say less than their number. Two tests,
each of which sees what the other misses; a discovery has to pass both:

* **Shifts.** The column is moved in time against the returns, around the circle (as series are wrapped by Politis &
  Romano 1992), by every lag that is long enough. Both keep all of their own dependence, and only their relation is
  broken. This holds where dependence outlasts any block, but not where volatility makes column and return large
  together: moved apart, they no longer are.
* **Blocks.** Sums of products over blocks of time, which without a relation are as often positive as negative: signs
  are random, sizes stay (the wild bootstrap of Wu 1986). This holds whatever happens within a block.

Over many columns and horizons the false discovery rate is kept by Benjamini & Hochberg (1995), which holds for
independent tests and for those that depend positively (Benjamini & Yekutieli 2001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.special import ndtri
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from fxtrade.core.errors import DataError

LEVEL = 0.95  # of the null quantile
OVERLAP = 0.25  # share of the rows that must still meet after a shift
INDEPENDENT = 50  # shifts; from fewer the tail of a distribution cannot be told


class ShiftNull(NamedTuple):
    """What shifted columns reach by luck.

    Attributes:
        quantile: quantile `LEVEL` of |IC| over the admissible shifts; NaN if they are worth fewer than `INDEPENDENT`.
        shifts: how many independent shifts the admissible ones are worth. A column that repeats itself, such as the
            time of day, has next to none: moved by a day, it is what it was.
    """

    quantile: float
    shifts: float


def shift_scale(overlap: np.ndarray, rows: int, least: int) -> np.ndarray:
    """Factor `[L]` that makes sums of products at each shift comparable with the IC of all rows; 0 where inadmissible.

    A sum over n(s) of the rows has a variance proportional to n(s): 1 / sqrt(n(s) * rows).

    Args:
        overlap: `[L]` number n(s) of rows that meet at each circular shift, from `metrics.ic.all_lags` of the masks.
        rows: number of rows without a shift.
        least: shortest admissible shift in either direction: longer than the horizon and the memory of the columns.
    """
    lag = np.arange(len(overlap))
    good = (np.minimum(lag, len(lag) - lag) >= least) & (overlap >= max(OVERLAP * rows, 1))
    return np.where(good, 1 / np.sqrt(np.maximum(overlap, 1) * rows), 0)


def shift_null(lags: np.ndarray, scale: np.ndarray) -> ShiftNull:
    """The null distribution of one column and horizon from its sums of products at all lags `[L]`.

    Neighbouring shifts resemble each other. The number of independent ones that give an equally sure variance is
    2 (sum P)^2 / sum P^2 with P the power spectrum over the shifts (Blackman & Tukey 1958), L of them were it white.
    """
    shifted = lags * scale
    power = np.abs(fft.rfft(shifted, workers=-1)) ** 2
    both = np.full(len(power), 2.0)  # frequencies above and below zero
    both[[0, -1]] = 1
    total = both @ power
    shifts = 2 * total**2 / (both @ power**2) if total > 0 else 0.0
    if shifts < INDEPENDENT:
        return ShiftNull(np.nan, shifts)
    return ShiftNull(float(np.quantile(np.abs(shifted[scale > 0]), LEVEL)), float(min(shifts, (scale > 0).sum())))


def shift_p(ic: float, null: ShiftNull) -> float:
    """Two-sided p-value of an IC whose shifted counterparts are normal (a sum of many products), with the scale
    that the quantile implies, known as well as from `null.shifts` draws: Student's t. NaN without one."""
    if not null.quantile > 0:
        return np.nan
    return float(2 * student.sf(abs(ic) / null.quantile * ndtri((1 + LEVEL) / 2), null.shifts))


def block_p(sums: np.ndarray) -> np.ndarray:
    """Two-sided p-values `[C]` of sums over blocks of time `[B, C]` whose expectation is 0 under the null.

    sum / sqrt(sum of squares) against Student's t with B - 1 degrees of freedom. The ratio is at most sqrt(B), so that
    few blocks discover nothing. NaN for fewer than two blocks or where every sum is 0.
    """
    blocks = len(sums)
    spread = np.sqrt((sums**2).sum(0))
    score = np.abs(sums.sum(0)) / np.where(spread > 0, spread, np.nan)
    return 2 * student.sf(score, blocks - 1) if blocks > 1 else np.full(sums.shape[1], np.nan)


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """q-values in the shape of `p`: the smallest false discovery rate at which a test is a discovery; NaN stays NaN.

    min over the ranks j >= i of p_(j) m / j, for m tests that have a p-value.

    Raises:
        DataError: a p-value lies outside 0..1.
    """
    p = np.asarray(p, np.float64)
    known = ~np.isnan(p)
    values = p[known]
    if ((values < 0) | (values > 1)).any():
        raise DataError("benjamini_hochberg: p-values lie between 0 and 1")
    q = np.full(p.shape, np.nan)
    if values.size:
        q[known] = false_discovery_control(values)
    return q
