"""Contract 1 of the house as checks that the tests of every room run over their registries.

Rows are a pytree whose leaves have time first (`Bars`, `Features`, an array). What is checked is either a function of
all rows, `f(rows) -> out [N, ...]`, or a `Stream`. Nothing at row t may depend on anything after t:

    stream = compiled(features.build({"log_return": {}}))
    future_is_unseen(whole(stream), rows, t)     change everything after t: rows <= t are the same, bit for bit
    prefix_is_whole(whole(stream), rows, n)      the first n rows alone give the same as within the whole
    chunks_are_whole(stream, rows, (1, 7, 64))   in pieces of these sizes: the same as in one

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
    """All rows through the stream in one step."""
    return lambda rows: stream.step(stream.init(take(rows, slice(0, 1))), rows)[1]


def in_chunks(stream: Stream, rows: Any, sizes: Iterable[int]) -> Any:
    """All rows through the stream in pieces of these sizes, again and again."""
    state, outs, start = stream.init(take(rows, slice(0, 1))), [], 0
    for size in cycle(sizes):
        if start >= length(rows):
            return jax.tree.map(lambda *parts: np.concatenate(parts), *outs)
        state, out = stream.step(state, take(rows, slice(start, start + size)))
        outs.append(jax.tree.map(np.asarray, out))
        start += size


def future_is_unseen(f: Callable[[Any], Any], rows: Any, t: int) -> None:
    """Asserts that out rows <= t stay bit-identical whatever comes after row t."""
    before = take(f(rows), slice(0, t + 1))
    for name, other in futures(rows, t):
        assert_same(take(f(other), slice(0, t + 1)), before, f"rows <= {t} change when the future becomes {name}", 0, 0)


def prefix_is_whole(f: Callable[[Any], Any], rows: Any, n: int, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Asserts that the first n rows alone give what they give within the whole."""
    message = f"the first {n} rows alone give something else than within the whole"
    assert_same(f(take(rows, slice(0, n))), take(f(rows), slice(0, n)), message, rtol, atol)


def chunks_are_whole(stream: Stream, rows: Any, sizes: Iterable[int], rtol: float = RTOL, atol: float = ATOL) -> None:
    """Asserts that pieces of these sizes, one after the other, give what all rows in one step give."""
    message = f"pieces of {sizes} rows give something else than the whole"
    assert_same(in_chunks(stream, rows, sizes), whole(stream)(rows), message, rtol, atol)


def futures(rows: Any, t: int) -> Iterator[tuple[str, Any]]:
    """The same rows up to t with another future: none, absurd, and the real one backwards."""
    rng = np.random.default_rng(t)

    def absurd(a):
        if a.dtype == bool:
            return ~a
        if a.dtype.kind == "f":
            return (1e6 * rng.standard_normal(a.shape)).astype(a.dtype)
        return rng.integers(0, 1000, a.shape).astype(a.dtype)

    def nothing(a):
        return np.full_like(a, np.nan if a.dtype.kind == "f" else 0)

    for name, change in {"absurd": absurd, "nothing": nothing, "itself backwards": lambda a: a[::-1]}.items():
        yield name, jax.tree.map(lambda a: np.concatenate([a[: t + 1], change(np.asarray(a)[t + 1 :])]), rows)  # noqa: B023


def assert_same(actual: Any, expected: Any, message: str, rtol: float, atol: float) -> None:
    """Asserts equal leaves; flags and classes exactly, floats within the tolerances."""
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
