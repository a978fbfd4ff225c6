"""Covariances of returns with gaps: each pair of assets by the rows in which both have a value.

An asset with values in fewer than half of the rows, or in fewer than two, is not known: its row and column of every
estimate are NaN. A pair with fewer than two common rows counts as uncorrelated. Such a matrix may be indefinite, and
then `spectral.nearest_psd` projects it. Without gaps it is the usual covariance.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.types import Array
from fxtrade.core.validity import is_valid
from fxtrade.risk.signals import as_real
from fxtrade.risk.spectral import correlation_of, nearest_psd, scale_of

Returns = Float[Array, "T A"]
Matrix = Float[Array, "A A"]


class Pairwise(NamedTuple):
    """The covariances of a window.

    Attributes:
        covariance: positive semidefinite, 0 in rows and columns of assets that are not known.
        deviation: from the asset's mean, 0 where missing or not known.
        count: rows in which both of a pair have a value.
        known: assets with enough values.
    """

    covariance: Matrix
    deviation: Returns
    count: Matrix
    known: Bool[Array, " A"]

    @property
    def rows(self) -> Float[Array, ""]:
        """A number of rows whose reciprocal is the mean reciprocal of the pairs' numbers, rounded; without gaps T."""
        both = self.known[:, None] & self.known[None]
        inverse = jnp.sum(jnp.where(both, 1 / jnp.maximum(self.count, 1), 0)) / jnp.maximum(self.assets**2, 1)
        return jnp.round(1 / jnp.where(inverse > 0, inverse, 1))

    @property
    def assets(self) -> Float[Array, ""]:
        """Number of known assets."""
        return jnp.sum(self.known, dtype=self.covariance.dtype)

    @property
    def scale(self) -> Float[Array, " A"]:
        """Standard deviations."""
        return scale_of(self.covariance)

    @property
    def correlation(self) -> Matrix:
        """Correlations; of an asset that is not known -1 on the diagonal, an eigenvalue that no other asset has."""
        return jnp.where(self.hidden & jnp.eye(len(self.known), dtype=bool), -1, correlation_of(self.covariance))

    @property
    def hidden(self) -> Bool[Array, "A A"]:
        """Entries of assets that are not known."""
        return ~(self.known[:, None] & self.known[None])

    def scaled(self, correlation: Matrix) -> Matrix:
        """Return the covariance of these variances and other correlations; NaN for assets that are not known."""
        return self.only_known(correlation * self.scale[:, None] * self.scale[None])

    def only_known(self, covariance: Matrix) -> Matrix:
        """Return the matrix with NaN in rows and columns of assets that are not known."""
        return jnp.where(self.hidden, jnp.nan, covariance)


def least_rows(rows: int) -> int:
    """Return the number of values that an asset needs in a window of so many rows."""
    return max(-(-rows // 2), 2)


def pairwise(returns: Returns, ddof: int = 1) -> Pairwise:
    """Return the covariances of a window; those of n common rows are sums of products of deviations over n - ddof.

    Deviations are from the asset's mean over all its own rows. Everything is in JAX's default float.
    """
    x = as_real(returns)
    ok = is_valid(x)
    own = jnp.sum(ok, 0)
    known = own >= least_rows(len(x))
    ok &= known[None]
    seen = ok.astype(x.dtype)
    mean = jnp.sum(jnp.where(ok, x, 0), 0) / jnp.maximum(own, 1).astype(x.dtype)
    deviation = jnp.where(ok, x - mean[None], 0)
    count = seen.T @ seen
    covariance = deviation.T @ deviation / jnp.maximum(count - ddof, 1)
    return Pairwise(nearest_psd(jnp.where(count >= 2, covariance, 0)), deviation, count, known)
