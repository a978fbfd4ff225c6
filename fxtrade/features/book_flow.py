"""Order flow imbalance: what changed in the order book between two rows.

Cont, Kukanov & Stoikov, "The price impact of order book events", Journal of Financial Econometrics 12 (2014); levels
and their integration: Cont, Cucuringu & Zhang, "Cross-impact of order flow imbalance in equity markets", Quantitative
Finance 23 (2023). On absent levels see `features.book`: they are empty and infinitely far away.
"""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.sums import windowed
from fxtrade.core.types import Array, Bars
from fxtrade.features.book import Ladder, ladder

WEIGHTS = ("equal", "component")
CLIP = 5.0


def ofi(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (1, 8, 64),
    levels: tuple[int, ...] = (1, 2, 3),
    depth: int = 10,
) -> dict[str, Array]:
    """Order flow imbalance at single levels, summed over each window of rows and divided by the mean depth in it.

    Between consecutive rows, at each level (`level_flows`):
        e = 1{b >= b'} q - 1{b <= b'} q' - 1{a <= a'} r + 1{a >= a'} r'
    with prices b, a and sizes q, r of bid and ask, ' in the row before. Depth is the mean size of a level and side over
    at most `depth` levels. NaN where a row of the window, or the one before it, has no book.
    """
    e, _, waiting = level_flows(k, bars, "ofi", levels, depth)
    sums = per_depth(k, [e[..., m - 1] for m in levels], waiting, windows)
    return {f"ofi_{m}_{w}": sums[w][i] for w in windows for i, m in enumerate(levels)}


def ofi_integrated(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (1, 8, 64),
    levels: int = 10,
    weights: str = "equal",
    halflife: float = 500.0,
) -> dict[str, Array]:
    """All levels' order flow imbalance in one number, summed and divided as in `ofi`.

    Levels enter with weights whose absolute values sum to one. They are equal, which told more about the move of the
    mid than the paper's choice in most real sessions (results/README.md); or, with `weights` "component", those of the
    first principal component of the levels' imbalances, each row's in units of its depth, as of the row before
    (`first_component`, over `halflife` rows). The paper takes that of sums over a minute; here a bad size spoils two
    rows and not a window of them. Absent levels have no flow.

    Raises:
        ConfigError: other weights, or a halflife that is not positive.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"feature 'ofi_integrated' has no weights '{weights}'{nearest(weights, WEIGHTS)}")
    if not halflife > 0:
        raise ConfigError(f"feature 'ofi_integrated': option halflife must be positive, got {halflife}")
    e, between, waiting = level_flows(k, bars, "ofi_integrated", levels, levels)
    if weights == "equal":
        flow = e.mean(-1)
    else:
        flow = (first_component(k, e / between[..., None], halflife) * e).sum(-1)
    return {f"ofi_integrated_{w}": sums[0] for w, sums in per_depth(k, [flow], waiting, windows).items()}


def per_depth(k: Kernels, flows: list[Array], waiting: Array, windows: tuple[int, ...]) -> dict[int, list[Array]]:
    """Of each window, the sums of all flows `[T, A]` in it over the mean depth in it; NaN where a row is missing."""
    # plain sums: flows come and go, and a mean about their first value would round at the size of that one
    longest, out = max(windows), {}
    past = k.past(jnp.stack([*flows, waiting]).swapaxes(0, 1), longest - 1)
    for w in windows:
        *totals, depth = jnp.moveaxis(windowed(past[longest - w :], w), 1, 0)
        out[w] = [total / (depth / w) for total in totals]
    return out


def level_flows(k: Kernels, bars: Bars, feature: str, levels: int | tuple[int, ...], depth: int) -> tuple[Array, ...]:
    """Imbalance of each level `[T, A, m]`; mean depth of the row and the one before, and of the row, `[T, A]`.

    NaN without one of the two books, the last without its own.
    """
    now, before = (ladder(k, bars, feature, levels, ago) for ago in (0, 1))
    bid, bid_before = (jnp.nan_to_num(book.bid_price, nan=0.0) for book in (now, before))
    ask, ask_before = (jnp.nan_to_num(book.ask_price, nan=jnp.inf) for book in (now, before))
    bought = jnp.where(bid >= bid_before, now.bid_size, 0) - jnp.where(bid <= bid_before, before.bid_size, 0)
    sold = jnp.where(ask <= ask_before, now.ask_size, 0) - jnp.where(ask >= ask_before, before.ask_size, 0)
    now, before = (mean_size(ladder(k, bars, feature, depth, ago)) for ago in (0, 1))
    e = jnp.where(jnp.isfinite(now + before)[..., None], bought - sold, jnp.nan)
    return e, 0.5 * (now + before), now


def mean_size(book: Ladder) -> Array:
    """Mean size of the levels of both sides, empty ones included; NaN without a book."""
    total = book.bid_size.sum(-1) + book.ask_size.sum(-1)
    return jnp.where(book.ok, total / (2 * book.bid_size.shape[-1]), jnp.nan)


def first_component(k: Kernels, x: Array, halflife: float) -> Array:
    """Weights `[T, A, m]` of the first principal component of the rows of x `[T, A, m]` before each row.

    Exponentially weighted second moments and one step of power iteration a row. Absolute weights sum to one, signed
    ones to no less than zero. For the first `halflife` rows they are equal; after these a row enters with at most
    `CLIP` times the usual length, so that one bad size cannot turn the weights far. Rows with NaN are left out.
    """
    decay = 2.0 ** (-1.0 / halflife)
    assets, m = x.shape[1:]
    equal = jnp.full((assets, m), 1 / m, jnp.float32)
    nothing = jnp.zeros((assets, m, m), jnp.float32)

    def step(carry, row):
        moments, weights, seen = carry
        there = jnp.isfinite(row).all(-1)
        z = jnp.where(there[:, None], row, 0)
        largest = CLIP * jnp.sqrt(jnp.trace(moments, axis1=1, axis2=2))
        length = jnp.sqrt((z**2).sum(-1))
        z = jnp.where((seen >= halflife) & (length > largest), largest / length, 1)[:, None] * z
        keep = jnp.where(there, decay, 1)[:, None, None]
        moments = keep * moments + (1 - keep) * z[:, :, None] * z[:, None, :]
        turned = (moments * weights[:, None, :]).sum(-1)
        size = jnp.abs(turned).sum(-1, keepdims=True)
        size = jnp.where(turned.sum(-1, keepdims=True) < 0, -size, size)  # the sign of a component is arbitrary
        after = jnp.where(size != 0, turned / jnp.where(size != 0, size, 1), weights)
        return (moments, after, seen + there), jnp.where((seen >= halflife)[:, None], weights, equal)

    return k.scan(step, (nothing, equal, jnp.zeros(assets, jnp.float32)), x)
