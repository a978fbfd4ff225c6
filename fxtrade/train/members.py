"""Ensembles: several members of one architecture, trained in one program.

Member i equals a single run with seed + i, to rounding: each member has its own weights, batches and dropout. The
first axis E of all arrays of a stacked tree is that of the members.
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

    Members run one after the other on a CPU, so that a member's activations stay in the cache; batched over members,
    XLA's convolutions took about twice as long there (benchmarks/RESULTS.md). On accelerators all run at once.
    """
    return lax.map(f, stacked) if compat.is_cpu() else jax.vmap(f)(stacked)


def stack(trees: Sequence[PyTree]) -> PyTree:
    """Return the tree whose leaves are those of all trees, stacked."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def member(stacked: PyTree, i: int) -> PyTree:
    """Return member i of a stacked tree."""
    return jax.tree.map(lambda a: a[i], stacked)


def unstack(trained: PyTree, count: int) -> list[PyTree]:
    """Return the weights of each of `count` members; those of a single member are not stacked."""
    return [trained] if count == 1 else [member(trained, i) for i in range(count)]
