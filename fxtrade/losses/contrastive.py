"""Contrastive losses of embeddings: related rows should be more similar than unrelated ones.

All read the embedding of the output and y and w of the segment, and return a scalar in nats, 0 without any weight. Rows
count by their weights w; rows without weight are ignored. The similarity of two rows is their cosine over a temperature
tau, s_ij = z_i . z_j / (|z_i| |z_j| tau), in float32 or wider whatever the embedding's type.

`nt_xent` and `ts2vec` need the two views of a batch that `train.augment.two_views` makes: rows b and B / 2 + b are
views of the same segment. `optax.losses.ntxent` equals `nt_xent` if all rows have the same weight, and supports no
other weights; with more than two rows per label it differs from `supcon`: it leaves the other positives out of the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Shaped

from fxtrade.core import registry
from fxtrade.core.registry import Interval
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses.classify import weighted_mean

Temperature = Annotated[float, Interval(ge=1e-3)]
MASKED = -1e30  # similarity to an ignored row: its softmax is exactly 0
NORM_EPS = 1e-8  # added to a squared norm: an embedding of zeros has a finite gradient
Level = tuple[Float[Array, "_ 2 n D"], Float[Array, "_ n"]]  # groups of n rows in two views, and their weights


def nt_xent(
    output: Output, segment: Segment, *, temperature: Temperature = 0.1, anchors: int = 512
) -> Float[Array, ""]:
    """Compute the mean of -log(e^s_ij / sum_{k != i} e^s_ik), i and j the views of a bar (SimCLR, Chen et al. 2020).

    The normalised temperature-scaled cross-entropy. With n bars it is log(2 n - 1) if all embeddings are the same; its
    infimum is 0.

    Args:
        anchors: number of bars used, each in both views, evenly spread over those with weight: equally many of each
            segment, and at least one. All pairs among them are compared.
    """
    w = jnp.minimum(*jnp.split(segment.w, 2))
    rows, w = _spread_rows(_flatten_assets(w), anchors)
    views = jnp.stack([_take(half, rows) for half in jnp.split(output.embed, 2)])
    return weighted_mean(_nt_xent_rows(views, w, temperature), w)


def ts2vec(
    output: Output,
    segment: Segment,
    *,
    temperature: Temperature = 0.1,
    alpha: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
    block: int = 64,
    bars: int = 64,
) -> Float[Array, ""]:
    """Compute the mean over levels of alpha x instance + (1 - alpha) x temporal contrast (TS2Vec, Yue et al. 2022).

    Both are `nt_xent` of the two views of a bar: against the same bar of all other series of the batch (each asset of
    each segment is one), and against other bars of the same series. Each level max-pools two rows of the level before,
    until one row is left; rows without weight are excluded, and weights are summed. The paper uses scalar products in
    place of cosines over a temperature, and all bars.

    Args:
        alpha: share of the contrast between series.
        block: number of successive rows of a level that are contrasted in time; the cost grows with T x block.
        bars: number of rows of a level at which series are contrasted, evenly spread over those with weight.
    """
    z = jnp.stack(jnp.split(_at_least_float32(output.embed), 2))  # [2, B, T, A, D]
    z = jnp.moveaxis(z, 2, 1).reshape(2, z.shape[2], -1, z.shape[-1])  # [2, T, M, D], M = B A series
    w = jnp.moveaxis(jnp.minimum(*jnp.split(segment.w, 2)), 1, 0).reshape(z.shape[1:3])
    levels: list[tuple[Array, Array]] = [(z, w)]
    while len(levels[-1][1]) > 1:
        levels.append(_max_pool(*levels[-1]))
    series = _mean_of_levels([_series_groups(*level, bars) for level in levels], temperature)
    times = _mean_of_levels([_bar_groups(*level, min(block, len(w))) for level in levels], temperature)
    return alpha * series + (1 - alpha) * times


def supcon(output: Output, segment: Segment, *, temperature: Temperature = 0.1, anchors: int = 512) -> Float[Array, ""]:
    """Compute the mean of -1/|P_i| sum_{p in P_i} log(e^s_ip / sum_{k != i} e^s_ik), P_i all others of i's class.

    The supervised contrastive loss in the form L_out, which performs better (SupCon, Khosla et al. 2020). A row that is
    alone in its class is not an anchor i, but one of the others. Works on any batch: two views of a row are two rows of
    one class.

    Args:
        anchors: number of rows used, evenly spread over those with weight: equally many of each row of the batch, and
            at least one. All pairs among them are compared.
    """
    rows, w = _spread_rows(_flatten_assets(segment.w), anchors)
    z, y = _normalise(_take(output.embed, rows)), _take(segment.y, rows)
    s = _similarity(z, w, temperature)
    log_p = s - jax.nn.logsumexp(s, -1, keepdims=True)
    positive = (y[:, None] == y[None]) & (w > 0)[None] & ~jnp.eye(len(y), dtype=bool)
    count = jnp.sum(positive, -1, dtype=s.dtype)
    loss = -jnp.sum(jnp.where(positive, log_p, 0), -1) / jnp.maximum(count, 1)
    return weighted_mean(loss, jnp.where(count > 0, w, 0))


def _nt_xent_rows(views: Float[Array, "*G 2 n D"], w: Float[Array, "*G n"], temperature: float) -> Float[Array, "*G n"]:
    """Compute NT-Xent of each of n rows, the mean of both views; rows without weight are ignored."""
    *groups, _, n, channels = views.shape
    z = _normalise(views.reshape(*groups, 2 * n, channels))
    s = _similarity(z, jnp.concatenate([w, w], -1), temperature)
    whole = jax.nn.logsumexp(s, -1).reshape(*groups, 2, n)
    return jnp.mean(whole, -2) - jnp.diagonal(s, n, -2, -1)


def _similarity(z: Float[Array, "*G n D"], w: Float[Array, "*G n"], temperature: float) -> Float[Array, "*G n n"]:
    """Compute s of unit vectors; `MASKED` to itself and to rows without weight."""
    s = jnp.matmul(z, jnp.swapaxes(z, -1, -2)) / temperature
    others = jnp.broadcast_to(~jnp.eye(z.shape[-2], dtype=bool), s.shape)
    return jnp.where((w > 0)[..., None, :] & others, s, MASKED)


def _series_groups(z: Float[Array, "2 T M D"], w: Float[Array, "T M"], bars: int) -> Level:
    """Group all series at one bar, at `bars` bars."""
    rows, spread = _spread_rows(jnp.sum(w, -1)[None], bars)
    return jnp.moveaxis(z[:, rows[0]], 0, 1), jnp.where(spread[:, None] > 0, w[rows[0]], 0)


def _bar_groups(z: Float[Array, "2 T M D"], w: Float[Array, "T M"], block: int) -> Level:
    """Group `block` successive bars of one series."""
    z, w = _blocks(z, block, 1).transpose(1, 3, 0, 2, 4), jnp.swapaxes(_blocks(w, block, 0), 1, 2)
    return z.reshape(-1, *z.shape[2:]), w.reshape(-1, block)


def _mean_of_levels(levels: list[Level], temperature: float) -> Float[Array, ""]:
    """Compute the mean over levels of the contrast within their groups.

    All levels share one matrix product, so that only one is compiled.
    """
    views, weights = zip(*levels, strict=True)
    loss = _nt_xent_rows(jnp.concatenate(views), jnp.concatenate(weights), temperature)
    parts = jnp.split(loss, np.cumsum([len(w) for w in weights])[:-1])
    means = [weighted_mean(part, w) for part, w in zip(parts, weights, strict=True)]
    return sum(means[1:], means[0]) / len(means)


def _max_pool(z: Float[Array, "2 T M D"], w: Float[Array, "T M"]) -> tuple[Array, Array]:
    """Return views and weights of the next level, with half as many rows."""
    z, w = _blocks(z, 2, 1), _blocks(w, 2, 0)
    known = (w > 0)[..., None]
    largest = jnp.max(jnp.where(known, z, MASKED), 2)
    return jnp.where(known.any(1), largest, 0), w.sum(1)


def _blocks(a: Float[Array, ...], size: int, axis: int) -> Float[Array, ...]:
    """Split an axis into blocks of `size`, zero-padded at the end: `[..., T, ...] -> [..., T / size, size, ...]`."""
    missing = -a.shape[axis] % size
    a = jnp.pad(a, [(0, missing if i == axis else 0) for i in range(a.ndim)])
    return a.reshape(*a.shape[:axis], -1, size, *a.shape[axis + 1 :])


def _spread_rows(w: Float[Array, "B R"], count: int) -> tuple[Int[Array, "B n"], Float[Array, " rows"]]:
    """Choose `count` rows in all, evenly spread over those with weight, and return their indices and weights.

    If fewer than n rows of a segment have weight, the rest of its indices are padding with weight 0.
    """
    n = min(max(count // w.shape[0], 1), w.shape[1])
    known = jnp.cumsum(w > 0, -1)
    total, i = known[:, -1:], jnp.arange(n)[None]
    used = jnp.minimum(total, n)
    rank = (2 * i + 1) * total // jnp.maximum(2 * used, 1)
    index = jnp.minimum(jnp.sum(known[:, None] <= rank[..., None], -1), w.shape[1] - 1)
    return index, jnp.where(i < used, jnp.take_along_axis(w, index, 1), 0).reshape(-1)


def _flatten_assets(a: Shaped[Array, "B T A *S"]) -> Shaped[Array, "B R *S"]:
    """Merge assets and time, asset by asset, so that evenly spread rows cover all assets."""
    return jnp.moveaxis(a, 2, 1).reshape(a.shape[0], -1, *a.shape[3:])


def _take(a: Shaped[Array, "B T A *S"], rows: Int[Array, "B n"]) -> Shaped[Array, " rows *S"]:
    """Return the rows at the indices of `_spread_rows`."""
    return jax.vmap(lambda x, i: x[i])(_flatten_assets(a), rows).reshape(-1, *a.shape[3:])


def _normalise(z: Float[Array, "*S"]) -> Float[Array, "*S"]:
    z = _at_least_float32(z)
    return z * lax.rsqrt(jnp.sum(z**2, -1, keepdims=True) + NORM_EPS)


def _at_least_float32(z: Float[Array, "*S"]) -> Float[Array, "*S"]:
    return z.astype(np.promote_types(z.dtype, np.float32))


CONTRASTIVE = {"simclr": nt_xent, "ts2vec": ts2vec, "supcon": supcon}


def build(name: str, options: Mapping[str, Any]) -> Callable[[Output, Segment], Array]:
    """Return the loss of a name and options such as `{"temperature": 0.2}`.

    Raises:
        ConfigError: an unknown name or option, or a value that is impossible.
    """
    return registry.build(CONTRASTIVE, name, options, "contrastive loss", "config.pretrain")
