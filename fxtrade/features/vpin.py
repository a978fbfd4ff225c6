"""How one-sided trading is: the volume-synchronised probability of informed trading.

Easley, Lopez de Prado & O'Hara, "Flow toxicity and liquidity in a high-frequency world", Review of Financial Studies
25 (2012). On the sources of signed volume see `flow.signed_by`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.missing import is_value
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.features.flow import share_of, signed_by
from fxtrade.features.returns import typical_volume

ROUNDING = 1e-6  # a bucket that lacks so little of its volume is full


def vpin(
    k: Kernels, bars: Bars, *, buckets: int = 50, size: float = 4.0, source: str = "taker", sigma: int = 64
) -> dict[str, Array]:
    """Mean of |buys - sells| / volume over the last `buckets` full buckets of equal volume, in [0, 1].

    A bucket holds `size` bars of typical volume (`returns.typical_volume` at the time of each bar, so that the clock
    follows the market; with a constant one these are the buckets of the paper). A bar that crosses the end of a bucket
    is split there, its imbalance with it; it may fill several. Until `buckets` are full the mean is over those that
    are, 0 if none is. NaN until there were `buckets * size` bars, and in missing bars, which hold everything.

    Raises:
        ConfigError: a size that is not positive, or see `flow.signed_by`.
    """
    if not size > 0:
        raise ConfigError(f"feature 'vpin': option size must be positive, got {size}")
    share = share_of(signed_by(k, bars, source, sigma, "vpin"), bars.volume)
    share = jnp.where((bars.volume >= 0) & is_value(bars.volume), share, jnp.nan)
    # more than all buckets at once are just that: it keeps a bad print within float32
    volume = jnp.minimum(bars.volume / (size * typical_volume(k, bars)), buckets + 1)
    nothing = jnp.zeros(bars.volume.shape[1:], jnp.float32)
    empty = Buckets(nothing, nothing, jnp.zeros((buckets, *nothing.shape), jnp.float32), nothing, nothing, nothing)
    value, seen = k.scan(fill, empty, (volume, share))
    return {f"vpin_{buckets}": jnp.where(jnp.isfinite(share) & (seen >= buckets * size), value, jnp.nan)}


def vpin_bars(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), source: str = "taker", sigma: int = 64
) -> dict[str, Array]:
    """VPIN in bar time: the sum of |buys - sells| over each window of bars / the sum of volume, in [0, 1].

    0 where nothing was traded, NaN where a bar of the window is missing.
    """
    apart = jnp.abs(signed_by(k, bars, source, sigma, "vpin_bars"))
    ratio = {w: share_of(k.total(apart, w), k.total(bars.volume, w)) for w in windows}
    return {f"vpin_bars_{w}": jnp.clip(r, 0, 1) for w, r in ratio.items()}


class Buckets(NamedTuple):
    """Buckets of volume 1: the open one and the last n full ones.

    Attributes:
        filled, flow: `[A]` volume and buys less sells in the open bucket.
        imbalance: `[n, A]` |buys - sells| of the full ones, 0 where there is none yet.
        place: `[A]` where the next one goes, in a ring.
        full: `[A]` how many are full, at most n.
        seen: `[A]` bars so far.
    """

    filled: Array
    flow: Array
    imbalance: Array
    place: Array
    full: Array
    seen: Array


def fill(b: Buckets, row: tuple[Array, Array]) -> tuple[Buckets, tuple[Array, Array]]:
    """One bar of some volume (in buckets, at most n + 1) and share of net buys, NaN for none: (VPIN, bars so far)."""
    volume, share = row
    n = b.imbalance.shape[0]
    known = jnp.isfinite(share)
    reached = b.filled + volume
    new = jnp.floor(reached + ROUNDING)  # buckets that this bar fills: the open one, and others all its own
    filled = jnp.maximum(reached - new, 0)
    ahead = jnp.arange(n, dtype=jnp.float32)[:, None] - b.place
    ahead = jnp.where(ahead < 0, ahead + n, ahead)
    first = jnp.where((ahead == 0) & (new <= n), jnp.abs(b.flow + share * (1 - b.filled)), jnp.abs(share))
    place = b.place + new
    after = Buckets(
        filled,
        jnp.where(new > 0, share * filled, b.flow + share * volume),
        jnp.where(ahead < new, first, b.imbalance),
        place - n * jnp.floor(place / n),
        jnp.minimum(b.full + new, n),
        b.seen + 1,
    )
    after = jax.tree.map(lambda a, old: jnp.where(known, a, old), after, b)
    return after, (jnp.minimum(after.imbalance.sum(0) / jnp.maximum(after.full, 1), 1), after.seen)
