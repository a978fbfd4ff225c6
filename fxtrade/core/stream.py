"""One definition for history and live: a `Stream` maps rows to rows and carries its past.

`step(state, rows)` takes any number T >= 1 of consecutive rows. All of history in one call, a chunk at a time, or bar
by bar in a live system are the same function and give the same rows (to float32 rounding). Features, scalers and
models are streams, and `chain` makes one stream of them.

A feature is written once, in terms of `Kernels`:

    def momentum(k, bars, *, window):
        return {"momentum": k.log_return(bars.close, window)}

`k` knows the past of every array it is asked about: it identifies them by the order of the calls, which is the same in
every step because features have no data-dependent control flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fxtrade.core import linear, order, pairs, rolling
from fxtrade.core.types import Array

CHUNK = 4 << 20  # bytes
CHUNK_ROWS = 4096, 65_536


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


def run(stream: Stream, rows: Any, chunk: int | None = None, tick: Callable[[int], None] = lambda n: None) -> Any:
    """All rows `[N, ...]` through the stream in chunks of bounded memory; returns NumPy leaves `[N, ...]`.

    `chunk` is the number of rows at a time, `chunk_rows` by default. `tick(n)` is called after each chunk with its
    number of rows (a progress bar's `advance`).
    """
    step = jax.jit(stream.step)
    total = len(jax.tree.leaves(rows)[0])
    state, out, done = stream.init(_take(rows, slice(0, 1))), None, None

    def keep(start, y):
        nonlocal out
        if out is None:
            out = jax.tree.map(lambda a: np.empty((total, *a.shape[1:]), a.dtype), y)
        for whole, piece in zip(jax.tree.leaves(out), jax.tree.leaves(y), strict=True):
            whole[start : start + len(piece)] = piece
        tick(len(jax.tree.leaves(y)[0]))

    for start, part in chunks(rows, chunk or chunk_rows(stream, rows)):
        state, y = step(state, part)
        if done is not None:  # copied while the next chunk is computed
            keep(*done)
        done = start, y
    keep(*done)
    return out


def chunk_rows(stream: Stream, rows: Any) -> int:
    """As many rows as make some 4 MB of results, a power of two: with more, what they are made of leaves the caches."""
    first = _take(rows, slice(0, 1))
    _, out = jax.eval_shape(lambda r: stream.step(stream.init(r), r), first)
    row = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(out))
    return int(np.clip(2 ** round(math.log2(CHUNK / row)), *CHUNK_ROWS))


def chunks(rows: Any, size: int) -> Iterator[tuple[int, Any]]:
    """Consecutive slices of the leading axis, at most `size` rows each, with the index of their first row."""
    total = len(jax.tree.leaves(rows)[0])
    for start in range(0, total, size):
        yield start, _take(rows, slice(start, min(start + size, total)))


def _take(rows, index: slice):
    return jax.tree.map(lambda a: a[index], rows)


class Kernels:
    """Causal kernels with memory for one step of a stream; see `fxtrade.core.rolling` for what each computes.

    NaN is "no value" on the way in and out. What is asked for twice, of the same array with the same parameters, is
    computed once, and all kernels of one array share one past, so that many features of a price cost little more.
    """

    def __init__(self, state: tuple[list, list] | None = None):
        """`state` is the one left by the previous step, None at the beginning."""
        self._pasts, self._carries = (None, None) if state is None else map(iter, state)
        self._sources: dict[int, _Source] = {}
        self._made: dict[tuple, Any] = {}
        self._left: list = []
        self._initial: list = []

    @property
    def initial(self) -> tuple[list, list]:
        """The state before the first row."""
        return [_nothing(s.x, s.rows) for s in self._sources.values()], self._initial

    @property
    def state(self) -> tuple[list, list]:
        """What the next step needs."""
        return [self.past(s.x, s.rows)[s.x.shape[0] :] for s in self._sources.values()], self._left

    def past(self, x: Array, n: int) -> Array:
        """`[n + T, ...]`: x with the n rows before it in front, NaN before the beginning."""
        source = self._sources.get(id(x))
        if source is None:
            old = None if self._pasts is None else next(self._pasts)
            both = None if old is None else jnp.concatenate([old, x])
            source = self._sources[id(x)] = _Source(x, both)
        source.rows = max(source.rows, n)
        if source.both is None:
            return jnp.concatenate([_nothing(x, n), x])
        return source.both[source.both.shape[0] - x.shape[0] - n :]

    def carry(self, initial: Any, step: Callable[[Any], tuple[Any, Any]]) -> Any:
        """`step(carry) -> (carry, out)` with the carry that the previous step left; returns out."""
        self._initial.append(initial)
        left, out = step(initial if self._carries is None else next(self._carries))
        self._left.append(left)
        return out

    def lag(self, x: Array, n: int) -> Array:
        """The value n rows ago."""
        return self.once("lag", lambda: self.past(x, n)[: x.shape[0]], x, n)

    def log_return(self, x: Array, n: int = 1) -> Array:
        """log(x / x n rows ago), from the difference: exact where the logarithms of nearby prices would cancel."""

        def compute():
            before = self.lag(x, n)
            return jnp.log1p((x - before) / before)

        return self.once("log_return", compute, x, n)

    def filter(self, x: Array, taps: tuple[float, ...], spacing: int = 1) -> Array:
        """Causal linear filter: the sum of taps[j] * x[t - j spacing]; NaN where any of these is missing."""
        reach = (len(taps) - 1) * spacing
        return self.once("filter", lambda: linear.convolve(self.past(x, reach), taps, spacing), x, taps, spacing)

    def moments(self, x: Array, window: int, min_count: int | None = None) -> rolling.Moments:
        return self._window(rolling.moments, x, window, min_count)

    def mean(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.mean, x, window, min_count)

    def total(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.total, x, window, min_count)

    def std(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return jnp.sqrt(self.moments(x, window, min_count).var)

    def zscore(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return rolling.standardised(x, self.moments(x, window, min_count))

    def maximum(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.maximum, x, window, min_count)

    def minimum(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self._window(rolling.minimum, x, window, min_count)

    def rank(self, x: Array, window: int, min_count: int | None = None) -> Array:
        """See `fxtrade.core.order`."""
        return self._window(order.rank, x, window, min_count)

    def quantile(self, x: Array, window: int, q: float, min_count: int | None = None) -> Array:
        """See `fxtrade.core.order`."""
        return self._window(partial(order.quantile, q=q), x, window, min_count, name=f"quantile {q}")

    def median(self, x: Array, window: int, min_count: int | None = None) -> Array:
        return self.quantile(x, window, 0.5, min_count)

    def mad(self, x: Array, window: int, min_count: int | None = None) -> Array:
        """Median absolute deviation from the window's median; see `fxtrade.core.order`."""
        return self._window(order.mad, x, window, min_count)

    def comoments(self, x: Array, y: Array, window: int, min_count: int | None = None) -> pairs.Comoments:
        """Of the pairs x, y that are both there; see `fxtrade.core.pairs`."""

        def compute():
            return pairs.comoments(self.past(x, window - 1), self.past(y, window - 1), window, min_count)

        return self.once("comoments", compute, x, y, window, min_count)

    def ew_moments(self, x: Array, halflife: float, clip: float | None = None, **view) -> Any:
        """Exponentially weighted `weight`, `mean` and `var` at every row, or a `view` of row and moments."""

        def compute():
            initial = rolling.ew_init(x.shape[1:])
            return self.carry(initial, lambda state: rolling.ew_moments(x, halflife, state, clip, **view))

        return self.once("ew_moments", compute, x, halflife, clip, *view.values())

    def ew_comoments(self, x: Array, y: Array, halflife: float, clip: float | None = None) -> pairs.Comoments:
        """Exponentially weighted, of the pairs x, y that are both there; see `fxtrade.core.pairs`."""

        def compute():
            initial = pairs.ew_init(jnp.broadcast_shapes(x.shape[1:], y.shape[1:]))
            return self.carry(initial, lambda state: pairs.ew_comoments(x, y, halflife, state, clip))

        return self.once("ew_comoments", compute, x, y, halflife, clip)

    def scan(self, step: Callable[[Any, Any], tuple[Any, Any]], initial: Any, rows: Any) -> Any:
        """A recursion: `step(carry, row) -> (carry, out)` from row to row, with `initial` before the first."""
        return self.carry(initial, lambda state: lax.scan(step, state, rows))

    def once(self, name: str, compute: Callable[[], Any], *key) -> Any:
        """`compute()`, but only once for the same name and key of arrays and parameters: features may share it."""
        short = (name, *(id(k) if isinstance(k, jax.Array | np.ndarray) else k for k in key))
        if short not in self._made:
            self._made[short] = compute(), key  # an array that is kept keeps its id
        return self._made[short][0]

    def _window(self, kernel, x: Array, window: int, min_count: int | None, name: str = "") -> Array:
        def compute():
            return kernel(self.past(x, window - 1), window, min_count)

        return self.once(name or kernel.__name__, compute, x, window, min_count)


def _nothing(x: Array, n: int) -> Array:
    """`n` rows before the first."""
    return jnp.full((n, *x.shape[1:]), jnp.nan, x.dtype)


class _Source:
    """An array whose past is kept: x itself, x behind its past, and how many rows of it are wanted."""

    def __init__(self, x: Array, both: Array | None):
        self.x, self.both, self.rows = x, both, 0


def from_kernels(function: Callable[[Kernels, Any], Any]) -> Stream:
    """The stream of a function `f(k, rows) -> out` written with `Kernels`."""

    @jax.jit
    def init(rows):
        k = Kernels()
        function(k, rows)
        return k.initial

    def step(state, rows):
        k = Kernels(state)
        out = function(k, rows)
        return k.state, out

    return Stream(init, step)
