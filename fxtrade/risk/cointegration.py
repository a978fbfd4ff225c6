"""Cointegration of two prices by the two steps of Engle and Granger, and the half-life of their spread.

Engle & Granger (1987, Econometrica 55): a regression of one log price on the other, then a unit-root test of its
residuals. Critical values and p-values are those of MacKinnon for residuals of a regression on one series and a
constant. On the host in NumPy float64: this is research on a history, not a rule.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from fxtrade.core.errors import DataError

# MacKinnon (2010, Queen's University working paper 1227, table 2): b0 + b1 / T + b2 / T^2, by level
CRITICAL = {0.01: (-3.89644, -10.9519, -33.527), 0.05: (-3.33613, -6.1101, -6.823), 0.1: (-3.04445, -4.2412, -2.720)}
# MacKinnon (1994, Journal of Business & Economic Statistics 12, tables 3 and 4): p = Phi(polynomial of the statistic)
SMALL_P, LARGE_P = (2.92, 1.5012, 0.039796), (2.1945, 0.64695, -0.29198, -0.042377)
SMALLEST, BETWEEN, LARGEST = -18.86, -2.62, 0.92  # where p is 0, where the polynomials meet, where p is 1
COLLINEAR = 1e-6  # share of the variance that is left of series that are the same but for rounding


class Cointegration(NamedTuple):
    """The result of the test.

    Attributes:
        ratio, intercept: of the regression `y = intercept + ratio x + spread`.
        statistic: of the augmented Dickey-Fuller test of the spread, without constant.
        p_value: of no cointegration.
        critical: values of the statistic by level; below one no cointegration is rejected at it.
        lags: differences in the test's regression, chosen by AIC.
        half_life: of the spread in bars, see `half_life`.
    """

    ratio: float
    intercept: float
    statistic: float
    p_value: float
    critical: dict[float, float]
    lags: int
    half_life: float


def engle_granger(y: ArrayLike, x: ArrayLike, max_lags: int | None = None) -> Cointegration:
    """Return the test of no cointegration; the numbers of `statsmodels.tsa.stattools.coint`.

    Args:
        y, x: `[N]` series without gaps, such as log prices.
        max_lags: among which AIC chooses; None: `12 (N / 100)^(1/4)` rounded up, as Schwert (1989).

    Raises:
        DataError: series of different lengths, a value that is not finite, fewer than 20 values, a constant series, or
            series that are collinear, of which every spread is rounding.
    """
    y, x = _checked("y", y), _checked("x", x)
    if len(y) != len(x):
        raise DataError(f"engle_granger: y has {len(y)} values and x {len(x)}; align them")
    centred = x - x.mean()
    ratio = float(centred @ y / (centred @ centred))
    intercept = float(y.mean() - ratio * x.mean())
    spread = y - intercept - ratio * x
    if not spread.var() > COLLINEAR * y.var():
        raise DataError("engle_granger: the series are collinear, so that their spread is rounding; give two assets")
    statistic, lags = _dickey_fuller(spread, max_lags)
    inverse = 1 / (len(y) - 1)
    critical = {level: b0 + b1 * inverse + b2 * inverse**2 for level, (b0, b1, b2) in CRITICAL.items()}
    return Cointegration(ratio, intercept, statistic, _p_value(statistic), critical, lags, half_life(spread))


def half_life(spread: ArrayLike) -> float:
    """Return the bars after which half of a deviation is left, `-log 2 / log phi` of `s_t = a + phi s_{t-1} + e_t`.

    Infinite where phi >= 1, 0 where phi <= 0: the spread is back in one bar.

    Raises:
        DataError: as `engle_granger`.
    """
    s = _checked("spread", spread)
    before, after = s[:-1] - s[:-1].mean(), s[1:]
    phi = float(before @ after / (before @ before))
    return math.inf if phi >= 1 else 0.0 if phi <= 0 else -math.log(2) / math.log(phi)


def _dickey_fuller(spread: Float[np.ndarray, " N"], max_lags: int | None) -> tuple[float, int]:
    """Return the statistic of `ds_t = g s_{t-1} + sum_i c_i ds_{t-i} + e`, and the number of lags of least AIC."""
    size = len(spread)
    most = math.ceil(12 * (size / 100) ** 0.25) if max_lags is None else max_lags
    most = min(most, size // 2 - 1)
    scores = []
    for lags in range(most + 1):  # all on the same rows
        target, columns = _regression(spread, lags, most)
        residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        scores.append(len(target) * math.log(residual @ residual) + 2 * (lags + 1))
    lags = int(np.argmin(scores))
    target, columns = _regression(spread, lags, lags)
    estimate = np.linalg.lstsq(columns, target, rcond=None)[0]
    residual = target - columns @ estimate
    variance = residual @ residual / (len(target) - lags - 1)
    return float(estimate[0] / math.sqrt(variance * np.linalg.inv(columns.T @ columns)[0, 0])), lags


def _regression(
    spread: Float[np.ndarray, " N"], lags: int, first: int
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, "M columns"]]:
    """Return changes from row `first` on, the levels before them and `lags` changes before them."""
    change = np.diff(spread)
    columns = [spread[first:-1], *(change[first - i : len(change) - i] for i in range(1, lags + 1))]
    return change[first:], np.column_stack(columns)


def _p_value(statistic: float) -> float:
    if statistic > LARGEST:
        return 1.0
    if statistic < SMALLEST:
        return 0.0
    terms = SMALL_P if statistic <= BETWEEN else LARGE_P
    return (1 + math.erf(sum(c * statistic**k for k, c in enumerate(terms)) / math.sqrt(2))) / 2


def _checked(name: str, values: ArrayLike) -> Float[np.ndarray, " N"]:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 20 or not np.isfinite(values).all():
        raise DataError(f"cointegration: {name} has the shape {values.shape}; give at least 20 finite values [N]")
    if not np.ptp(values) > 0:
        raise DataError(f"cointegration: {name} is constant; give a price that moves")
    return values
