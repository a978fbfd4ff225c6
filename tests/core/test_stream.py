"""Streams: history at once, in pieces of any size, and bar by bar are the same function."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import stream
from fxtrade.core.errors import DataError
from fxtrade.core.stream import Kernels, Stream, from_kernels
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, in_chunks, prefix_is_whole, whole

T = 144  # two rounds of pieces of 1, 7 and 64 rows
RNG = np.random.default_rng(0)
ROWS = (60_000 + 10 * np.cumsum(RNG.standard_normal((T, 2)), 0)).astype(np.float32)
ROWS[40:45, 0] = np.nan

KERNELS = {
    "lag": lambda k, x: k.lag(x, 3),
    "lag 0": lambda k, x: k.lag(x, 0),
    "log_return": lambda k, x: k.log_return(x, 2),
    "mean": lambda k, x: k.mean(x, 20),
    "mean 1": lambda k, x: k.mean(x, 1),
    "total": lambda k, x: k.total(x, 5),
    "std": lambda k, x: k.std(x, 20),
    "zscore": lambda k, x: k.zscore(x, 20, min_count=4),
    "maximum": lambda k, x: k.maximum(x, 20),
    "minimum": lambda k, x: k.minimum(x, 7, min_count=1),
    "ew_moments": lambda k, x: k.ew_moments(x, 10.0, clip=3.0),
    "ew_comoments": lambda k, x: k.ew_comoments(x[:, :1], x, 10.0, clip=3.0),
    "nested": lambda k, x: k.std(k.log_return(x - k.mean(x, 5) + 60_000), 8),
}
each = pytest.mark.parametrize("name", KERNELS)
STREAMS = {name: compiled(from_kernels(f)) for name, f in KERNELS.items()}


@each
def test_pieces_of_any_size_are_the_whole(name):
    for sizes in ((1,), (1, 7, 64)):
        chunks_are_whole(STREAMS[name], ROWS, sizes, rtol=1e-5, atol=1e-6 if name == "nested" else 1e-5)


@each
def test_causal(name):
    for t in (0, 39, 42, 100):
        future_is_unseen(whole(STREAMS[name]), ROWS, t)
    prefix_is_whole(whole(STREAMS[name]), ROWS, 64, rtol=1e-6, atol=1e-6)


@given(st.lists(st.sampled_from([1, 7, 64]), min_size=1, max_size=5))
def test_any_order_of_sizes(sizes):
    chunks_are_whole(STREAMS["zscore"], ROWS, sizes)


def test_log_return_is_exact_where_prices_are_close():
    x = ROWS.astype(np.float64)
    expected = np.log(x[1:] / x[:-1])
    np.testing.assert_allclose(whole(STREAMS["log_return"])(ROWS)[2:], np.log(x[2:] / x[:-2]), rtol=1e-6)
    one = from_kernels(lambda k, x: k.log_return(x))
    np.testing.assert_allclose(whole(one)(ROWS)[1:], expected, rtol=1e-6)


def test_the_state_is_of_bounded_size_and_knows_only_shapes_at_first():
    made = STREAMS["zscore"]
    first, other = made.init(ROWS[:1]), made.init(np.full((1, 2), 7, np.float32))
    jax.tree.map(np.testing.assert_array_equal, first, other)
    after, _ = made.step(first, ROWS)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, first)


def counter() -> Stream:
    """Adds up its rows: the simplest stream whose state is not a window."""

    def step(state, x):
        out = state[None] + jnp.cumsum(x, 0)
        return out[-1], out

    return Stream(lambda x: jnp.zeros(x.shape[1:]), step)


def test_chain_feeds_the_first_to_the_second():
    first, second = from_kernels(lambda k, x: k.lag(x, 1)), from_kernels(lambda k, x: 2 * k.lag(x, 1) + 1)
    chained = compiled(stream.chain(first, second))
    x = np.arange(30, dtype=np.float32)[:, None]
    expected = np.concatenate([np.full((2, 1), np.nan), 2 * x[:-2] + 1])
    np.testing.assert_array_equal(whole(chained)(x), expected)
    np.testing.assert_array_equal(in_chunks(chained, x, (1, 4)), expected)


def test_chain_gives_the_second_the_rows_it_will_see():
    seen = []

    def init(rows):
        seen.append(jax.tree.map(jnp.shape, rows))
        return counter().init(rows["sum"])

    second = Stream(init, lambda state, rows: counter().step(state, rows["sum"]))
    chained = stream.chain(from_kernels(lambda k, x: {"sum": x.sum(-1, keepdims=True)}), second)
    out = in_chunks(chained, np.ones((10, 4), np.float32), (3,))
    np.testing.assert_array_equal(out[:, 0], 4 * np.arange(1, 11))
    assert seen == [{"sum": (1, 1)}]


@given(st.integers(1, 40), st.sampled_from([1, 7, 16, 100]))
def test_run_gives_every_row_once_whatever_the_chunk(n, chunk):
    rows = {"a": np.arange(n, dtype=np.float32), "b": np.ones((n, 3), np.float32)}

    def step(total, r):
        return total + r["a"].sum(), {"a": r["a"] + 1, "b": 2 * r["b"], "s": total + 0 * r["a"]}

    made, ticks = Stream(lambda r: jnp.zeros(()), step), []
    out = stream.run(made, rows, chunk, ticks.append)
    np.testing.assert_array_equal(out["a"], rows["a"] + 1)
    np.testing.assert_array_equal(out["b"], 2 * rows["b"])
    start = np.arange(n) // chunk * chunk
    np.testing.assert_array_equal(out["s"], start * (start - 1) / 2)
    assert sum(ticks) == n and len(ticks) == -(-n // chunk)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(out))


def test_chunks_cover_the_rows_in_order():
    rows = (np.arange(10), np.arange(20).reshape(10, 2))
    pieces = list(stream.chunks(rows, 4))
    assert [start for start, _ in pieces] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([p[0] for _, p in pieces]), rows[0])
    np.testing.assert_array_equal(np.concatenate([p[1] for _, p in pieces]), rows[1])


def test_the_kernels_of_a_function_do_not_share_memory():
    two = from_kernels(lambda k, x: (k.mean(x, 3), k.mean(-x, 3), k.lag(x, 1)))
    a, b, c = in_chunks(compiled(two), ROWS, (1, 7))
    np.testing.assert_array_equal(a, -b)
    np.testing.assert_array_equal(c[1:], ROWS[:-1])


def test_kernels_without_a_past_start_from_nothing():
    k = Kernels()
    np.testing.assert_array_equal(k.lag(jnp.ones((3, 1)), 2)[:, 0], [np.nan, np.nan, 1])
    np.testing.assert_array_equal(k.initial[0][0], np.full((2, 1), np.nan))
    np.testing.assert_array_equal(k.state[0][0], np.ones((2, 1)))


def test_one_past_for_all_kernels_of_an_array_and_one_result_for_the_same_question():
    x = jnp.arange(12.0).reshape(6, 2)

    def function(k, x):
        assert k.mean(x, 3) is k.mean(x, 3) and k.mean(x, 3) is not k.mean(x, 4)
        assert k.log_return(x) is k.log_return(x, 1)
        k.mean(x + 0, 5)
        # ids of deleted arrays may be reused
        results = [k.mean(x * i, 2) for i in range(50)]
        return jnp.stack([k.lag(x, 4), k.std(k.log_return(x), 2), *results], -1)

    made = from_kernels(function)
    pasts, carries = made.init(x)
    assert [len(p) for p in pasts[:2]] == [4, 4] and carries == []
    out = stream.run(made, x)
    np.testing.assert_allclose(out[2:, :, 2:], np.arange(50) * out[2:, :, 3:4], rtol=1e-6)
    np.testing.assert_allclose(stream.run(made, x, 1), out, rtol=1e-6)


def pairwise() -> Stream:
    """All products of pairs of columns on the way, summed."""
    return from_kernels(lambda k, x: jnp.sum(x[:, :, None] * x[:, None], (1, 2)))


@pytest.mark.parametrize("assets, size", [(4, 65_536), (100, 1024), (1000, stream.FEWEST_ROWS)])
def test_chunks_have_fewer_rows_where_an_array_on_the_way_is_large(assets, size):
    assert stream.chunk_rows(pairwise(), np.zeros((70_000, assets), np.float32)) == size


def test_what_cannot_fit_is_refused_before_it_begins():
    with pytest.raises(DataError, match="64 rows take an array of 24 GiB.*fewer symbols"):
        stream.run(pairwise(), np.zeros((64, 10_000), np.float32))


def test_large_arrays_inside_loops_count():
    def looped(k, x):
        def body(i, total):
            return total + jnp.sum(x[:, :, None] * x[:, None], (1, 2))

        return jax.lax.fori_loop(0, 3, body, jnp.zeros(len(x), x.dtype))

    rows = np.zeros((2000, 100), np.float32)
    assert stream.chunk_rows(from_kernels(looped), rows) == stream.chunk_rows(pairwise(), rows) == 1024


def test_a_chosen_number_of_rows_is_bounded_too():
    rows = np.zeros((2000, 100), np.float32)
    assert [stream.chunk_rows(pairwise(), rows, most) for most in (100, 2000)] == [100, 1024]


def test_the_size_of_a_chunk_does_not_take_another_trace():
    traces = []

    def function(k, x):
        traces.append(len(x))
        return k.mean(x, 3)

    stream.run(from_kernels(function), np.zeros((50, 2), np.float32), 50)
    assert traces.count(50) == 1
