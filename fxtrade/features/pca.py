"""Principal components of the correlations of assets: the share of the common factor, and each asset's part in it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid, safe_divide
from fxtrade.features.correlation import Estimator, correlation_matrix
from fxtrade.features.covariance import half
from fxtrade.features.feature import Columns, require_two_assets

FEW = 4  # assets up to which rotations beat LAPACK: 7 times as fast at 2, 2.4 at 4, level at 5, slower at 16
SWEEPS = 5  # of all rotations; 4 leave errors of 1e-5 at 4 assets, more than 5 change nothing
TIE = 1e-6  # share of the equal-weighted portfolio that is added: it breaks exact ties, and changes nothing else

Matrices = Float[Array, "T A A"]


class Components(NamedTuple):
    """The first M principal components of each row.

    Attributes:
        share: of the trace, falling; NaN where no asset is valid.
        loadings: unit vectors; 0 for missing assets.
    """

    share: Float[Array, "T M"]
    loadings: Float[Array, "T A M"]


def absorption_ratio(
    k: Kernels, bars: Bars, *, window: int = 64, components: int = 1, estimator: Estimator = "pearson"
) -> Columns:
    """The first principal component of the assets' correlations over `window` bars, and the variance it explains.

    `absorption_ratio`: share of the variance that the first `components` explain (Kritzman, Li, Page & Rigobon 2011),
    the same for all assets. `loading`: of the asset on the first component, times sqrt(number of valid assets). With z
    the one-bar log return over its standard deviation of the window: `component`, the part of z that the first
    component explains (loading times the factor of the valid assets), and `component_residual`, the rest of z.
    """
    require_two_assets(bars, "absorption_ratio")
    rho = correlation_matrix(k, bars, window, estimator)
    valid, pc = _valid(rho), principal(rho, components)
    v, z = pc.loadings[..., 0], k.zscore(k.log_return(bars.close), window, half(window))
    both = valid & ~jnp.isnan(z)
    weight = jnp.sum(jnp.where(both, v**2, 0), 1, keepdims=True)
    factor = safe_divide(jnp.sum(jnp.where(both, v * z, 0), 1, keepdims=True), weight)
    columns = {
        "absorption_ratio": pc.share.sum(1, keepdims=True),
        "loading": v * jnp.sqrt(jnp.sum(valid, 1, keepdims=True, dtype=v.dtype)),
        "component": v * factor,
        "component_residual": z - v * factor,
    }
    known = both & is_valid(bars.close) & bars.ok
    return {f"{name}_{window}": jnp.where(known, value, jnp.nan) for name, value in columns.items()}


def principal(matrix: Matrices, m: int = 1) -> Components:
    """First m eigenvectors of symmetric matrices, largest eigenvalue first; at most A.

    An asset whose diagonal entry is NaN is missing; other NaN entries count as 0. The sign does not depend on earlier
    rows, so that a live system can compute it: the sum of the loadings is positive, or, where it is within 1e-3 of
    0, the first loading above 1e-3 in size. Where two eigenvalues cross, their vectors change places, and near the
    crossing they are any basis of the plane; an exact tie goes to the equal-weighted portfolio.
    """
    assets = matrix.shape[-1]
    valid = _valid(matrix)
    both = valid[:, :, None] & valid[:, None]
    clean = jnp.where(both & ~jnp.isnan(matrix), matrix, 0)
    trace = jnp.trace(clean, axis1=1, axis2=2)
    tilt = TIE * trace / jnp.maximum(jnp.sum(valid, 1, dtype=trace.dtype), 1)
    values, vectors = eigen(clean + jnp.where(both, tilt[:, None, None], 0))
    share, loadings = [], []
    for _ in range(min(m, assets)):
        pick = jnp.argmax(values, 1)[:, None] == np.arange(assets)[None]
        share.append(jnp.sum(jnp.where(pick, values, 0), 1) / jnp.where(trace > 0, trace, 1))
        v = jnp.sum(jnp.where(pick[:, None], vectors, 0), -1)
        v = jnp.where(valid, v, 0)
        total = jnp.sum(v, 1, keepdims=True)
        first = jnp.take_along_axis(v, jnp.argmax(jnp.abs(v) > 1e-3, 1)[:, None], 1)
        loadings.append(v * jnp.where(jnp.where(jnp.abs(total) > 1e-3, total, first) < 0, -1, 1))
        values = jnp.where(pick, -jnp.inf, values)
    return Components(jnp.where(jnp.any(valid, 1)[:, None], jnp.stack(share, 1), jnp.nan), jnp.stack(loadings, -1))


def _valid(matrix: Matrices) -> Bool[Array, "T A"]:
    return ~jnp.isnan(jnp.diagonal(matrix, axis1=1, axis2=2))


def eigen(matrix: Matrices) -> tuple[Float[Array, "T A"], Matrices]:
    """Eigenvalues in no order, and eigenvectors in columns, of symmetric matrices."""
    if matrix.shape[-1] > FEW:
        return jnp.linalg.eigh(matrix)
    values, vectors = _jacobi(jnp.moveaxis(matrix, 0, -1))
    return values.T, jnp.moveaxis(vectors, -1, 0)


def _jacobi(m: Float[Array, "A A T"]) -> tuple[Float[Array, "A T"], Float[Array, "A A T"]]:
    """Eigenvalues and eigenvectors by a fixed number of rotations of all rows at once.

    Jacobi's method in the parallel order of Brent & Luk (1985).
    """
    assets = m.shape[0]
    n = assets + assets % 2
    m = jnp.pad(m, [(0, n - assets), (0, n - assets), (0, 0)])
    v = jnp.broadcast_to(jnp.eye(n, dtype=m.dtype)[:, :, None], m.shape)
    eps = float(jnp.finfo(m.dtype).eps)

    def rotate(_, state):
        """Rotate all pairs (i, n - 1 - i) at once; then all but the first move on, as in a round-robin tournament."""
        m, v = state
        diagonal = jnp.stack([m[i, i] for i in range(n)])
        off = jnp.stack([m[i, n - 1 - i] for i in range(n // 2)])
        low, high = diagonal[: n // 2], diagonal[::-1][: n // 2]
        # what remains after convergence is rounding, which must not turn vectors of near eigenvalues
        off = jnp.where(jnp.abs(off) > eps * jnp.maximum(jnp.abs(low), jnp.abs(high)), off, 0)
        gap = high - low
        root = jnp.abs(gap) + jnp.sqrt(gap**2 + 4 * off**2)
        tangent = jnp.where(off != 0, 2 * off * jnp.where(gap < 0, -1, 1) / jnp.where(root > 0, root, 1), 0)
        cos = 1 / jnp.sqrt(1 + tangent**2)
        sin = tangent * cos
        cos, sin = jnp.concatenate([cos, cos[::-1]]), jnp.concatenate([-sin, sin[::-1]])
        m = cos[:, None] * m + sin[:, None] * m[::-1]
        m = cos[None] * m + sin[None] * m[:, ::-1]
        v = cos[None] * v + sin[None] * v[:, ::-1]
        return _move_on(_move_on(m, 0), 1), _move_on(v, 1)

    m, v = lax.fori_loop(0, SWEEPS * (n - 1), rotate, (m, v))
    return jnp.stack([m[i, i] for i in range(assets)]), v[:assets, :assets]


def _move_on(x: Array, axis: int) -> Array:
    first, rest, last = jnp.split(x, [1, x.shape[axis] - 1], axis)
    return jnp.concatenate([first, last, rest], axis)
