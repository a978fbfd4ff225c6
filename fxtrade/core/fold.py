"""Any associative merge over windows, in some log2(window) passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from fxtrade.core.types import Array


def fold(parts: Any, window: int, merge: Callable[[Any, Any], Any]) -> Any:
    """What `merge(older, newer)` makes of each `window` consecutive rows: `[window - 1 + T, ...] -> [T, ...]`.

    Runs of 1, 2, 4, ... rows are each merged of two of the former, and those that the binary digits of `window` name
    are put together. Nothing outside a window enters it, rounding grows with log(window), and every row is merged in
    the same order, whether it comes alone or with all of history.
    """
    run, size, done, covered = parts, 1, None, 0
    while True:
        if window & size:
            done = run if done is None else _merged(run, done, covered, merge)
            covered += size
        if covered == window:
            return done
        run, size = _merged(run, run, size, merge), 2 * size


def _merged(older: Any, newer: Any, apart: int, merge: Callable[[Any, Any], Any]) -> Any:
    """With the row of `older` that ends `apart` rows before each row of `newer`; both end at the same row."""
    older = jax.tree.map(lambda a: a[: a.shape[0] - apart], older)

    def last(a: Array, like: Array) -> Array:
        return a[a.shape[0] - like.shape[0] :]

    return merge(older, jax.tree.map(last, newer, older))
