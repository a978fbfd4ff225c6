"""Checks of forecasts before they are sized: numbers that cannot be, and probabilities that are not calibrated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Forecast

ROUNDING = 1e-4  # of the sum of the probabilities of a row, in float32


class Unusable(NamedTuple):
    """Numbers of ok forecasts that open no slice: without usable probabilities, mu or sigma."""

    prob: int = 0
    mu: int = 0
    sigma: int = 0


def count_unusable(forecast: Forecast) -> Unusable:
    """Return how many ok forecasts cannot be sized.

    Probabilities are in [0, 1] and sum to 1, mu is finite, sigma positive and finite. The rules of `forecast_sizing`
    treat these forecasts as not ok: their slices are 0.
    """
    return Unusable(**{name: int(bad.sum()) for name, bad in _bad(forecast).items()})


def check_forecast(forecast: Forecast, where: str) -> None:
    """Raise DataError for the first ok forecast whose probabilities, mu or sigma cannot be; see `count_unusable`."""
    wanted = {
        "prob": "probabilities from 0 to 1 that sum to 1",
        "mu": "a finite mean",
        "sigma": "a standard deviation that is positive and finite",
    }
    for name, bad in _bad(forecast).items():
        if bad.any():
            row, asset = np.argwhere(np.atleast_2d(bad))[0]
            raise DataError(
                f"{where}: forecast.{name} of row {row}, asset {asset} is unusable; give {wanted[name]}, or set ok to "
                "False"
            )


def calibration(
    prob: Float[Array, "N A K"], y: Int[Array, "N A"], ok: Bool[Array, "N A"], horizon: int = 1
) -> Float[np.ndarray, ""]:
    """Return Spiegelhalter's Z (1986, Statistics in Medicine 5), about N(0, 1) if the probabilities are calibrated.

    The sum of the Brier scores less their expectation under the probabilities themselves, over its standard deviation.
    Above 0: the forecasts are overconfident, below: too timid. The deviations of the assets of a bar are added up, and
    the variance of these sums has Bartlett weights over `horizon` lags (Newey & West 1987), so that neither assets that
    move together nor labels that overlap make it look significant.

    Args:
        y: classes; rows below 0 are left out.
        ok: the rows to count.
        horizon: of the label, in bars.

    Raises:
        DataError: there are fewer than two bars with forecasts.
    """
    counted = np.asarray(ok) & (np.asarray(y) >= 0)
    p = np.where(counted[..., None], np.asarray(prob, float), 1.0)
    outcome = np.where(counted, y, 0)
    square = (p**2).sum(-1, keepdims=True)
    score = square - 2 * p + 1
    expected = (p * score).sum(-1)
    excess = np.take_along_axis(score, outcome[..., None], -1)[..., 0] - expected
    rows = counted.any(-1)
    sums = np.where(counted, excess, 0).sum(-1)[rows]
    if len(sums) < 2:
        raise DataError("calibration: fewer than two bars have a forecast and an outcome; give more rows")
    variance = (sums**2).sum()
    for lag in range(1, min(horizon, len(sums))):
        variance += 2 * (1 - lag / horizon) * (sums[lag:] * sums[:-lag]).sum()
    return np.asarray(sums.sum() / math.sqrt(variance)) if variance > 0 else np.asarray(0.0)


def check_calibrated(
    prob: Float[Array, "N A K"],
    y: Int[Array, "N A"],
    ok: Bool[Array, "N A"],
    horizon: int = 1,
    largest: float = 3.0,
    where: str = "bet_size",
) -> None:
    """Raise DataError for probabilities that are significantly off on rows with known classes, such as validation rows.

    Args:
        prob, y, ok, horizon: as in `calibration`.
        largest: absolute value of Z that passes; calibrated probabilities exceed 3 in 0.3 % of the cases.
    """
    z = float(calibration(prob, y, ok, horizon))
    if abs(z) > largest:
        how = "overconfident" if z > 0 else "too timid"
        raise DataError(
            f"{where}: the probabilities are not calibrated but {how} (Spiegelhalter's Z is {z:.1f}); calibrate "
            "them on validation rows, or size by 'threshold', which needs their order alone"
        )


def _bad(forecast: Forecast) -> dict[str, Bool[np.ndarray, "*N A"]]:
    """Return where an ok forecast has an impossible number, by field."""
    ok, prob = np.asarray(forecast.ok), np.asarray(forecast.prob, float)
    with np.errstate(invalid="ignore"):
        inside = ((prob >= 0) & (prob <= 1 + ROUNDING)).all(-1) & (np.abs(prob.sum(-1) - 1) <= ROUNDING)
        found = {"prob": ok & ~inside}
        if forecast.mu is not None:
            found["mu"] = ok & ~np.isfinite(np.asarray(forecast.mu))
        if forecast.sigma is not None:
            sigma = np.asarray(forecast.sigma)
            found["sigma"] = ok & ~((sigma > 0) & np.isfinite(sigma))
    return found
