"""Fractional differences of prices: stationary like returns, with a longer memory."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.averages import noise
from fxtrade.features.feature import Columns


def fractional_difference(
    k: Kernels, bars: Bars, *, d: tuple[float, ...] = (0.3, 0.5, 0.7), window: int = 128
) -> Columns:
    """(1 - L)^d of the log close above that of the window's first bar, in units of its own standard deviation.

    The binomial series (Hosking 1981) over a fixed width (Lopez de Prado 2018, ch. 5): sum over j of
    w_j log(close_{t-j} / close_{t-window}), w_0 = 1, w_j = -w_{j-1} (d - j + 1) / j. d = 1 is the log return, d = 0 the
    return of the whole window. It is computed as the sum of order d - 1 over the returns of the window, which needs no
    level, and divided by `noise` times the root of the sum of those squared weights, so that independent returns give a
    variance of 1. A window with a missing bar is NaN.
    """
    for order in d:
        if not 0 <= order <= 2:
            raise ConfigError(f"feature 'fractional_difference': option d must lie between 0 and 2, got {order:g}")
    taps = np.stack([weights(order - 1, window) for order in d])
    taps /= np.sqrt((taps**2).sum(1, keepdims=True))
    moves = k.past(k.log_return(bars.close), window - 1)
    out = filter_bank(jnp.where(is_valid(moves), moves, 0), taps) / noise(k, bars, window)[..., None]
    return {f"fractional_difference_{order:g}": out[..., i] for i, order in enumerate(d)}


def weights(d: float, n: int) -> np.ndarray:
    """First n coefficients of (1 - L)^d, float64."""
    j = np.arange(1, n)
    return np.concatenate([[1.0], np.cumprod((j - 1 - d) / j)])


def filter_bank(x: Float[Array, "N A"], taps: np.ndarray) -> Float[Array, "T A filters"]:
    """Several causal filters `taps [filters, n]`, the newest row first, of x; T = N - n + 1."""
    kernel = jnp.asarray(taps[:, ::-1].T[:, None], jnp.float32)
    out = lax.conv_general_dilated(
        jnp.asarray(x).T[..., None],
        kernel,
        (1,),
        "VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=lax.Precision.HIGHEST,
    )
    return out.transpose(1, 0, 2)
