"""Ensembles: several members of one architecture, trained in one program.

Member i is what a run with seed + i alone would be, to rounding: own weights, own batches, own dropout. All arrays of a
stacked tree have the members as first axis E.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from fxtrade.core import compat


def map_members(f: Callable[[PyTree], PyTree], stacked: PyTree) -> PyTree:
    """Apply f to every member of a stacked tree.

    On a CPU one after the other, so that a member's activations stay in the cache; batched over members, XLA's
    convolutions took about twice as long there (benchmarks/RESULTS.md). On accelerators all at once.
    """
    return lax.map(f, stacked) if compat.is_cpu() else jax.vmap(f)(stacked)


def stack(trees: Sequence[PyTree]) -> PyTree:
    """The tree whose leaves are those of all trees, stacked."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def member(stacked: PyTree, i: int) -> PyTree:
    """Member i of a stacked tree."""
    return jax.tree.map(lambda a: a[i], stacked)


def unstack(trained: PyTree, count: int) -> list[PyTree]:
    """The weights of each of `count` members; those of a single one are not stacked."""
    return [trained] if count == 1 else [member(trained, i) for i in range(count)]
