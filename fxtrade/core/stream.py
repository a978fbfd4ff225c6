"""Streams: one definition for history and live use. A `Stream` maps rows to rows and carries its past.

`step(state, rows)` takes any number T >= 1 of consecutive rows. The whole history in one call, in chunks, or bar by bar
in a live system give the same rows (to float32 rounding). Features, scalers and models are streams, and `chain` makes
one stream of two.

A feature is written once, in terms of `Kernels`:

    def momentum(k, bars, *, window):
        return {"momentum": k.log_return(bars.close, window)}

`k` keeps the past of every array that it is called with. It identifies arrays by the order of the calls, which is the
same in every step because features have no data-dependent control flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fxtrade.core import comoments, linear, order_statistics, rolling
from fxtrade.core.errors import DataError
from fxtrade.core.types import Array

CHUNK_BYTES = 4 << 20
CHUNK_ROWS = 4096, 65_536  # fewest and most
# bytes of the largest array that a step computes, of which some ten live at a time; a chunk gets fewer rows above
LARGEST_ARRAY = 64 << 20
FEWEST_ROWS = 64  # of a chunk with such an array
TOO_LARGE = 2 << 30  # bytes of the array in the shortest chunk above which the stream is refused

Series = Float[Array, " T *rest"]


class Stream(NamedTuple):
    """`init(rows) -> state` needs only the shapes of some rows; `step(state, rows) -> (state, out)`."""

    init: Callable[[Any], Any]
    step: Callable[[Any, Any], tuple[Any, Any]]


def chain(first: Stream, second: Stream) -> Stream:
    """Return the stream that feeds the output rows of `first` to `second`."""

    def init(rows):
        state = first.init(rows)
        _, middle = jax.eval_shape(first.step, state, rows)
        return state, second.init(middle)

    def step(state, rows):
        a, middle = first.step(state[0], rows)
        b, out = second.step(state[1], middle)
        return (a, b), out

    return Stream(init, step)


def run(
    stream: Stream, rows: Any, chunk: int | None = None, on_progress: Callable[[int], None] = lambda n: None
) -> Any:
    """Run all rows `[N, ...]` through the stream in chunks of bounded memory; return NumPy leaves `[N, ...]`.

    `chunk` is the largest number of rows at a time, see `chunk_rows`. `on_progress(n)` is called after each chunk with
    its number of rows.

    Raises:
        DataError: a leaf is not an array, or a chunk of few rows would not fit into memory.
    """
    if alone := [leaf for leaf in jax.tree.leaves(rows) if not np.ndim(leaf)]:
        kind = type(alone[0]).__name__
        raise DataError(f"a stream takes arrays with a row for each bar, got {kind}; of a panel, pass its `.bars`")
    step = jax.jit(stream.step)
    total = len(jax.tree.leaves(rows)[0])
    state, out, pending = stream.init(_take(rows, slice(0, 1))), None, None

    def store(start, y):
        nonlocal out
        if out is None:
            out = jax.tree.map(lambda a: np.empty((total, *a.shape[1:]), a.dtype), y)
        for target, part in zip(jax.tree.leaves(out), jax.tree.leaves(y), strict=True):
            target[start : start + len(part)] = part
        on_progress(len(jax.tree.leaves(y)[0]))

    for start, part in chunks(rows, chunk_rows(stream, rows, chunk)):
        state, y = step(state, part)
        if pending is not None:  # copied while the next chunk is computed
            store(*pending)
        pending = start, y
    if pending is None:
        raise ValueError("a stream needs at least one row")
    store(*pending)
    return out


def advance(stream: Stream, rows: Any) -> Any:
    """Return the state of the stream after these rows, which may be none; what they give is dropped."""
    step, state = jax.jit(stream.step), stream.init(rows)
    for _, part in chunks(rows, chunk_rows(stream, rows)):
        state, _ = step(state, part)
    return state


def chunk_rows(stream: Stream, rows: Any, most: int | None = None) -> int:
    """Return the number of rows of a chunk: `most`, or all where there are fewer.

    Without `most` it is a power of two whose output takes about 4 MB: larger chunks exceed the CPU caches. It is less
    where an array on the way is much larger than the output, as of all pairs of many assets.

    Raises:
        DataError: that array would be too large in a chunk of few rows.
    """
    first = _take(rows, slice(0, 1))
    state = jax.eval_shape(stream.init, first)
    if most is None:
        _, out = jax.eval_shape(stream.step, state, first)
        row = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(out))
        most = int(np.clip(2 ** round(math.log2(CHUNK_BYTES / row)), *CHUNK_ROWS))
    size = min(most, len(jax.tree.leaves(rows)[0]))

    def largest(size: int) -> int:
        chunk = jax.tree.map(lambda a: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype), rows)
        return largest_array(jax.jit(stream.step).trace(state, chunk).jaxpr.jaxpr)  # `run` does not trace it again

    needed = largest(size)
    while needed > LARGEST_ARRAY and size > FEWEST_ROWS:
        size = max(2 ** math.floor(math.log2(size * LARGEST_ARRAY / needed)), FEWEST_ROWS)
        needed = largest(size)
    if needed > TOO_LARGE:
        raise DataError(
            f"{size} rows take an array of {needed / 2**30:.0f} GiB, and several at a time; choose fewer symbols "
            "(config.data.symbols) or shorter windows, or leave out what is computed of every pair of symbols"
        )
    return size


def largest_array(program: Any) -> int:
    """Return the bytes of the largest array that a jaxpr computes, those of its inner programs included."""
    most = 0
    for equation in program.eqns:
        for made in equation.outvars:
            most = max(most, getattr(made.aval, "size", 0) * getattr(made.aval.dtype, "itemsize", 0))
        for inner in jax.tree.leaves(equation.params):
            inner = getattr(inner, "jaxpr", inner)
            most = max(most, largest_array(inner) if hasattr(inner, "eqns") else 0)
    return most


def chunks(rows: Any, size: int) -> Iterator[tuple[int, Any]]:
    """Yield consecutive slices of the leading axis, at most `size` rows each, with the index of their first row."""
    total = len(jax.tree.leaves(rows)[0])
    for start in range(0, total, size):
        yield start, _take(rows, slice(start, min(start + size, total)))


def _take(rows: Any, index: slice) -> Any:
    return jax.tree.map(lambda a: a[index], rows)


class Kernels:
    """Causal kernels with memory for one step of a stream; see `fxtrade.core.rolling` for what each computes.

    NaN is "no value" on the way in and out. The result for one array and one set of parameters is computed
    once, and all kernels of one array share one past.
    """

    def __init__(self, state: tuple[list, list] | None = None):
        """`state` is that of the previous step, None before the first row."""
        self._pasts, self._carries = (None, None) if state is None else map(iter, state)
        self._sources: dict[int, _Source] = {}
        self._results: dict[tuple, Any] = {}
        self._final: list = []
        self._initial: list = []

    @property
    def initial(self) -> tuple[list, list]:
        """The state before the first row."""
        return [_missing_rows(s.x, s.rows) for s in self._sources.values()], self._initial

    @property
    def state(self) -> tuple[list, list]:
        """The state for the next step."""
        return [self.past(s.x, s.rows)[s.x.shape[0] :] for s in self._sources.values()], self._final

    def past(self, x: Series, n: int) -> Float[Array, " T+{n} *rest"]:
        """Return x with the n rows before it prepended, NaN before the beginning of the series."""
        source = self._sources.get(id(x))
        if source is None:
            old = None if self._pasts is None else next(self._pasts)
            extended = None if old is None else jnp.concatenate([old, x])
            source = self._sources[id(x)] = _Source(x, extended)
        source.rows = max(source.rows, n)
        if source.extended is None:
            return jnp.concatenate([_missing_rows(x, n), x])
        return source.extended[source.extended.shape[0] - x.shape[0] - n :]

    def carry(self, initial: Any, step: Callable[[Any], tuple[Any, Any]]) -> Any:
        """Return the `out` of `step(carry) -> (carry, out)`, given the carry from the previous step."""
        self._initial.append(initial)
        final, out = step(initial if self._carries is None else next(self._carries))
        self._final.append(final)
        return out

    def lag(self, x: Series, n: int) -> Series:
        """Return the value n rows ago."""
        return self.memo("lag", lambda: self.past(x, n)[: x.shape[0]], x, n)

    def log_return(self, x: Series, n: int = 1) -> Series:
        """log(x / x n rows ago), from the difference: exact where the logarithms of nearby prices would cancel."""

        def compute():
            before = self.lag(x, n)
            return jnp.log1p((x - before) / before)

        return self.memo("log_return", compute, x, n)

    def filter(self, x: Series, taps: tuple[float, ...]) -> Series:
        """Causal linear filter: the sum of taps[j] * x[t - j]; NaN where one of these is missing."""
        return self.memo("filter", lambda: linear.convolve(self.past(x, len(taps) - 1), taps), x, taps)

    def moments(self, x: Series, window: int, min_count: int | None = None) -> rolling.Moments:
        return self._window(rolling.moments, x, window, min_count)

    def mean(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self._window(rolling.mean, x, window, min_count)

    def total(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self._window(rolling.total, x, window, min_count)

    def std(self, x: Series, window: int, min_count: int | None = None) -> Series:
        """Population standard deviation."""
        return jnp.sqrt(self.moments(x, window, min_count).var)

    def zscore(self, x: Series, window: int, min_count: int | None = None) -> Series:
        """(x - mean) / std of the window; 0 where it is constant, NaN where x is missing."""
        return rolling.standardize(x, self.moments(x, window, min_count))

    def maximum(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self._window(rolling.maximum, x, window, min_count)

    def minimum(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self._window(rolling.minimum, x, window, min_count)

    def rank(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self._window(order_statistics.rank, x, window, min_count)

    def quantile(self, x: Series, window: int, q: float, min_count: int | None = None) -> Series:
        return self._window(partial(order_statistics.quantile, q=q), x, window, min_count, name=f"quantile {q}")

    def median(self, x: Series, window: int, min_count: int | None = None) -> Series:
        return self.quantile(x, window, 0.5, min_count)

    def mad(self, x: Series, window: int, min_count: int | None = None) -> Series:
        """Median absolute deviation from the window's median."""
        return self._window(order_statistics.mad, x, window, min_count)

    def comoments(self, x: Series, y: Array, window: int, min_count: int | None = None) -> comoments.Comoments:
        """Means, variances and covariance of the valid pairs x, y."""

        def compute():
            return comoments.comoments(self.past(x, window - 1), self.past(y, window - 1), window, min_count)

        return self.memo("comoments", compute, x, y, window, min_count)

    def ew_moments(self, x: Series, halflife: float, clip: float | None = None, **view) -> Any:
        """Exponentially weighted `weight`, `mean` and `var` at every row, or a `view` of row and moments."""

        def compute():
            initial = rolling.ew_init(x.shape[1:])
            return self.carry(initial, lambda state: rolling.ew_moments(x, halflife, state, clip, **view))

        return self.memo("ew_moments", compute, x, halflife, clip, *view.values())

    def ew_comoments(self, x: Series, y: Array, halflife: float, clip: float | None = None) -> comoments.Comoments:
        """Exponentially weighted comoments of the valid pairs x, y."""

        def compute():
            initial = comoments.ew_init(jnp.broadcast_shapes(x.shape[1:], y.shape[1:]))
            return self.carry(initial, lambda state: comoments.ew_comoments(x, y, halflife, state, clip))

        return self.memo("ew_comoments", compute, x, y, halflife, clip)

    def scan(self, step: Callable[[Any, Any], tuple[Any, Any]], initial: Any, rows: Any) -> Any:
        """Run a recursion `step(carry, row) -> (carry, out)` over the rows, with `initial` before the first row."""
        return self.carry(initial, lambda state: lax.scan(step, state, rows))

    def memo(self, name: str, compute: Callable[[], Any], *key: Array | Hashable) -> Any:
        """Return `compute()`, computed once for each name and key of arrays and parameters, and shared by features."""
        identity = (name, *(id(k) if isinstance(k, jax.Array | np.ndarray) else k for k in key))
        if identity not in self._results:
            self._results[identity] = compute(), key  # an array that is kept keeps its id
        return self._results[identity][0]

    def _window(self, kernel: Callable, x: Series, window: int, min_count: int | None, name: str = "") -> Any:
        def compute():
            return kernel(self.past(x, window - 1), window, min_count)

        return self.memo(name or kernel.__name__, compute, x, window, min_count)


class _Source:
    """An array whose past is kept: x, x with its past prepended, and the number of past rows that are needed."""

    def __init__(self, x: Array, extended: Array | None):
        self.x, self.extended, self.rows = x, extended, 0


def _missing_rows(x: Array, n: int) -> Array:
    """Return `n` rows of NaN, shaped like those of x."""
    return jnp.full((n, *x.shape[1:]), jnp.nan, x.dtype)


def from_kernels(function: Callable[[Kernels, Any], Any]) -> Stream:
    """Return the stream of a function `f(k, rows) -> out` written with `Kernels`."""

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
