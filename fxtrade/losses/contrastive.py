"""Contrastive losses of embeddings: rows that belong together are to be more alike than rows that do not.

They take `output.embed [B, T, A, D]` and a segment with y and w `[B, T, A]`, and give a scalar in nats, 0 where nothing
has weight. Rows count by their weights w; a row without weight takes no part at all. How alike two rows are is their
cosine over a temperature tau, s_ij = z_i . z_j / (|z_i| |z_j| tau), in float32 or wider whatever the embedding's type.

`nt_xent` and `ts2vec` want the two views of a batch that `train.augment.two_views` makes: rows b and B / 2 + b are
views of the same segment. `optax.losses.ntxent` is the first of them where all rows have the same weight, and knows no other
weights; with more than two rows of a label it is not `supervised`, since it leaves the other positives out of the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core import registry
from fxtrade.core.registry import Interval
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses.classify import mean

Temperature = Annotated[float, Interval(ge=1e-3)]
NEVER = -1e30  # similarity to a row that does not count: its share is exactly 0
LEAST = 1e-8  # added to a squared length: an embedding of zeros has a finite slope


def nt_xent(output: Output, segment: Segment, *, temperature: Temperature = 0.1, anchors: int = 512) -> Array:
    """Mean of -log(e^s_ij / sum_{k != i} e^s_ik), i and j the views of a bar, k all others and j (Chen et al. 2020).

    SimCLR's normalised temperature-scaled cross-entropy. With n bars it is log(2 n - 1) where all embeddings are the
    same, and 0 at the least.

    Args:
        anchors: bars that take part, each in both views, evenly spread over those with weight: as many of each segment,
            and at least one. All pairs among them are compared.
    """
    w = jnp.minimum(*jnp.split(segment.w, 2))
    rows, w = _spread(_by_segment(w), anchors)
    views = jnp.stack([_take(half, rows) for half in jnp.split(output.embed, 2)])
    return mean(_told_apart(views, w, temperature), w)


def ts2vec(
    output: Output,
    segment: Segment,
    *,
    temperature: Temperature = 0.1,
    alpha: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
    block: int = 64,
    bars: int = 64,
) -> Array:
    """Mean over levels of alpha x instance + (1 - alpha) x temporal contrast (TS2Vec, Yue et al. 2022).

    Both are `nt_xent` of the two views of a bar: against the same bar of all other series of the batch (each asset of
    each segment is one), and against other bars of the same series. At each level the embedding is the largest of two
    rows of the one before, until one row is left; a row without weight is left out of it, and weights add up. The paper
    takes scalar products in place of cosines over a temperature, and all bars.

    Args:
        alpha: share of the contrast between series.
        block: rows of a level that are told apart in time; the cost grows with T x block.
        bars: rows of a level at which series are told apart, evenly spread over those with weight.
    """
    z = jnp.stack(jnp.split(_wide(output.embed), 2))  # [2, B, T, A, D]
    z = jnp.moveaxis(z, 2, 1).reshape(2, z.shape[2], -1, z.shape[-1])  # [2, T, M, D], M = B A series
    w = jnp.moveaxis(jnp.minimum(*jnp.split(segment.w, 2)), 1, 0).reshape(z.shape[1:3])
    levels = [(z, w)]
    while len(levels[-1][1]) > 1:
        levels.append(_pooled(*levels[-1]))
    series = _mean_of_levels([_between_series(*level, bars) for level in levels], temperature)
    times = _mean_of_levels([_between_bars(*level, min(block, len(w))) for level in levels], temperature)
    return alpha * series + (1 - alpha) * times


def supcon(output: Output, segment: Segment, *, temperature: Temperature = 0.1, anchors: int = 512) -> Array:
    """Mean of -1/|P_i| sum_{p in P_i} log(e^s_ip / sum_{k != i} e^s_ik), P_i all others of i's class.

    The supervised contrastive loss in its better form L_out (SupCon, Khosla et al. 2020). Rows that are alone in their
    class do not count as i, but as others. It takes any batch: of two views both are just rows of their class.

    Args:
        anchors: rows that take part, evenly spread over those with weight: as many of each row of the batch, and at
            least one. All pairs among them are compared.
    """
    rows, w = _spread(_by_segment(segment.w), anchors)
    z, y = _unit(_take(output.embed, rows)), _take(segment.y, rows)
    s = _similarity(z, w, temperature)
    log_p = s - jax.nn.logsumexp(s, -1, keepdims=True)
    alike = (y[:, None] == y) & (w > 0) & ~jnp.eye(len(y), dtype=bool)
    count = jnp.sum(alike, -1)
    loss = -jnp.sum(jnp.where(alike, log_p, 0), -1) / jnp.maximum(count, 1)
    return mean(loss, jnp.where(count > 0, w, 0))


def _told_apart(views: Array, w: Array, temperature: float) -> Array:
    """NT-Xent `[..., n]` of n rows in two views `[..., 2, n, D]`, mean of both; rows without weight take no part."""
    *groups, _, n, channels = views.shape
    z = _unit(views.reshape(*groups, 2 * n, channels))
    s = _similarity(z, jnp.concatenate([w, w], -1), temperature)
    whole = jax.nn.logsumexp(s, -1).reshape(*groups, 2, n)
    return jnp.mean(whole, -2) - jnp.diagonal(s, n, -2, -1)


def _similarity(z: Array, w: Array, temperature: float) -> Array:
    """s `[..., n, n]` of unit vectors; `NEVER` to itself and to rows without weight."""
    s = jnp.matmul(z, jnp.swapaxes(z, -1, -2)) / temperature
    return jnp.where((w > 0)[..., None, :] & ~jnp.eye(z.shape[-2], dtype=bool), s, NEVER)


def _between_series(z: Array, w: Array, bars: int) -> tuple[Array, Array]:
    """Groups of all series at one bar: `[2, T, M, D] -> [bars, 2, M, D]` with weights `[bars, M]`."""
    rows, spread = _spread(jnp.sum(w, -1)[None], bars)
    return jnp.moveaxis(z[:, rows[0]], 0, 1), jnp.where(spread[:, None] > 0, w[rows[0]], 0)


def _between_bars(z: Array, w: Array, block: int) -> tuple[Array, Array]:
    """Groups of `block` bars of one series: `[2, T, M, D] -> [groups M, 2, block, D]`, weights `[groups M, block]`."""
    z, w = _in_groups(z, block, 1).transpose(1, 3, 0, 2, 4), jnp.swapaxes(_in_groups(w, block, 0), 1, 2)
    return z.reshape(-1, *z.shape[2:]), w.reshape(-1, block)


def _mean_of_levels(levels: list[tuple[Array, Array]], temperature: float) -> Array:
    """Mean over levels of the contrast within their groups; one product for all, since each would be compiled anew."""
    views, weights = zip(*levels, strict=True)
    loss = _told_apart(jnp.concatenate(views), jnp.concatenate(weights), temperature)
    parts = jnp.split(loss, np.cumsum([len(w) for w in weights])[:-1])
    return sum(mean(part, w) for part, w in zip(parts, weights, strict=True)) / len(weights)


def _pooled(z: Array, w: Array) -> tuple[Array, Array]:
    """The next level of views `[2, T, M, D]` and weights `[T, M]`: half as many rows."""
    z, w = _in_groups(z, 2, 1), _in_groups(w, 2, 0)
    known = (w > 0)[..., None]
    largest = jnp.max(jnp.where(known, z, NEVER), 2)
    return jnp.where(known.any(1), largest, 0), w.sum(1)


def _in_groups(a: Array, size: int, axis: int) -> Array:
    """Rows along an axis in groups of `size`, zeros at the end: `[..., T, ...] -> [..., ceil(T / size), size, ...]`."""
    missing = -a.shape[axis] % size
    a = jnp.pad(a, [(0, missing if i == axis else 0) for i in range(a.ndim)])
    return a.reshape(*a.shape[:axis], -1, size, *a.shape[axis + 1 :])


def _spread(w: Array, count: int) -> tuple[Array, Array]:
    """`count` rows in all of `[B, R]`, evenly spread over those with weight: places `[B, n]` and weights `[B n]`.

    Where fewer than n rows of a segment have weight the rest of its places are empty: weight 0.
    """
    n = min(max(count // w.shape[0], 1), w.shape[1])
    known = jnp.cumsum(w > 0, -1)
    total, i = known[:, -1:], jnp.arange(n)
    used = jnp.minimum(total, n)
    rank = (2 * i + 1) * total // jnp.maximum(2 * used, 1)
    place = jnp.minimum(jnp.sum(known[:, None] <= rank[..., None], -1), w.shape[1] - 1)
    return place, jnp.where(i < used, jnp.take_along_axis(w, place, 1), 0).reshape(-1)


def _by_segment(a: Array) -> Array:
    """`[B, T, A, ...] -> [B, A T, ...]`: asset by asset, so that evenly spread rows are of all of them."""
    return jnp.moveaxis(a, 2, 1).reshape(a.shape[0], -1, *a.shape[3:])


def _take(a: Array, rows: Array) -> Array:
    """Rows `[B n, ...]` of `[B, T, A, ...]` at the places `[B, n]` of `_spread`."""
    return jax.vmap(lambda of, at: of[at])(_by_segment(a), rows).reshape(-1, *a.shape[3:])


def _unit(z: Array) -> Array:
    z = _wide(z)
    return z * lax.rsqrt(jnp.sum(z**2, -1, keepdims=True) + LEAST)


def _wide(z: Array) -> Array:
    return z.astype(jnp.promote_types(z.dtype, jnp.float32))


CONTRASTIVE = {"simclr": nt_xent, "ts2vec": ts2vec, "supervised": supcon}


def build(name: str, options: Mapping[str, Any]) -> Callable[[Output, Segment], Array]:
    """Return the loss of a name and options such as `{"temperature": 0.2}`.

    Raises:
        ConfigError: an unknown name or option, or a value that is impossible.
    """
    return registry.build(CONTRASTIVE, name, options, "contrastive loss")
