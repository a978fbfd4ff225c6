"""Ensembles: several members of one architecture, trained in one program.

Member i is what a run with seed + i alone would be, to rounding: own weights, own batches, own dropout. All arrays of a
stacked tree have the members in front, `[E, ...]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fxtrade.core import compat


def each(f: Callable[[Any], Any], stacked: Any) -> Any:
    """f of every member.

    A CPU takes one after the other, whose activations stay in its cache; batched over members, XLA's convolutions took
    about twice as long there (benchmarks/RESULTS.md). Cards do all at once.
    """
    return lax.map(f, stacked) if compat.is_cpu() else jax.vmap(f)(stacked)


def stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def member(stacked: Any, i: int) -> Any:
    return jax.tree.map(lambda a: a[i], stacked)


def apart(trained: Any, count: int) -> list[Any]:
    """The weights of each of `count` members; of a single one they are not stacked."""
    return [trained] if count == 1 else [member(trained, i) for i in range(count)]
