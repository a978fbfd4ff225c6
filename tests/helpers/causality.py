"""Checks of contract 1, causality, which the tests of each package run over its registries.

Rows are a pytree whose leaves have time first (`Bars`, `Features`, an array). What is checked is either a function of
all rows, `f(rows) -> out [N, ...]`, or a `Stream`. Nothing at row t may depend on anything after t:

    stream = compiled(features.build({"log_return": {}}))
    future_is_unseen(whole(stream), rows, t)     after a change of all rows after t, rows <= t have the same bits
    prefix_is_whole(whole(stream), rows, n)      the first n rows alone give the first n rows of the whole
    chunks_are_whole(stream, rows, (1, 7, 64))   chunks of these sizes give the same as one call

`tests/test_causality.py` proves that each of them catches a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import Any

import jax
import numpy as np

from fxtrade.core.stream import Stream

RTOL, ATOL = 1e-5, 1e-5  # rounding in another order: blocks and loops start elsewhere


def compiled(stream: Stream) -> Stream:
    """The stream with both functions jitted, so that checks with rows of the same shape compile once."""
    return Stream(jax.jit(stream.init), jax.jit(stream.step))


def whole(stream: Stream) -> Callable[[Any], Any]:
    """The function that runs all rows through the stream in one step."""
    return lambda rows: stream.step(stream.init(take(rows, slice(0, 1))), rows)[1]


def in_chunks(stream: Stream, rows: Any, sizes: Iterable[int]) -> Any:
    """The output for all rows, run in chunks of these sizes, repeated."""
    state, outs, start = stream.init(take(rows, slice(0, 1))), [], 0
    for size in cycle(sizes):
        if start >= length(rows):
            return jax.tree.map(lambda *parts: np.concatenate(parts), *outs)
        state, out = stream.step(state, take(rows, slice(start, start + size)))
        outs.append(jax.tree.map(np.asarray, out))
        start += size


def future_is_unseen(f: Callable[[Any], Any], rows: Any, t: int) -> None:
    """Assert that output rows <= t keep their bits when the rows after t change."""
    before = take(f(rows), slice(0, t + 1))
    for name, other in futures(rows, t):
        assert_same(take(f(other), slice(0, t + 1)), before, f"rows <= {t} change when the future becomes {name}", 0, 0)


def prefix_is_whole(f: Callable[[Any], Any], rows: Any, n: int, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Assert that the first n rows alone give the first n rows of the output for all rows."""
    message = f"the first {n} rows alone differ from the first {n} rows of the whole"
    assert_same(f(take(rows, slice(0, n))), take(f(rows), slice(0, n)), message, rtol, atol)


def chunks_are_whole(stream: Stream, rows: Any, sizes: Iterable[int], rtol: float = RTOL, atol: float = ATOL) -> None:
    """Assert that consecutive chunks of these sizes give the same as all rows in one step."""
    message = f"chunks of {sizes} rows differ from the whole"
    assert_same(in_chunks(stream, rows, sizes), whole(stream)(rows), message, rtol, atol)


def futures(rows: Any, t: int) -> Iterator[tuple[str, Any]]:
    """The same rows up to t with another future: missing, absurd, and the real one reversed."""
    rng = np.random.default_rng(t)

    def absurd(a):
        if a.dtype == bool:
            return ~a
        if a.dtype.kind == "f":
            return (1e6 * rng.standard_normal(a.shape)).astype(a.dtype)
        return rng.integers(0, 1000, a.shape).astype(a.dtype)

    def missing(a):
        return np.full_like(a, np.nan if a.dtype.kind == "f" else 0)

    for name, change in {"absurd": absurd, "missing": missing, "reversed": lambda a: a[::-1]}.items():
        yield name, jax.tree.map(lambda a: np.concatenate([a[: t + 1], change(np.asarray(a)[t + 1 :])]), rows)  # noqa: B023


def assert_same(actual: Any, expected: Any, message: str, rtol: float, atol: float) -> None:
    """Assert that leaves are equal: flags and classes exactly, floats within the tolerances."""
    leaves, wanted = jax.tree.leaves_with_path(actual), jax.tree.leaves(expected)
    assert len(leaves) == len(wanted), message
    for (path, a), b in zip(leaves, wanted, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype, f"{message}: {a.dtype} is not {b.dtype}"
        place = f"{message} {jax.tree_util.keystr(path)}"
        if rtol == atol == 0 or a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=place)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=place)


def take(rows: Any, index: slice) -> Any:
    return jax.tree.map(lambda a: a[index], rows)


def length(rows: Any) -> int:
    return len(jax.tree.leaves(rows)[0])
