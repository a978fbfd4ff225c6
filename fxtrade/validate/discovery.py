"""Test whether an information coefficient (IC) is significant, and control the false discovery rate of many tests.

Features and forward returns both depend on their own past, so that the effective sample is smaller than the number of
rows. There are two tests with different weaknesses; a discovery has to pass both:

* **Shifts.** The column is shifted circularly in time against the returns (Politis & Romano 1992 wrap series in this
  way), by every lag that is long enough. Both series keep their own dependence; only their relation is broken. The test
  is valid if dependence outlasts any block, but not if volatility makes column and return large at the same time, since
  a shift breaks that, too.
* **Blocks.** Sums of products over blocks of time, which without a relation are positive as often as negative: signs
  are random, sizes are fixed (the wild bootstrap of Wu 1986). The test is valid for any dependence within a block.

Over many columns and horizons the false discovery rate is controlled by Benjamini & Hochberg (1995), valid for
independent tests and for positively dependent ones (Benjamini & Yekutieli 2001).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import fft
from scipy.special import ndtri
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from fxtrade.core.errors import DataError

LEVEL = 0.95  # of the null quantile
OVERLAP = 0.25  # share of the rows that must overlap after a shift
MIN_SHIFTS = 50  # independent shifts; fewer do not determine the tail of a distribution


class ShiftNull(NamedTuple):
    """Null distribution of the IC over shifts.

    Attributes:
        quantile: quantile `LEVEL` of |IC| over the admissible shifts; NaN if there are fewer than `MIN_SHIFTS`
            independent ones.
        shifts: effective number of independent shifts. A periodic column, such as the time of day, has almost none:
            shifted by a day it is the same.
    """

    quantile: float
    shifts: float


def shift_scale(overlap: Float[np.ndarray, " shifts"], rows: int, least: int) -> Float[np.ndarray, " shifts"]:
    """Compute the factors that make sums of products at each shift comparable with the IC of all rows.

    A sum over n(s) of the rows has a variance proportional to n(s), hence 1 / sqrt(n(s) * rows); 0 if inadmissible.

    Args:
        overlap: number n(s) of rows that overlap at each circular shift, from `metrics.ic.all_lags` of the masks.
        rows: number of rows without a shift.
        least: shortest admissible shift in either direction: longer than the horizon and the memory of the columns.
    """
    lag = np.arange(len(overlap))
    admissible = (np.minimum(lag, len(lag) - lag) >= least) & (overlap >= max(OVERLAP * rows, 1))
    return np.where(admissible, 1 / np.sqrt(np.maximum(overlap, 1) * rows), 0)


def shift_null(lags: Float[np.ndarray, " shifts"], scale: Float[np.ndarray, " shifts"]) -> ShiftNull:
    """Compute the null distribution of one column and horizon from its sums of products at all lags.

    Neighbouring shifts are correlated. The number of independent ones that give an equally precise variance is
    2 (sum P)^2 / sum P^2 with P the power spectrum over the shifts (Blackman & Tukey 1958); for white noise all count.
    """
    shifted = lags * scale
    power = np.abs(np.asarray(fft.rfft(shifted, workers=-1))) ** 2
    both = np.full(len(power), 2.0)  # frequencies above and below zero
    both[[0, -1]] = 1
    total = both @ power
    shifts = float(2 * total**2 / (both @ power**2)) if total > 0 else 0.0
    if shifts < MIN_SHIFTS:
        return ShiftNull(np.nan, shifts)
    return ShiftNull(float(np.quantile(np.abs(shifted[scale > 0]), LEVEL)), float(min(shifts, (scale > 0).sum())))


def shift_p(ic: float, null: ShiftNull) -> float:
    """Compute the two-sided p-value of an IC; NaN if the quantile of the null is NaN.

    Shifted ICs are normal (sums of many products), with a scale estimated from `null.shifts` draws: Student's t.
    """
    if not null.quantile > 0:
        return np.nan
    return float(2 * student.sf(abs(ic) / null.quantile * ndtri((1 + LEVEL) / 2), null.shifts))


def block_p(sums: Float[np.ndarray, "blocks columns"]) -> Float[np.ndarray, " columns"]:
    """Compute two-sided p-values of sums over blocks of time whose expectation is 0 under the null.

    sum / sqrt(sum of squares) is compared with Student's t with blocks - 1 degrees of freedom. The ratio is at most
    sqrt(blocks), so that few blocks discover nothing. NaN for fewer than two blocks or where every sum is 0.
    """
    blocks = len(sums)
    spread = np.sqrt((sums**2).sum(0))
    score = np.abs(sums.sum(0)) / np.where(spread > 0, spread, np.nan)
    return 2 * student.sf(score, blocks - 1) if blocks > 1 else np.full(sums.shape[1], np.nan)


def benjamini_hochberg(p: ArrayLike) -> Float[np.ndarray, ...]:
    """Compute q-values: the smallest false discovery rate at which a test is a discovery; NaN stays NaN.

    min over the ranks j >= i of p_(j) m / j, for m tests that have a p-value.

    Raises:
        DataError: a p-value lies outside 0..1.
    """
    p = np.asarray(p, np.float64)
    known = ~np.isnan(p)
    values = p[known]
    if ((values < 0) | (values > 1)).any():
        raise DataError("benjamini_hochberg: p-values must lie between 0 and 1")
    q = np.full(p.shape, np.nan)
    if values.size:
        q[known] = false_discovery_control(values)
    return q
