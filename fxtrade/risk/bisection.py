"""Recursive bisection of assets in an order: hierarchical risk parity, and its blend with minimum variance.

The halves of halves are the nodes of a full binary tree, whose 2^L leaves are slots for A <= 2^L assets. A level of it
is a reshape, whatever the order of the assets and the number of slots that stay empty, so that a batch of dates is one
program of O(A^2) for risk parity.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from fxtrade.core.types import Array
from fxtrade.risk.elimination import divide, solve_positive


class Slots(NamedTuple):
    """The `slot` of each asset, 2^L where it has none, and the `asset` in each slot, A where it is empty."""

    slot: Int[Array, " A"]
    asset: Int[Array, " slots"]

    def fill(self, x: Array) -> Array:
        """Return the values of assets, along every axis, as values of slots; 0 where they are empty."""
        x = jnp.pad(x, (0, 1))
        return x[self.asset] if x.ndim == 1 else x[self.asset[:, None], self.asset[None]]

    def empty(self, x: Array) -> Array:
        """Return the values of slots as values of assets, 0 for those without a slot."""
        return jnp.pad(x, (0, 1))[self.slot]


def slots(position: Int[Array, " A"], count: Int[Array, ""]) -> Slots:
    """Return the slots of the assets at positions 0 .. count - 1; of an odd number the first half is the smaller."""
    num, depth = position.size, max(position.size - 1, 0).bit_length()

    def descend(_, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        start, size, slot = state
        half = size // 2
        second = position >= start + half
        slot = 2 * slot + second.astype(slot.dtype)
        return jnp.where(second, start + half, start), jnp.where(second, size - half, half), slot

    top = jnp.zeros_like(position), jnp.broadcast_to(count, position.shape), jnp.zeros_like(position)
    slot = lax.fori_loop(0, depth, descend, top)[2]
    slot = jnp.where(position < count, slot, 2**depth)
    asset = jnp.full(2**depth, num, slot.dtype).at[slot].set(jnp.arange(num, dtype=slot.dtype), mode="drop")
    return Slots(slot, asset)


class Part(NamedTuple):
    """Of each part of a level: the precision (1 / variance) of its portfolio, and sums of the bounds of its assets."""

    precision: Float[Array, " parts"]
    lower: Float[Array, " parts"]
    upper: Float[Array, " parts"]


def risk_parity(
    covariance: Float[Array, "A A"], place: Slots, lower: Float[Array, " A"], upper: Float[Array, " A"]
) -> Float[Array, " A"]:
    """Return the weights of hierarchical risk parity within bounds; see `hierarchical.hrp`.

    The variance of a part is that of its inverse-variance portfolio. A bound moves what it cuts to the other half.
    """
    inverse = 1 / jnp.diagonal(covariance)
    weight, pairs = place.fill(inverse), place.fill(covariance * inverse[None] * inverse[:, None])
    low, high = place.fill(lower), place.fill(upper)
    levels = [Part(_precision(weight, jnp.diagonal(pairs)), low, high)]
    while weight.size > 1:
        weight, low, high = (x.reshape(-1, 2).sum(1) for x in (weight, low, high))
        pairs = pairs.reshape(weight.size, 2, weight.size, 2).sum((1, 3))
        levels.append(Part(_precision(weight, jnp.diagonal(pairs)), low, high))
    amount = jnp.ones(1, covariance.dtype)
    for level in levels[-2::-1]:
        precision, low, high = (x.reshape(-1, 2) for x in level)
        whole = amount[:, None]
        share = whole * divide(precision, precision.sum(1, keepdims=True))
        least, most = (jnp.broadcast_to(whole, share.shape) - x[:, ::-1] for x in (high, low))
        amount = jnp.clip(share, jnp.maximum(low, least), jnp.minimum(high, most)).ravel()
    return place.empty(amount)


def _precision(weight: Float[Array, " parts"], pairs: Float[Array, " parts"]) -> Float[Array, " parts"]:
    return divide(weight**2, pairs)


def schur(covariance: Float[Array, "A A"], place: Slots, gamma: Float[Array, ""]) -> Float[Array, " A"]:
    """Return the weights of Schur complementary allocation, not finite where there are none; see `hierarchical.schur`.

    A part with covariance Q and the vector b, which is 1 at the top, is to minimise x'Qx subject to b'x = 1. Of its
    halves, with covariances A and D and B between them, the first becomes `A - gamma B D^-1 B'` with the vector
    `b_A - gamma B D^-1 b_D`, and the second likewise. The solutions of both, over their variances, are that of the part
    but for its scale.
    """
    matrix = place.fill(covariance) + jnp.diag((place.asset == covariance.shape[0]).astype(covariance.dtype))
    matrix, vector = matrix[None], place.fill(jnp.ones(covariance.shape[0], covariance.dtype))[None]
    levels = []
    while vector.shape[1] > 1:
        parts, half = vector.shape[0], vector.shape[1] // 2
        blocks = matrix.reshape(parts, 2, half, 2, half)
        own = jnp.stack([blocks[:, 0, :, 0], blocks[:, 1, :, 1]], 1)
        cross = jnp.stack([blocks[:, 0, :, 1], blocks[:, 1, :, 0]], 1)
        vector = vector.reshape(parts, 2, half)
        known = jnp.concatenate([cross.swapaxes(2, 3), vector[:, ::-1, :, None]], 3)
        pull = gamma * cross @ solve_positive(own[:, ::-1], known)
        matrix = (own - pull[..., :half]).reshape(2 * parts, half, half)
        vector = (vector - pull[..., half]).reshape(2 * parts, half)
        levels.append((vector, _shrunk_precision(matrix, vector, gamma)))
    solution = divide(vector, matrix[:, 0])
    for vector, precision in levels[-2::-1]:
        solution = solution.reshape(vector.shape)
        solution = solution * divide(precision, (vector * solution).sum(1))[:, None]
    weight = place.empty(solution.ravel())
    return weight / weight.sum()


def _shrunk_precision(
    matrix: Float[Array, "parts n n"], vector: Float[Array, "parts n"], gamma: Float[Array, ""]
) -> Float[Array, " parts"]:
    """Return 1 / x'Qx of `x = M^-1 b / b'M^-1 b`, where M has the covariances of Q times gamma.

    For gamma = 0 that is the inverse-variance portfolio, for 1 the one of minimum variance.
    """
    diagonal = jnp.diagonal(matrix, axis1=1, axis2=2)
    shrunk = gamma * matrix + (1 - gamma) * diagonal[:, None] * jnp.eye(vector.shape[1], dtype=vector.dtype)[None]
    x = solve_positive(shrunk, vector[..., None])[..., 0]
    return divide((vector * x).sum(1) ** 2, ((matrix @ x[..., None])[..., 0] * x).sum(1))
