"""The spectrum of windows of returns: power in bands, entropy, dominant period, phases.

Bin b of a window of W values is X_b = sum over j of w_j x_j e^(-2 pi i b j / W), j = 0 at the window's first row, as
`numpy.fft` has it: b cycles a window, W / b bars per cycle. The taper w is 1 ("none") or the periodic Hann window.
A window with a missing value has no transform: NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import nan_where_invalid
from fxtrade.features.feature import Columns

Taper = Literal["none", "hann"]
# as weights of neighbouring bins (Harris 1978)
TAPERS: dict[Taper, dict[int, float]] = {"none": {0: 1.0}, "hann": {-1: -0.25, 0: 0.5, 1: -0.25}}
WHITE_NOISE = 1e-7  # a bar: added to every window, so that a price that never moves has a spectrum
SHRINK = 0.01  # of the mean power of a bin: where a bin has less, its phase fades
TIE = 1e-5  # relative difference in power below which two bins are equally strong
BLOCK = 256  # rows whose windows are laid out at a time: they stay in the cache
# Bars of a window from which a fast Fourier transform takes less time than the product with a matrix: half of it at
# 256, an eighth at 2048, on one core.
FFT_WINDOW = 128

Bins = tuple[Float[Array, "T A bins"], Float[Array, "T A bins"]]  # real and imaginary parts
Out = TypeVar("Out")  # pytree of arrays


def spectrum(
    k: Kernels,
    bars: Bars,
    *,
    window: int = 64,
    taper: Taper = "hann",
    bands: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
    bins: tuple[int, ...] = (2, 4),
) -> Columns:
    """The power spectrum |X_b|^2, b = 1 .. W / 2, of the one-bar log returns of each window less their mean.

    - `power_<p>_<q>_<W>`: log of the mean power of the bins of p <= bars per cycle < q over that of all bins, for each
      two consecutive edges in `bands` (the last band includes its end); 0 in white noise.
    - `spectral_entropy_<W>`: of the shares of the bins, over its largest value (Inouye et al. 1991): 1 in white noise,
      0 in a pure cycle.
    - `dominant_period_<W>`: log of the bars per cycle of the strongest bin; of bins that are equal to 1e-5 (all are,
      where the price has moved only once) it is the slowest.
    - `phase_sin_<b>_<W>`, `phase_cos_<b>_<W>`: of bin b in `bins` at the window's first row, cos as X_b / |X_b|. They
      fade to 0 where the bin has less than a hundredth of the mean power.

    The scale of the returns does not matter. A price that never moves has the spectrum of white noise. NaN where a
    return in the window is missing.

    Raises:
        ConfigError: a window below 4 bars, edges that do not rise or lie outside of 2 .. W bars per cycle, a band
            without a bin, a bin outside of 1 .. W / 2.
    """
    _check(window, bands, bins)
    period, half = _periods(window), window // 2
    transform, mean_of_band = _transform(window, taper), _band_weights(period, bands)
    # the expected power of white noise in a tapered window
    floor = np.float32(WHITE_NOISE**2 * window * sum(c**2 for c in TAPERS[taper].values()))

    def columns(frames):
        re, im = transform(frames)
        power = re**2 + im**2 + floor
        level = power.mean(-1, keepdims=True)
        ratio = power / level
        entropy = 1 - (ratio * jnp.log(ratio)).mean(-1) / np.log(half)
        # as a maximum, since XLA's argmax would take two thirds of the time of all the rest
        strongest = ratio >= (1 - TIE) * ratio.max(-1, keepdims=True)
        peak = jnp.where(strongest, np.log(period).astype(np.float32)[None, None], 0).max(-1)
        in_bands = jnp.log(jnp.matmul(ratio, mean_of_band, precision=lax.Precision.HIGHEST))
        phases = [part[..., b - 1] / jnp.sqrt(power + SHRINK * level)[..., b - 1] for part in (im, re) for b in bins]
        return jnp.concatenate([in_bands, jnp.stack([jnp.clip(entropy, 0, 1), peak, *phases], -1)], -1)

    x = _over_windows(k.past(k.log_return(bars.close), window - 1), window, columns)
    names = [f"power_{low:g}_{high:g}_{window}" for low, high in pairwise(bands)]
    names += [f"spectral_entropy_{window}", f"dominant_period_{window}"]
    names += [f"phase_{part}_{b}_{window}" for part in ("sin", "cos") for b in bins]
    return {name: x[..., i] for i, name in enumerate(names)}


def windowed_dft(
    k: Kernels, x: Float[Array, "T A"], window: int, bins: Sequence[int], taper: Taper = "none", centred: bool = False
) -> Bins:
    """These bins of every window, with `centred` of the window less its mean, by a product with the DFT matrix."""
    matrix = dft_matrix(window, bins, taper, centred)
    return _over_windows(k.past(x, window - 1), window, lambda frames: _project(frames, matrix))


def dft_matrix(window: int, bins: Sequence[int], taper: Taper, centred: bool) -> np.ndarray:
    """`[window, 2 * bins]`: product of a window with it gives the real and then the imaginary parts of its bins."""
    raw = sorted({(b + d) % window for b in bins for d in TAPERS[taper]})  # bins without taper
    mix = np.zeros((len(raw), len(bins)))
    for i, b in enumerate(bins):
        for d, weight in TAPERS[taper].items():
            if not (centred and (b + d) % window == 0):  # the mean is bin 0
                mix[raw.index((b + d) % window), i] += weight
    angle = 2 * np.pi / window * (np.outer(np.arange(window), raw) % window)
    return np.concatenate([np.cos(angle) @ mix, -np.sin(angle) @ mix], 1).astype(np.float32)


def _transform(window: int, taper: Taper) -> Callable[[Array], Bins]:
    """Function from windows `[T, W, A]` to bins 1 .. W / 2 of the windows less their means."""
    if window < FFT_WINDOW:
        return partial(_project, matrix=dft_matrix(window, range(1, window // 2 + 1), taper, centred=True))
    angle = 2 * np.pi / window * np.arange(window)
    weights = np.asarray(sum(c * np.cos(d * angle) for d, c in TAPERS[taper].items()), np.float32)

    def fast(frames):
        x = jnp.swapaxes(frames, 1, 2)
        bins = jnp.fft.rfft((x - x.mean(-1, keepdims=True)) * weights[None, None])[..., 1:]
        return bins.real, bins.imag

    return fast


def _project(frames: Float[Array, "T W A"], matrix: np.ndarray) -> Bins:
    """Bins of windows by a product with the DFT matrix."""
    both = jnp.einsum("twa,wb->tab", frames, matrix, precision=lax.Precision.HIGHEST)
    return both[..., : matrix.shape[1] // 2], both[..., matrix.shape[1] // 2 :]


def _over_windows(past: Float[Array, "N A"], window: int, f: Callable[[Array], Out]) -> Out:
    """f of all windows `[T, W, A]` of T + W - 1 rows, laid out a block of rows at a time; f keeps the first axis."""
    past = nan_where_invalid(past)
    rows = past.shape[0] - (window - 1)
    if rows == 1:
        return f(past[None])
    size = min(BLOCK, rows)
    index = np.arange(size)[:, None] + np.arange(window)
    padded = jnp.pad(past, ((0, -rows % size), (0, 0)), constant_values=jnp.nan)

    def block(i):
        return f(lax.dynamic_slice_in_dim(padded, i * size, size + window - 1)[index])

    out = lax.map(block, jnp.arange(-(-rows // size)))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:rows], out)


def _band_weights(period: np.ndarray, bands: Sequence[float]) -> np.ndarray:
    """`[bins, bands]`: weights of the mean over each band; a band without bins is a column of zeros."""
    inside = [(p <= period) & ((period < q) | (q == period) & (q == bands[-1])) for p, q in pairwise(bands)]
    return np.stack([i / max(i.sum(), 1) for i in inside], 1).astype(np.float32)


def _check(window: int, bands: Sequence[float], bins: Sequence[int]) -> None:
    if window < 4:
        raise ConfigError(f"feature 'spectrum': option window must be at least 4 bars, got {window}")
    if len(bands) < 2 or not bands[0] >= 2 or bands[-1] > window or any(not p < q for p, q in pairwise(bands)):
        raise ConfigError(
            f"feature 'spectrum': option bands must be at least two rising edges within 2 .. {window} bars per cycle "
            f"(window), got {tuple(bands)}"
        )
    empty = ~_band_weights(_periods(window), bands).any(0)
    if empty.any():
        low, high = list(pairwise(bands))[int(empty.argmax())]
        raise ConfigError(
            f"feature 'spectrum': a window of {window} bars has no cycle of {low:g} .. {high:g} bars, only of "
            f"{window} / 1, {window} / 2, {window} / 3, ...; use a wider band or a longer window"
        )
    if max(bins) > window // 2:
        raise ConfigError(f"feature 'spectrum': option bins must lie within 1 .. {window // 2}, got {tuple(bins)}")


def _periods(window: int) -> np.ndarray:
    """Bars per cycle of bins 1 .. W / 2."""
    return window / np.arange(1, window // 2 + 1)
