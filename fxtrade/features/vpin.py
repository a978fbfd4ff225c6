"""Volume-synchronised probability of informed trading (VPIN): the imbalance of trading.

Easley, Lopez de Prado & O'Hara, "Flow toxicity and liquidity in a high-frequency world", Review of Financial Studies
25 (2012). Sources of signed volume are those of `flow.estimate_signed_volume`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import is_valid
from fxtrade.features.averages import positive_slow_mean
from fxtrade.features.feature import Columns
from fxtrade.features.flow import Source, estimate_signed_volume, share_of

ROUNDING = 1e-6  # a bucket that lacks at most this share of its volume counts as full


def vpin(
    k: Kernels, bars: Bars, *, buckets: int = 50, size: float = 4.0, source: Source = "taker", sigma: int = 64
) -> Columns:
    """Mean of |buys - sells| / volume over the last `buckets` full buckets of equal volume, in [0, 1].

    A bucket holds the slow average volume of `size` bars, as of each bar, so that the clock follows the market (with a
    constant average these are the buckets of the paper). A bar that crosses a bucket boundary is split in proportion to
    volume and may fill several buckets. Until `buckets` are full the mean is over those that are, 0 if none is. NaN for
    the first `buckets * size` bars, and in missing bars, which change nothing.

    Raises:
        ConfigError: a size that is not positive, or see `flow.estimate_signed_volume`.
    """
    if not size > 0:
        raise ConfigError(f"feature 'vpin': option size must be positive, got {size}")
    share = share_of(estimate_signed_volume(k, bars, source, sigma, "vpin"), bars.volume)
    share = jnp.where((bars.volume >= 0) & is_valid(bars.volume), share, jnp.nan)
    # a volume of more than all buckets has the effect of exactly that: the limit keeps a bad tick within float32
    volume = jnp.minimum(bars.volume / (size * positive_slow_mean(k, bars.volume)), buckets + 1)
    zero = jnp.zeros(bars.volume.shape[1:], jnp.float32)
    empty = Buckets(zero, zero, jnp.zeros((buckets, *zero.shape), jnp.float32), zero, zero, zero)
    value, count = k.scan(fill, empty, (volume, share))
    return {f"vpin_{buckets}": jnp.where(jnp.isfinite(share) & (count >= buckets * size), value, jnp.nan)}


def vpin_bars(
    k: Kernels, bars: Bars, *, windows: tuple[int, ...] = (64,), source: Source = "taker", sigma: int = 64
) -> Columns:
    """VPIN in bar time: the sum of |buys - sells| over each window of bars / the sum of volume, in [0, 1].

    0 where nothing was traded, NaN where a bar of the window is missing.
    """
    imbalance = jnp.abs(estimate_signed_volume(k, bars, source, sigma, "vpin_bars"))
    share = {w: share_of(k.total(imbalance, w), k.total(bars.volume, w)) for w in windows}
    return {f"vpin_bars_{w}": jnp.clip(s, 0, 1) for w, s in share.items()}


class Buckets(NamedTuple):
    """Buckets of volume 1: the open one and the last n full ones.

    Attributes:
        filled, flow: volume and buys less sells in the open bucket.
        imbalance: |buys - sells| of the full ones, 0 where there is none yet.
        place: index of the next one in the ring `imbalance`.
        full: number of full ones, at most n.
        count: bars so far.
    """

    filled: Float[Array, " A"]
    flow: Float[Array, " A"]
    imbalance: Float[Array, "n A"]
    place: Float[Array, " A"]
    full: Float[Array, " A"]
    count: Float[Array, " A"]


Row = tuple[Float[Array, " A"], Float[Array, " A"]]


def fill(b: Buckets, row: Row) -> tuple[Buckets, Row]:
    """Add a bar of (volume in buckets, at most n + 1; share of net buys, NaN if missing); return (VPIN, bar count)."""
    volume, share = row
    n = b.imbalance.shape[0]
    known = jnp.isfinite(share)
    reached = b.filled + volume
    new = jnp.floor(reached + ROUNDING)  # buckets that this bar completes: the open one, and others all its own
    filled = jnp.maximum(reached - new, 0)
    ahead = jnp.arange(n, dtype=jnp.float32)[:, None] - b.place[None]
    ahead = jnp.where(ahead < 0, ahead + n, ahead)
    first = jnp.where((ahead == 0) & (new <= n)[None], jnp.abs(b.flow + share * (1 - b.filled)), jnp.abs(share))
    place = b.place + new
    after = Buckets(
        filled,
        jnp.where(new > 0, share * filled, b.flow + share * volume),
        jnp.where(ahead < new[None], first, b.imbalance),
        place - n * jnp.floor(place / n),
        jnp.minimum(b.full + new, n),
        b.count + 1,
    )
    after = jax.tree.map(lambda a, old: jnp.where(known, a, old), after, b)
    return after, (jnp.minimum(after.imbalance.sum(0) / jnp.maximum(after.full, 1), 1), after.count)
