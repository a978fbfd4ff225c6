"""Spans in time order: no label of an earlier one reaches into a later one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fxtrade import labels
from fxtrade.core.config import LabelConfig, SplitConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.types import Split
from fxtrade.labels.weights import known_at
from fxtrade.validate import splits
from fxtrade.validate.splits import folds, trading_rows
from tests.helpers.markets import bars, gap

NAMES = ("train", "valid", "test")


def split_by_time(present, end, valid, test, embargo=0):
    return splits.build(SplitConfig(valid, test, embargo))(present, end)


def split_by_blocks(present, end, valid, test, embargo=0, blocks=8):
    return splits.build(SplitConfig(valid, test, embargo, "by_blocks", {"blocks": blocks}))(present, end)


def ends(n, h):
    return np.minimum(np.arange(n) + h, n - 1)


@given(
    st.integers(30, 300),
    st.integers(0, 6),
    st.integers(0, 5),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.floats(0.3, 1),
    st.integers(0, 100),
)
def test_no_label_reaches_a_later_span_nor_its_embargo(n, h, embargo, valid, test, share, seed):
    present = np.random.default_rng(seed).random(n) < share
    end = ends(n, h)
    try:
        split = split_by_time(present, end, valid, test, embargo)
    except DataError:
        assume(False)
    spans = [np.flatnonzero(getattr(split, name)) for name in NAMES]
    for earlier, later in zip(spans, spans[1:], strict=False):
        assert earlier.max() < later.min()
        assert end[earlier].max() + embargo < later.min()
    chosen = split.train | split.valid | split.test
    assert not (chosen & ~present).any()
    assert not (split.train & split.valid | split.valid & split.test | split.train & split.test).any()
    # nothing else is left out: at most the rows whose label ends within the embargo of one of the two borders
    left = np.flatnonzero(present & ~chosen)
    borders = np.array([spans[1].min(), spans[2].min()])
    assert all(((end[t] >= borders - embargo) & (t < borders)).any() for t in left)
    assert len(left) <= 2 * (h + embargo)


def test_by_hand():
    split = split_by_time(np.ones(20, bool), ends(20, 2), 0.25, 0.25, embargo=1)
    assert np.flatnonzero(split.train).tolist() == list(range(0, 7))  # end < 10 - 1
    assert np.flatnonzero(split.valid).tolist() == list(range(10, 12))  # end < 15 - 1
    assert np.flatnonzero(split.test).tolist() == list(range(15, 20))


def test_the_embargo_comes_besides_purging():
    for embargo in range(4):
        split = split_by_time(np.ones(100, bool), ends(100, 5), 0.2, 0.2, embargo)
        assert np.flatnonzero(split.train).max() == 60 - 5 - embargo - 1
        assert np.flatnonzero(split.valid).max() == 80 - 5 - embargo - 1


def test_shares_are_counted_in_rows_with_data():
    present = np.arange(200) >= 100
    split = split_by_time(present, ends(200, 0), 0.2, 0.2)
    assert [int(getattr(split, name).sum()) for name in NAMES] == [60, 20, 20]


def test_with_labels_of_a_market_with_gaps():
    market = gap(bars(200), slice(90, 110))
    made = labels.make(market, LabelConfig("open_to_open", 4))
    present = np.isfinite(made.ret).any(1)
    split = split_by_time(present, made.end.max(1), 0.2, 0.2, embargo=3)
    for earlier, later in (("train", "valid"), ("valid", "test")):
        seen = made.end[getattr(split, earlier)].max()
        first = np.flatnonzero(getattr(split, later)).min()
        assert seen + 3 < first
        wild = gap(market, slice(first, None))
        again = labels.make(wild, LabelConfig("open_to_open", 4))
        np.testing.assert_array_equal(again.y[getattr(split, earlier)], made.y[getattr(split, earlier)])


@pytest.mark.parametrize(
    "n, valid, test", [(0, 0.15, 0.15), (1, 0.15, 0.15), (2, 0.3, 0.3), (5, 0.01, 0.2), (5, 0.2, 0.01), (4, 0.49, 0.5)]
)
def test_too_few_rows(n, valid, test):
    with pytest.raises(
        DataError, match=f"{n} bars? with .* cannot be split into training, .* and .* test; use more data"
    ):
        split_by_time(np.ones(n, bool), ends(n, 1), valid, test)


@pytest.mark.parametrize("h, embargo, span", [(80, 0, "train"), (1, 90, "train"), (12, 0, "valid")])
def test_a_span_that_purging_empties(h, embargo, span):
    shares = (0.3, 0.2) if span == "train" else (0.1, 0.2)
    with pytest.raises(DataError, match=f"the {span} span is empty after purging"):
        split_by_time(np.ones(100, bool), ends(100, h), *shares, embargo)


class TestBlocks:
    @given(
        st.integers(40, 200),
        st.integers(1, 5),
        st.integers(0, 4),
        st.integers(0, 4),
        st.floats(0.05, 0.4),
        st.floats(0.05, 0.4),
        st.floats(0.4, 1),
        st.integers(0, 100),
    )
    def test_no_label_reaches_the_next_block_of_another_span(self, n, blocks, h, embargo, valid, test, share, seed):
        rng = np.random.default_rng(seed)
        present, end = rng.random(n) < share, np.minimum(np.arange(n) + rng.integers(0, h + 1, n), n - 1)
        try:
            split = split_by_blocks(present, end, valid, test, embargo, blocks)
        except DataError:
            assume(False)
        rows = np.flatnonzero(present)
        span = np.full(n, "", dtype=object)  # where each row is, whether purged or not, one by one
        stops = [round(round(len(rows) * (1 - test)) * (i + 1) / blocks) for i in range(blocks)]
        count = round(len(rows) * (1 - test)) - round(len(rows) * (1 - valid - test))
        sizes = [round(count * (i + 1) / blocks) - round(count * i / blocks) for i in range(blocks)]
        for place, row in enumerate(rows):
            held = any(stop - size <= place < stop for stop, size in zip(stops, sizes, strict=True))
            span[row] = "test" if place >= stops[-1] else "valid" if held else "train"
        for name in NAMES:
            kept = getattr(split, name)
            for i in range(n):
                later = [j for j in rows if j > i and span[j] != span[i]]
                reached = any(end[i] + embargo >= j for j in later)
                assert kept[i] == (present[i] and span[i] == name and (name == "test" or not reached))

    def test_by_hand(self):
        split = split_by_blocks(np.ones(40, bool), ends(40, 1), 0.2, 0.2, embargo=1, blocks=2)
        # the borders are 12, 16, 28 and 32: a row before one stays if its label ends two rows before it
        assert np.flatnonzero(split.train).tolist() == [*range(10), *range(16, 26)]
        assert np.flatnonzero(split.valid).tolist() == [12, 13, 28, 29]
        assert np.flatnonzero(split.test).tolist() == list(range(32, 40))

    def test_equal_blocks_evenly_spread_up_to_the_test_span(self):
        split = split_by_blocks(np.ones(1000, bool), ends(1000, 0), 0.16, 0.2)
        first = np.flatnonzero(split.valid & ~np.append(False, split.valid[:-1]))
        assert first.tolist() == list(range(80, 800, 100))
        assert split.valid.sum() == 8 * 20 and split.valid[799] and split.test[800]

    def test_the_future_of_a_border_changes_no_label_before_it(self):
        market, config = gap(bars(900), slice(90, 110)), LabelConfig("triple_barrier", 6)
        made = labels.make(market, config)
        known = known_at(made.end)
        split = split_by_blocks(np.isfinite(made.ret).any(1), known, 0.2, 0.2, embargo=3, blocks=4)
        spans = split.train + 2 * split.valid + 3 * split.test
        for border in np.flatnonzero(np.diff(spans[spans > 0])):
            border = np.flatnonzero(spans > 0)[border + 1]  # first row after the purged ones
            again = labels.make(gap(market, slice(border, None)), config)
            before = np.arange(900) < border
            for name in NAMES:
                rows = getattr(split, name) & before
                np.testing.assert_array_equal(again.y[rows], made.y[rows])
                np.testing.assert_array_equal(again.w[rows], made.w[rows])

    def test_what_cannot_be_is_said(self):
        everything = np.ones(100, bool), ends(100, 4)
        with pytest.raises(ConfigError, match="split 'by_blocks': option blocks must be at least 1, got 0"):
            split_by_blocks(*everything, 0.2, 0.2, blocks=0)
        with pytest.raises(DataError, match="100 bars .* test of 30 validation blocks; .* fewer split.options.blocks"):
            split_by_blocks(*everything, 0.2, 0.2, blocks=30)
        with pytest.raises(
            DataError, match="the valid span is empty after purging in block 1 of 8; .* fewer split.options.blocks"
        ):
            split_by_blocks(*everything, 0.2, 0.2, blocks=8)


def test_rows_of_trading():
    """From a test row to the next row of another span: rows of none do not end it."""
    spans = "..tttt.v.vvt.TT.T..ttTT..v"
    split = Split(*(np.array([s == kind for s in spans]) for kind in "tvT"))
    expected = "             ######  #### "
    assert "".join(" #"[int(row)] for row in trading_rows(split)) == expected


def test_all_rows_after_the_border_are_traded_by_time():
    present = np.random.default_rng(0).random(100) < 0.8
    split = split_by_time(present, ends(100, 4), 0.2, 0.2)
    rows = np.flatnonzero(trading_rows(split))
    np.testing.assert_array_equal(rows, np.arange(np.argmax(split.test), 100))


class TestFolds:
    @given(st.integers(20, 200), st.integers(2, 6), st.integers(0, 5), st.integers(0, 4), st.integers(0, 100))
    def test_each_leaves_out_a_block_that_no_label_of_it_reaches(self, n, count, h, embargo, seed):
        train, end = np.random.default_rng(seed).random(n) < 0.7, ends(n, h)
        assume(train.sum() >= count)
        kept = folds(train, end, count, embargo)
        blocks = np.array_split(np.flatnonzero(train), count)
        for rows, block in zip(kept, blocks, strict=True):
            own = np.flatnonzero(rows)
            assert not rows[block].any() and not (rows & ~train).any()
            before, after = own[own < block[0]], own[own > block[-1]]
            assert (end[before] < block[0]).all() and (after > block[-1] + embargo).all()
            # nothing else is missing
            assert len(own) >= train.sum() - len(block) - h - embargo

    def test_more_folds_than_rows(self):
        with pytest.raises(DataError, match="2 training rows cannot be split into 3 folds"):
            folds(np.arange(9) < 2, ends(9, 1), 3)
