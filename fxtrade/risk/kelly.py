"""The Kelly criterion: the share of wealth at which it grows fastest, and what errors of estimates take from it.

The growth of a bet is the expected log of wealth (Kelly 1956, Bell System Technical Journal 35). Half of the optimal
share has three quarters of the growth and half of the volatility; twice the share has none. Functions broadcast, and
compute in JAX's default float.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import betainc, betaln, xlogy
from jaxtyping import ArrayLike, Bool, Float

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Array
from fxtrade.risk.signals import as_real


def binary(probability: ArrayLike, odds: ArrayLike = 1.0) -> Float[Array, "*N"]:
    """Return the optimal stake of a bet, `p - (1 - p) / b`; negative where the other side is the better one.

    Args:
        probability: p of winning.
        odds: b, the gain for a stake of 1; 1 is an even bet.

    Raises:
        ConfigError: a probability outside [0, 1], or odds that are not positive.
    """
    p, b = _checked(probability, odds)
    return p - (1 - p) / b


def binary_growth(stake: ArrayLike, probability: ArrayLike, odds: ArrayLike = 1.0) -> Float[Array, "*N"]:
    """Return the expected log growth of one bet, `p log(1 + b f) + (1 - p) log(1 - f)`; -inf where all can be lost.

    Raises:
        ConfigError: as `binary`.
    """
    (p, b), f = _checked(probability, odds), as_real(stake)
    return xlogy(p, jnp.maximum(1 + b * f, 0)) + xlogy(1 - p, jnp.maximum(1 - f, 0))


def continuous(mean: ArrayLike, variance: ArrayLike, rate: ArrayLike = 0.0) -> Float[Array, "*N"]:
    """Return the optimal weight of an asset whose price is a geometric Brownian motion, `(mu - r) / sigma^2`.

    Merton (1969, Review of Economics and Statistics 51). All three are of one period.

    Raises:
        ConfigError: a variance that is not positive.
    """
    variance = as_real(variance)
    _refuse(variance <= 0, variance, "variance", "a positive number")
    return (as_real(mean) - as_real(rate)) / variance


def multivariate(
    mean: Float[ArrayLike, " A"], covariance: Float[ArrayLike, "A A"], rate: ArrayLike = 0.0
) -> Float[Array, " A"]:
    """Return the optimal weights of correlated assets, `f = Sigma^-1 (mu - r)`, without bounds.

    Raises:
        DataError: a covariance that is singular or indefinite.
    """
    sigma = as_real(covariance)
    _check_definite(sigma)
    return jnp.linalg.solve(sigma, as_real(mean) - as_real(rate))


def growth(
    weight: Float[ArrayLike, " A"],
    mean: Float[ArrayLike, " A"],
    covariance: Float[ArrayLike, "A A"],
    rate: ArrayLike = 0.0,
) -> Float[Array, ""]:
    """Return the growth rate of constant weights in continuous time, `r + f'(mu - r) - f' Sigma f / 2`."""
    f, rate = as_real(weight), as_real(rate)
    return rate + f @ (as_real(mean) - rate) - f @ as_real(covariance) @ f / 2


def fractional_growth(fraction: ArrayLike) -> Float[Array, "*N"]:
    """Return the excess growth of a fraction c of the optimal weights as a share of the largest, `2 c - c^2`."""
    c = as_real(fraction)
    return 2 * c - c**2


def posterior_probability(
    wins: ArrayLike, bets: ArrayLike, prior: tuple[float, float] = (1.0, 1.0)
) -> Float[Array, "*N"]:
    """Return the mean of p after so many wins, given that it was Beta(a, b) distributed before.

    The expected growth of a stake is linear in p: `binary` of the posterior mean is the stake of largest expected
    growth (Browne & Whitt 1996, Advances in Applied Probability 28).

    Raises:
        ConfigError: more wins than bets, a negative number, or a prior that is not positive.
    """
    wins, bets, (a, b) = as_real(wins), as_real(bets), prior
    _refuse((wins < 0) | (wins > bets), wins, "wins", "a number from 0 to that of all bets")
    _refuse(jnp.minimum(a, b) <= 0, prior, "prior", "two positive numbers")
    return (wins + a) / (bets + a + b)


def shrinkage(stake: ArrayLike, deviation: ArrayLike) -> Float[Array, "*N"]:
    """Return the factor by which a stake that is known up to an error is to be multiplied, `f^2 / (f^2 + s^2)`.

    It maximises the expected growth over the distribution of the estimate, to second order (Baker & McHale 2013,
    Decision Analysis 10). Of a binary bet the stake has the deviation `s = (b + 1) / b` times that of p; of a
    continuous one with n observations `s = 1 / (sigma sqrt(n))`. A stake of 0 stays 0.
    """
    f, s = as_real(stake) ** 2, as_real(deviation) ** 2
    total = f + s
    return jnp.where(total > 0, f / jnp.where(total > 0, total, 1), 1)


def predictive(
    mean: Float[ArrayLike, " A"], covariance: Float[ArrayLike, "A A"], observations: int, rate: ArrayLike = 0.0
) -> Float[Array, " A"]:
    """Return the optimal weights under the predictive distribution of normal returns, all parameters unknown.

    With Jeffreys' prior, T observations and the sample covariance with the divisor T, the predictive covariance is
    `(1 + 1/T) T / (T - A - 2)` times the sample's (Zellner & Chetty 1965, Journal of the American Statistical
    Association 60), so that f is `(T - A - 2) / (T + 1)` times that of `multivariate`.

    Raises:
        DataError: as `multivariate`, or T is not larger than A + 2.
    """
    t, assets = _check_observations(mean, observations, 2)
    return multivariate(mean, covariance, rate) * ((t - assets - 2) / (t + 1))


def two_fund(
    mean: Float[ArrayLike, " A"], covariance: Float[ArrayLike, "A A"], observations: int, rate: ArrayLike = 0.0
) -> Float[Array, " A"]:
    """Return the weights shrunk towards cash such that the growth expected out of sample is largest.

    `c Sigma^-1 (mu - r)` with `c = (T-A-1)(T-A-4) / (T(T-2)) theta^2 / (theta^2 + A/T)`, where the squared Sharpe
    ratio theta^2 is estimated without its upward bias (Kan & Zhou 2007, Journal of Financial and Quantitative Analysis
    42).

    Args:
        observations: T, of which mean and covariance (divisor T) are estimates.

    Raises:
        DataError: as `multivariate`, or T is not larger than A + 4.
    """
    t, assets = _check_observations(mean, observations, 4)
    weight = multivariate(mean, covariance, rate)
    square = weight @ (as_real(mean) - as_real(rate))
    a, b, x = as_real(assets / 2), as_real((t - assets) / 2), square / (1 + square)
    # x^a (1 - x)^b / (a B_x(a, b)), from logs: B is tiny for long samples
    log_beta = betaln(a, b) + jnp.log(betainc(a, b, x))
    log_term = a * jnp.log(square) - (t - 2) / 2 * jnp.log1p(square) - log_beta
    known = ((t - assets - 2) * square - assets) / t + 2 / t * jnp.exp(log_term)
    known = jnp.where(square > 0, jnp.maximum(known, 0), 0)
    scale = (t - assets - 1) * (t - assets - 4) / (t * (t - 2))
    return weight * scale * known / (known + assets / t)


def _checked(probability: ArrayLike, odds: ArrayLike) -> tuple[Array, Array]:
    p, b = as_real(probability), as_real(odds)
    _refuse((p < 0) | (p > 1), p, "probability", "a share in [0, 1]")
    _refuse(b <= 0, b, "odds", "a positive gain for a stake of 1, such as 1 for an even bet")
    return p, b


def _refuse(bad: Bool[Array, "*N"], value: ArrayLike | tuple, name: str, wanted: str) -> None:
    """Raise ConfigError where a known value is impossible; NaN is not, and traced values are not checked."""
    if not isinstance(bad, Tracer) and np.any(bad):
        first = np.broadcast_to(np.asarray(value), np.shape(bad))[np.asarray(bad)].ravel()[0] if np.ndim(bad) else value
        raise ConfigError(f"kelly: {name}={np.asarray(first).tolist()!r} is impossible; give {wanted}")


def _check_definite(covariance: Float[Array, "A A"]) -> None:
    if isinstance(covariance, Tracer):
        return
    values = np.linalg.eigvalsh(np.asarray(covariance, np.float64))
    if not values[0] > np.finfo(covariance.dtype).eps * len(values) * values[-1]:
        raise DataError(
            f"kelly: the covariance is not positive definite, its eigenvalues are {values[0]:g} .. {values[-1]:g}, so "
            "that no weights are optimal; leave out assets that others replicate, or shrink it"
        )


def _check_observations(mean: ArrayLike, observations: int, spare: int) -> tuple[int, int]:
    assets = np.shape(mean)[0]
    if not observations > assets + spare:
        raise DataError(
            f"kelly: {observations} observations do not determine the weights of {assets} assets; give more than "
            f"{assets + spare}"
        )
    return observations, assets
