"""What a network has to compute where only the last row is asked for.

Of the answer of a layer the later layers read some rows alone: the last one and those before it, some rows apart. The
others are left out, and what is left is a series of its own. So convolutions whose dilation doubles from layer to layer
become strided ones without dilation, and the last layer of attention has one query.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import flax.linen as nn

from fxtrade.core.types import Array


class Past(NamedTuple):
    """A layer reads its input every `step` rows, the last one first, and no further back than `reach` rows."""

    step: int
    reach: float


EVERYTHING = Past(1, math.inf)  # what a recurrent layer reads


class Rows(NamedTuple):
    """The last row and those before it that are a multiple of `every` apart, `count` of them or all there are."""

    every: int = 1
    count: float = math.inf

    def among(self, steps: int) -> int:
        """How many they are in a series of `steps` rows."""
        return int(min(self.count, -(-steps // self.every)))

    def span(self, steps: int) -> int:
        """How far it is from the first to the last of them, both counted."""
        return (self.among(steps) - 1) * self.every + 1

    def of(self, a: Array) -> Array:
        """`[B, T, ...] -> [B, T', ...]`."""
        return a if self == ALL else a[:, a.shape[1] - self.span(a.shape[1]) :: self.every]


ALL = Rows()


def plan(model: nn.Module, last: bool) -> tuple[Rows, Iterator[tuple[int, Rows]]]:
    """The rows of the inputs, and for each layer of `model.past` its step and the rows of its answer that are read.

    Everything is counted in the rows that are left. Without `last` these are all.

    Raises:
        ValueError: `last` in a stream, whose cache needs every row.
    """
    layers: list[Past] = model.past
    if not last:
        return ALL, iter([(layer.step, ALL) for layer in layers])
    if model.is_mutable_collection("cache"):
        raise ValueError("last=True is for windows: a stream, which has a cache, computes every row")
    apart, steps, rows = 1, [], []
    for i in range(len(layers) + 1):
        later = layers[i:]
        left = math.gcd(*(layer.step for layer in later)) or apart
        rows.append(Rows(left // apart, sum(layer.reach for layer in later) / left + 1))
        steps += [layer.step // left for layer in later[:1]]
        apart = left
    return rows[0], iter(zip(steps, rows[1:], strict=True))
