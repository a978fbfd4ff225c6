"""Causal wavelets: the maximal overlap transform (MODWT) and wavelet packets, each row from its past.

Filters are those of Percival & Walden (2000): h (high) and g (low) over sqrt 2, in pywt `rec_hi` and `rec_lo`, dilated
by 2^(j-1) at level j and convolved with the past: X_t is multiplied by g_0. (`dec_lo` is the same reversed, which
responds to moves later.) Level j holds cycles of 2^j to 2^(j+1) bars. A row whose support is not complete is NaN: no
boundary rule is applied.

The price level is not needed: the transform of the log close is computed from its one-bar differences. It has the same
coefficients, to 1e-5 of their standard deviation; from float32 log prices they would be lost in rounding (1e-6 at BTC
against moves of 1e-4).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pywt
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import nan_where_invalid
from fxtrade.core.windows import windowed_sum
from fxtrade.features.feature import Columns

RANDOM_WALK = 1e-7  # a bar: added to every price, so that one that never moves has energies


class Modwt(NamedTuple):
    """Details of J levels, finest first, and `lag`: the smooth of level J less the series itself."""

    detail: Float[Array, "N A J"]
    lag: Float[Array, "N A"]


def modwt(k: Kernels, x: Float[Array, "T A"], wavelet: str, levels: int, before: int = 0) -> Modwt:
    """Causal MODWT of the series whose ONE-BAR DIFFERENCES are x, e.g. log returns for the log price.

    The pyramid algorithm on differences over s = 2^(j-1) rows of the smooth of level j - 1, Y_j(t) = V(t) - V(t - s):
    with z the shift by s rows, the detail of level j is h(z) V = h(z) / (1 - z) Y_j, the loss of smoothness
    (1 - g(z)) V = (1 - g(z)) / (1 - z) Y_j, and Y_(j+1) = (1 + z) g(z) Y_j. All divisions are exact. Level j depends on
    (2^j - 1) (L - 1) + 1 rows of the series, for L taps; NaN where one of their differences is missing. The result also
    has `before` rows before the first of x.
    """
    step = _steps(wavelet)
    rows, width = before + x.shape[0], len(step.detail) + 1
    y, details, lag = _past(k, x, before + (2**levels - 1) * (width - 1) - 1), [], 0.0
    for level in range(levels):
        spacing = 2**level
        support = y[y.shape[0] - rows - (width - 2) * spacing :]
        details.append(_convolve(support, step.detail, spacing))
        lag = lag - _convolve(support, step.loss, spacing)
        if level + 1 < levels:
            y = _convolve(y, step.rise, spacing)
    return Modwt(jnp.stack(details, -1), jnp.asarray(lag))


def packets(
    k: Kernels, x: Float[Array, "T A"], wavelet: str, levels: int, before: int = 0
) -> Float[Array, "T+{before} A 2**{levels}"]:
    """Causal undecimated packet transform (MODWPT) of x itself: all leaves.

    In order of frequency ("sequency"): leaf n holds n to n + 1 of 2^(levels+1) cycles per bar. In a node of odd number
    the high pass comes first (Percival & Walden 2000, ch. 6). NaN where one of the last (2^levels - 1) (L - 1) + 1
    values is missing. `before` as in `modwt`.
    """
    high, low = (taps / np.sqrt(2) for taps in _filters(wavelet))
    nodes = _past(k, x, before + (2**levels - 1) * (len(low) - 1))[..., None]
    for level in range(levels):
        odd = np.arange(2**level) % 2 == 1
        slow, fast = _convolve(nodes, low, 2**level), _convolve(nodes, high, 2**level)
        halves = jnp.stack([jnp.where(odd, fast, slow), jnp.where(odd, slow, fast)], -1)
        nodes = halves.reshape(*halves.shape[:-2], -1)
    return nodes


def wavelet(k: Kernels, bars: Bars, *, wavelet: str = "db2", levels: int = 5, window: int = 128) -> Columns:
    """The MODWT of the log close, one column per level; s = 2^level is the shortest cycle of the level in bars.

    With D_s the detail, e_s its variance in a random walk of unit steps and sigma^2 the mean square of one-bar log
    returns over `window`:

    - `wavelet_detail_<s>`: D_s / (sigma sqrt e_s): speed of the price's rise at this scale, of size 1 in a random walk.
    - `wavelet_lag_<2^levels>`: the smooth (trend) less the log close, in the same units.
    - `wavelet_energy_<s>_<window>`: log of the square root of v_s / e_s, v_s the mean of D_s^2 over `window`: the
      unbiased wavelet variance, as the volatility per bar of the random walk that has it.
    - `wavelet_share_<s>_<window>`: share of v_s in the sum over levels.

    A price that never moves counts as a random walk of 1e-7 a bar. NaN where one of the last (2^levels - 1) (L - 1) +
    `window` returns is missing.

    Raises:
        ConfigError: not an orthogonal wavelet of pywt, or more than 12 levels (whose past is 4,095 (L - 1) bars).
    """
    _check("wavelet", wavelet, levels, most=12)
    returns = k.log_return(bars.close)
    detail, lag = modwt(k, returns, wavelet, levels, window - 1)
    *unit, unit_lag = walk_variances(wavelet, levels)
    unit = np.asarray(unit)[None, None]
    noise = jnp.sqrt(windowed_sum(_past(k, returns, window - 1) ** 2, window) / window + RANDOM_WALK**2)
    energy = windowed_sum(detail**2, window) / (window * unit).astype(np.float32) + RANDOM_WALK**2
    detail, lag = detail[window - 1 :], lag[window - 1 :]
    weighted = energy * (unit / unit.sum()).astype(np.float32)
    share = weighted / weighted.sum(-1, keepdims=True)
    z, energy = detail / (noise[..., None] * np.sqrt(unit).astype(np.float32)), 0.5 * jnp.log(energy)
    scales = [2 ** (level + 1) for level in range(levels)]
    columns = {f"wavelet_detail_{s}": z[..., i] for i, s in enumerate(scales)}
    columns[f"wavelet_lag_{scales[-1]}"] = lag / (noise * np.float32(np.sqrt(unit_lag)))
    columns |= {f"wavelet_energy_{s}_{window}": energy[..., i] for i, s in enumerate(scales)}
    return columns | {f"wavelet_share_{s}_{window}": share[..., i] for i, s in enumerate(scales)}


def wavelet_packet(k: Kernels, bars: Bars, *, wavelet: str = "db4", levels: int = 3, window: int = 128) -> Columns:
    """`wavelet_packet_<n>_<window>`: log energy of leaf n of the packet transform of one-bar log returns.

    The mean square over `window` relative to that of all 2^levels leaves, which is 0 in white noise; n in order of
    frequency, 0 the slowest (see `packets`). A price that never moves counts as white noise of 1e-7 a bar. NaN where
    one of the last (2^levels - 1) (L - 1) + `window` returns is missing.

    Raises:
        ConfigError: not an orthogonal wavelet of pywt, or more than 6 levels (64 leaves).
    """
    _check("wavelet_packet", wavelet, levels, most=6)
    leaves = packets(k, k.log_return(bars.close), wavelet, levels, window - 1)
    energy = windowed_sum(leaves**2, window) / window + RANDOM_WALK**2 / 2**levels
    energy = jnp.log(energy / energy.mean(-1, keepdims=True))
    return {f"wavelet_packet_{n}_{window}": energy[..., n] for n in range(2**levels)}


@cache
def walk_variances(wavelet: str, levels: int) -> tuple[float, ...]:
    """Variance of the detail of each level, and then of the lag, in a random walk of unit steps (float64)."""
    step, y, lag, variances = _steps(wavelet), np.ones(1), np.zeros(1), []
    for level in range(levels):
        detail, loss, rise = (np.kron(taps, np.eye(1, 2**level)[0]) for taps in step)
        variances.append(float((np.convolve(y, detail) ** 2).sum()))
        lost = np.convolve(y, loss)
        lag, y = np.pad(lag, (0, len(lost) - len(lag))) + lost, np.convolve(y, rise)
    return *variances, float((lag**2).sum())


class _Steps(NamedTuple):
    """Taps of one level of the pyramid on differences."""

    detail: np.ndarray
    loss: np.ndarray
    rise: np.ndarray


@cache
def _steps(wavelet: str) -> _Steps:
    high, low = (taps / np.sqrt(2) for taps in _filters(wavelet))
    # a cumulative sum divides by 1 - z
    return _Steps(np.cumsum(high)[:-1], np.cumsum(np.eye(1, len(low))[0] - low)[:-1], np.convolve(low, [1, 1]))


def _filters(wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    """High pass h and low pass g of Percival & Walden, unit energy each."""
    w = pywt.Wavelet(wavelet)  # pyright: ignore[reportAttributeAccessIssue]
    return np.asarray(w.rec_hi), np.asarray(w.rec_lo)


def _past(k: Kernels, x: Float[Array, "T A"], reach: int) -> Float[Array, "T+{reach} A"]:
    return nan_where_invalid(k.past(x, reach))


def _convolve(x: Array, taps: np.ndarray, spacing: int) -> Array:
    """sum over j of taps[j] x[t - j spacing] of the rows whose past is long enough."""
    # unlike `core.linear.convolve` without taking differences first: x is a series of differences
    rows = x.shape[0] - (len(taps) - 1) * spacing
    starts = [x.shape[0] - rows - j * spacing for j in range(len(taps))]
    return jnp.asarray(sum(np.float32(tap) * x[start : start + rows] for tap, start in zip(taps, starts, strict=True)))


def _check(feature: str, wavelet: str, levels: int, most: int) -> None:
    if wavelet not in orthogonal():
        raise ConfigError(f"feature '{feature}' has no wavelet '{wavelet}'{nearest(wavelet, orthogonal())}")
    if levels > most:
        raise ConfigError(f"feature '{feature}': option levels must be at most {most}, got {levels}")


@cache
def orthogonal() -> tuple[str, ...]:
    """Names of pywt's orthogonal wavelets, without `dmey`, which is orthogonal to 1e-3 only."""
    names = pywt.wavelist(kind="discrete")  # pyright: ignore[reportAttributeAccessIssue]
    wavelets = (pywt.Wavelet(name) for name in names)  # pyright: ignore[reportAttributeAccessIssue]
    return tuple(w.name for w in wavelets if w.orthogonal and abs(sum(w.rec_hi)) < 1e-6)
