"""Which rows are read, against sets of row numbers followed back layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import models
from fxtrade.models.rows import ALL, EVERYTHING, Past, Rows, plan


class Network:
    def __init__(self, past: list[Past], streams: bool = False):
        self.past, self.streams = past, streams

    def is_mutable_collection(self, name: str) -> bool:
        return self.streams and name == "cache"


pasts = st.lists(
    st.builds(lambda step, taps: Past(step, step * taps), st.integers(1, 12), st.integers(0, 4)), max_size=6
)


@given(pasts)
def test_every_row_that_the_last_one_reads_is_there_where_its_layer_looks_for_it(past):
    inputs, layers = plan(Network(past), last=True)
    steps = 2 + sum(layer.reach for layer in past)
    at = inputs.of(np.arange(steps)[None])[0]  # rows that are left, by their number
    kept = [at]
    for (step, rows), layer in zip(layers, past, strict=True):
        answers = rows.of(at[None])[0]
        where = {row: i for i, row in enumerate(at)}
        for row in answers:
            for back in range(0, layer.reach + 1, layer.step):
                assert at[where[row] - back // layer.step * step] == row - back
        at = answers
        kept.append(at)
    assert list(at) == [steps - 1]
    read = {steps - 1}  # followed back
    for before, layer in zip(kept[-2::-1], past[::-1], strict=True):
        read = {row - back for row in read for back in range(0, layer.reach + 1, layer.step)}
        assert read <= set(before)


def test_doubling_dilations_become_strides_and_nothing_else_is_kept():
    inputs, layers = plan(Network(models.build("tcn", {"blocks": 3, "kernel": 3}).past), last=True)
    assert inputs == Rows(1, 29)
    assert list(layers) == [(1, Rows(*r)) for r in ((1, 27), (2, 13), (1, 11), (2, 5), (1, 3), (1, 1))]


def test_attention_asks_once_in_its_last_layer():
    model = models.build("transformer", {"layers": 3, "lookback": 10, "patch": 4})
    _, layers = plan(Network(model.past), last=True)
    assert list(layers) == [(1, Rows(4, 28)), (1, Rows(1, 19)), (1, Rows(1, 10)), (1, Rows(1, 1))]


def test_a_recurrent_layer_reads_all_there_is():
    inputs, layers = plan(Network([Past(2, 4), EVERYTHING, Past(3, 6)]), last=True)
    assert inputs == ALL and list(layers) == [(2, ALL), (1, Rows(3, 3)), (1, Rows(1, 1))]


@given(pasts)
def test_without_last_it_is_every_row(past):
    inputs, layers = plan(Network(past, streams=True), last=False)
    assert inputs == ALL and list(layers) == [(layer.step, ALL) for layer in past]


@given(st.integers(1, 20), st.integers(1, 5), st.sampled_from([1, 2, 7, math.inf]))
def test_rows_are_counted_from_the_last(steps, every, count):
    rows, numbers = Rows(every, count), list(range(steps))
    expected = numbers[::-1][::every][: None if count == math.inf else count][::-1]
    np.testing.assert_array_equal(rows.of(np.arange(steps)[None])[0], expected)
    assert rows.among(steps) == len(expected) and rows.span(steps) == expected[-1] - expected[0] + 1


def test_a_stream_needs_every_row():
    with pytest.raises(ValueError, match="a stream"):
        plan(Network([], streams=True), last=True)
