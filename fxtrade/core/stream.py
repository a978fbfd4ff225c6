"""One definition for history and live: a `Stream` maps rows to rows and carries its past.

`step(state, rows)` takes any number T >= 1 of consecutive rows. All of history in one call, a chunk at a time, or bar
by bar in a live system are the same function and give the same rows (to float32 rounding). Features, scalers and
models are streams, and `chain` makes one stream of them.

A feature is written once, in terms of `Kernels`:

    def momentum(k, bars, *, window):
        return {"momentum": k.log_return(bars.close, window)}

`k` knows the past of every kernel it is asked for: it identifies them by the order of the calls, which is the same in
every step because features have no data-dependent control flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core import rolling
from fxtrade.core.types import Array


class Stream(NamedTuple):
    """`init(rows) -> state` needs only the shapes of some rows; `step(state, rows) -> (state, out)`."""

    init: Callable[[Any], Any]
    step: Callable[[Any, Any], tuple[Any, Any]]


def chain(first: Stream, second: Stream) -> Stream:
    """The stream that feeds the rows of `first` to `second`."""

    def init(rows):
        state = first.init(rows)
        _, middle = jax.eval_shape(first.step, state, rows)
        return state, second.init(middle)

    def step(state, rows):
        a, middle = first.step(state[0], rows)
        b, out = second.step(state[1], middle)
        return (a, b), out

    return Stream(init, step)


def run(stream: Stream, rows: Any, chunk: int = 65_536, tick: Callable[[int], None] = lambda n: None) -> Any:
    """All rows `[N, ...]` through the stream in chunks of bounded memory; returns NumPy leaves `[N, ...]`.

    `tick(n)` is called after each chunk with its number of rows (a progress bar's `advance`).
    """
    step = jax.jit(stream.step)
    total = len(jax.tree.leaves(rows)[0])
    state, out = stream.init(_take(rows, slice(0, 1))), None
    for start, part in chunks(rows, chunk):
        state, y = step(state, part)
        y = jax.tree.map(np.asarray, y)
        if out is None:
            out = jax.tree.map(lambda a: np.empty((total, *a.shape[1:]), a.dtype), y)
        for whole, piece in zip(jax.tree.leaves(out), jax.tree.leaves(y), strict=True):
            whole[start : start + len(piece)] = piece
        tick(len(jax.tree.leaves(y)[0]))
    return out


def chunks(rows: Any, size: int) -> Iterator[tuple[int, Any]]:
    """Consecutive slices of the leading axis, at most `size` rows each, with the index of their first row."""
    total = len(jax.tree.leaves(rows)[0])
    for start in range(0, total, size):
        yield start, _take(rows, slice(start, min(start + size, total)))


def _take(rows, index: slice):
    return jax.tree.map(lambda a: a[index], rows)


class Kernels:
    """Causal kernels with memory for one step of a stream; see `fxtrade.core.rolling` for what each computes.

    NaN is "no value" on the way in and out.
    """

    def __init__(self, state: list | None = None):
        """`state` is the list left by the previous step, None at the beginning."""
        self.initial: list = []
        self.state: list = []
        self._old = None if state is None else iter(state)

    def lag(self, x: Array, n: int) -> Array:
        """The value n rows ago."""
        past = self._past(x, n)
        return past[: x.shape[0]]

    def log_return(self, x: Array, n: int = 1) -> Array:
        """log(x / x n rows ago), from the difference: exact where the logarithms of nearby prices would cancel."""
        before = self.lag(x, n)
        return jnp.log1p((x - before) / before)

    def mean(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.mean, x, window, min_count)

    def total(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.total, x, window, min_count)

    def std(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.std, x, window, min_count)

    def zscore(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.zscore, x, window, min_count)

    def maximum(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.maximum, x, window, min_count)

    def minimum(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.minimum, x, window, min_count)

    def ew_moments(self, x: Array, halflife: float, clip: float | None = None) -> rolling.EwState:
        """Exponentially weighted `weight`, `mean` and `var` at every row."""
        state = self._recall(rolling.ew_init(x.shape[1:]))
        state, out = rolling.ew_moments(x, halflife, state, clip)
        self.state.append(state)
        return out

    def _window(self, kernel, x: Array, window: int, min_count: int | None) -> Array:
        past = self._past(x, window - 1)
        return kernel(past, window, min_count)[window - 1 :]

    def _past(self, x: Array, n: int) -> Array:
        """x with the n rows before it in front, NaN before the beginning; remembers the last n rows."""
        old = self._recall(jnp.full((n, *x.shape[1:]), jnp.nan, x.dtype))
        both = jnp.concatenate([old, x])
        self.state.append(both[both.shape[0] - n :])
        return both

    def _recall(self, initial):
        self.initial.append(initial)
        return initial if self._old is None else next(self._old)


def from_kernels(function: Callable[[Kernels, Any], Any]) -> Stream:
    """The stream of a function `f(k, rows) -> out` written with `Kernels`."""

    def init(rows):
        def initial(rows):
            k = Kernels()
            function(k, rows)
            return k.initial

        return jax.jit(initial)(rows)

    def step(state, rows):
        k = Kernels(state)
        out = function(k, rows)
        return k.state, out

    return Stream(init, step)
