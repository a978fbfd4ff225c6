"""Covariances shrunk towards less variable ones: linearly to a target, and nonlinearly eigenvalue by eigenvalue.

They are invertible also with fewer rows than assets. Gaps are treated as `pairwise` says; the formulas then use, for
the number of rows, that of each pair or `Pairwise.rows`. `features.covariance.ledoit_wolf` is the same linear estimate
of every trailing window of a feature, in float32 and with complete rows.
"""

from __future__ import annotations

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.types import Array
from fxtrade.core.validity import safe_divide
from fxtrade.risk.pairwise import Matrix, Pairwise, Returns, pairwise
from fxtrade.risk.spectral import Spectrum, spectral_map

Target = Literal["identity", "constant_correlation"]
FAR = 20.0  # from which on the kernel's Hilbert transform is summed as a series: its closed form cancels there


def ledoit_wolf(returns: Returns, *, target: Target = "identity") -> Matrix:
    """(1 - s) S + s F, with the s that minimises the expected squared error in the Frobenius norm. S has ddof 0.

    Args:
        target: F, "identity": equal variances tr(S) / A and no correlation (Ledoit & Wolf 2004, J. Multivariate
            Analysis 88), as `sklearn.covariance.ledoit_wolf`; "constant_correlation": the variances of S and its mean
            correlation for every pair (Ledoit & Wolf 2004, J. Portfolio Management 30).
    """
    made = pairwise(returns, ddof=0)
    s, count, x = made.covariance, jnp.maximum(made.count, 1), made.deviation
    noise = ((x**2).T @ x**2 / count - s**2) / count  # variance of each entry of S
    if target == "identity":
        level, distance = _spread(made)
        return _to_identity(made, level, safe_divide(jnp.clip(jnp.sum(noise), 0, distance), distance))
    both = ~made.hidden & ~jnp.eye(len(s), dtype=bool)
    mean = safe_divide(jnp.sum(jnp.where(both, made.correlation, 0)), jnp.sum(both, dtype=s.dtype))
    aim = jnp.where(jnp.eye(len(s), dtype=bool), s, mean * made.scale[:, None] * made.scale[None])
    ratio = safe_divide(made.scale[None], made.scale[:, None])
    skew = ((x**3).T @ x / count - jnp.diagonal(s)[:, None] * s) / count
    shared = jnp.trace(noise) + mean * jnp.sum(jnp.where(both, ratio * skew, 0))  # covariance of F with S
    share = jnp.clip(safe_divide(jnp.sum(noise) - shared, jnp.sum((aim - s) ** 2)), 0, 1)
    return made.only_known((1 - share) * s + share * aim)


def oas(returns: Returns) -> Matrix:
    """(1 - s) S + s tr(S) / A I with s of the oracle approximating shrinkage (Chen, Wiesel, Eldar & Hero 2010).

    Optimal for normal returns. S has ddof 0; s = min(1, (m + l^2) / ((T + 1) (m - l^2 / A))) with m the mean of the
    squared entries of S and l = tr(S) / A, as `sklearn.covariance.oas`.
    """
    made = pairwise(returns, ddof=0)
    level, distance = _spread(made)
    assets = jnp.maximum(made.assets, 1)
    mean_square = distance / assets**2 + level**2 / assets
    share = safe_divide(mean_square + level**2, (made.rows + 1) * distance / assets**2, otherwise=1)
    return _to_identity(made, level, jnp.minimum(share, 1))


def nonlinear(returns: Returns) -> Matrix:
    """Eigenvectors of the sample covariance with the eigenvalues of analytical nonlinear shrinkage.

    Ledoit & Wolf (2020, Annals of Statistics 48), section 4, with the supplement on more assets than rows: an
    Epanechnikov kernel of bandwidth n^(-1/3) times the eigenvalue estimates the density of the eigenvalues and its
    Hilbert transform. n is the number of rows less one, for the mean. The asymptotics need some dozens of assets and
    rows.
    """
    made = pairwise(returns)
    level, _ = _spread(made)
    unit = jnp.where(made.hidden, made.correlation, safe_divide(made.covariance, level))
    shrunk = spectral_map(_nonlinear, unit, jnp.maximum(made.rows - 1, 1))
    return made.only_known(shrunk * level)


def _spread(made: Pairwise) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return l = tr(S) / A and |S - l I|^2 over the known assets."""
    level = jnp.trace(made.covariance) / jnp.maximum(made.assets, 1)
    away = made.covariance - jnp.diag(jnp.where(made.known, level, 0))
    return level, jnp.sum(away**2)


def _to_identity(made: Pairwise, level: Float[Array, ""], share: Float[Array, ""]) -> Matrix:
    identity = jnp.eye(len(made.known), dtype=made.covariance.dtype)
    return made.only_known((1 - share) * made.covariance + share * level * identity)


def _nonlinear(values: Spectrum, n: Float[Array, ""]) -> Spectrum:
    """Return the shrunk eigenvalues. Those of unknown assets are negative, and come first; null ones follow."""
    size, real = len(values), values > -0.5
    p = jnp.sum(real, dtype=values.dtype)
    used = jnp.arange(size, dtype=values.dtype) >= size - jnp.minimum(p, n)
    kernels = jnp.maximum(jnp.minimum(p, n), 1)
    least = jnp.finfo(values.dtype).eps * values[-1]
    x = jnp.where(used, jnp.maximum(values, least), 1)
    width = n ** (-1 / 3)

    def mean(terms: Float[Array, "A A"]) -> Spectrum:
        return jnp.sum(jnp.where(used[None], terms, 0), 1) / kernels

    bandwidth = (width * x)[None]
    away = (x[:, None] - x[None]) / bandwidth
    density = mean(3 / (4 * math.sqrt(5)) * jnp.maximum(1 - away**2 / 5, 0) / bandwidth)
    hilbert = mean(_epanechnikov_hilbert(away) / bandwidth)
    ratio = p / n
    few = x / ((jnp.pi * ratio * x * density) ** 2 + (1 - ratio - jnp.pi * ratio * x * hilbert) ** 2)
    many = 1 / (jnp.pi**2 * x * (density**2 + hilbert**2))
    at_zero = _epanechnikov_hilbert(-1 / width) / width * jnp.sum(jnp.where(used, 1 / x, 0)) / kernels
    null = 1 / (jnp.pi * jnp.maximum((p - n) / n, 1 / n) * at_zero)
    return jnp.where(used, jnp.where(p <= n, few, many), jnp.where(real, null, values))


def _epanechnikov_hilbert(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the Hilbert transform of the Epanechnikov density of variance 1."""
    far = jnp.abs(x) > FAR
    near = jnp.where(far | (jnp.abs(x) == math.sqrt(5)), 0, x)  # at its ends the logarithm has the factor 0
    logs = jnp.log(jnp.abs((math.sqrt(5) - near) / (math.sqrt(5) + near)))
    closed = -3 / (10 * jnp.pi) * x + 3 / (4 * math.sqrt(5) * jnp.pi) * (1 - near**2 / 5) * logs
    inverse = 1 / jnp.where(far, x, 1)
    moments = [5.0**k * 3 / ((2 * k + 1) * (2 * k + 3)) for k in range(5)]  # of even order
    series = -inverse / jnp.pi * sum(m * inverse ** (2 * k) for k, m in enumerate(moments))
    return jnp.where(far, series, closed)
