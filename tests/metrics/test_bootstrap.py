import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import bootstrap as m
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=40)


def autocorrelated(rng, n, persistence=0.95):
    """A stationary AR(1) with variance 1."""
    noise = rng.normal(size=n) * np.sqrt(1 - persistence**2)
    x = np.empty(n)
    x[0] = rng.normal()
    for t in range(1, n):
        x[t] = persistence * x[t - 1] + noise[t]
    return x


@QUICK
@given(hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(-1000, 1000)), st.integers(1, 300))
def test_block_ids_put_exactly_the_rows_of_one_stretch_together(times, block):
    ids = m.block_ids(times, block)
    assert sorted(set(ids)) == list(range(ids.max() + 1))
    np.testing.assert_array_equal(ids[:, None] == ids, (times // block)[:, None] == times // block)


def test_ratio_interval_is_the_same_for_the_same_seed_only():
    rng = np.random.default_rng(0)
    x, block = rng.normal(size=300), np.arange(300) // 10
    first = m.ratio_interval(x, np.ones(300), block, samples=200, seed=1)
    assert first == m.ratio_interval(x, np.ones(300), block, samples=200, seed=1)
    assert first != m.ratio_interval(x, np.ones(300), block, samples=200, seed=2)


def test_only_the_sums_of_blocks_matter_and_neither_their_names_nor_how_many_are_drawn_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    top, bottom, block = rng.normal(size=60), rng.uniform(1, 2, 60), np.arange(60) // 3
    expected = m.ratio_interval(top, bottom, block, samples=300)
    sums = m.ratio_interval(top.reshape(-1, 3).sum(1), bottom.reshape(-1, 3).sum(1), 100 + 7 * np.arange(20), 300)
    np.testing.assert_allclose(sums, expected, rtol=1e-12)
    monkeypatch.setattr(m, "DRAWS_AT_ONCE", 20 * 7)
    np.testing.assert_allclose(m.ratio_interval(top, bottom, block, samples=300), expected, rtol=1e-12)


def test_ratio_interval_is_the_distribution_over_every_possible_resample():
    top, bottom = np.array([1.0, 0.0, 4.0]), np.array([1.0, 2.0, 5.0])
    draws = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
    exact = top[draws].sum(1) / bottom[draws].sum(1)
    low, high = m.ratio_interval(top, bottom, np.arange(3), samples=20_000, level=0.8)
    assert (low, high) == pytest.approx(np.quantile(exact, [0.1, 0.9], method="inverted_cdf"))


def test_undefined_intervals_are_nan():
    assert np.isnan(m.ratio_interval(*np.zeros((2, 0)), np.zeros(0, int))).all()
    assert np.isnan(m.ratio_interval(*np.array([[1, 0], [1, 1], [5, 5]]))).all()
    assert np.isnan(m.ratio_interval(*np.array([[0, 0], [0, 0], [0, 1]]))).all()


def test_resamples_without_a_denominator_are_left_out():
    assert m.ratio_interval(*np.array([[1, 0, 0], [2, 0, 0], [0, 1, 2]]), samples=200) == (0.5, 0.5)


def covered(draw, truth, repetitions):
    intervals = np.array([draw(np.random.default_rng(seed)) for seed in range(repetitions)])
    return np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])), np.diff(intervals).mean()


def test_interval_of_iid_accuracy_covers_at_its_level():
    def draw(rng):
        correct = rng.random(400) < 0.55
        return m.ratio_interval(correct, np.ones(400), np.arange(400) // 5, samples=400, level=0.9)

    share, width = covered(draw, 0.55, repetitions=400)
    assert 0.855 < share < 0.935  # 0.9 -+ three standard errors of 400 trials
    assert width == pytest.approx(2 * 1.645 * np.sqrt(0.55 * 0.45 / 400), rel=0.04)


def test_blocks_cover_dependent_data_where_rows_do_not():
    def draw(block):
        def interval(rng):
            correct = autocorrelated(rng, 2000) > 0
            return m.ratio_interval(correct, np.ones(2000), np.arange(2000) // block, samples=300, level=0.9)

        return interval

    by_row, narrow = covered(draw(1), 0.5, repetitions=120)
    by_block, wide = covered(draw(100), 0.5, repetitions=120)
    assert wide > 3 * narrow
    assert by_row < 0.5 and by_block > 0.8


def test_blocks_keep_assets_of_one_time_together():
    correct = np.repeat(np.random.default_rng(0).random(200) < 0.5, 10)
    times = np.repeat(np.arange(200), 10)
    together = m.ratio_interval(correct, np.ones(2000), m.block_ids(times, 1), samples=500)
    apart = m.ratio_interval(correct, np.ones(2000), np.arange(2000), samples=500)
    assert np.diff(together) / np.diff(apart) == pytest.approx(np.sqrt(10), rel=0.15)


class TestRatioIntervals:
    def test_they_are_those_of_single_ratios(self):
        """The same percentiles as by `ratio_interval`, up to what 20,000 resamples leave to chance."""
        rng = np.random.default_rng(0)
        block = np.sort(rng.integers(0, 40, 1000))
        x = rng.standard_normal((1000, 2)) + np.array([0.0, 0.3])
        sums = np.stack([np.bincount(block, x[:, c]) for c in range(2)], 1)
        low, high = m.ratio_intervals(sums, np.bincount(block), 20_000)
        for c in range(2):
            expected = m.ratio_interval(x[:, c], np.ones(1000), block, 20_000, seed=1)
            np.testing.assert_allclose([low[c], high[c]], expected, atol=0.02)

    def test_columns_do_not_disturb_each_other(self):
        sums, rows = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30)
        together, alone = m.ratio_intervals(sums, rows), m.ratio_intervals(sums[:, 1:2], rows)
        np.testing.assert_allclose([together[0][1], together[1][1]], [alone[0][0], alone[1][0]])

    def test_one_block_has_no_interval(self):
        assert np.isnan(m.ratio_intervals(np.ones((1, 2)), np.array([5]))).all()

    @pytest.mark.parametrize("samples, level", [(0, 0.95), (10, 0.0), (10, 1.0)])
    def test_what_cannot_be(self, samples, level):
        with pytest.raises(ConfigError, match="samples"):
            m.ratio_intervals(np.ones((4, 1)), np.ones(4), samples, level)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.block_ids([0, 1], 0), ConfigError, "block_ns"),
        (lambda: m.block_ids([[0, 1]], 5), DataError, "one column"),
        (lambda: m.ratio_interval([1, 1], [1, 1], [0]), DataError, "equal"),
        (lambda: m.ratio_interval([1, np.nan], [1, 1], [0, 1]), DataError, "finite"),
        (lambda: m.ratio_interval([1, 1], [1, 1], [0, 1], level=95), ConfigError, "level"),
        (lambda: m.ratio_interval([1, 1], [1, 1], [0, 1], samples=0), ConfigError, "samples"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()


class TestPairedDifference:
    def sums(self, seed=0, blocks=30, pairs=None, edge=0.0):
        """Hits and rows of two forecasts whose days are easy or hard for both."""
        rng = np.random.default_rng(seed)
        shape = (blocks,) if pairs is None else (pairs, blocks)
        day = rng.normal(0.5, 0.1, blocks)
        rows = rng.integers(50, 100, (2, *shape))
        hits = rng.binomial(rows, np.clip(day + edge * np.array([1, 0]).reshape(2, *[1] * len(shape)), 0, 1))
        return (hits[0], rows[0]), (hits[1], rows[1])

    def test_against_resampling_by_hand(self):
        """All blocks are drawn together for both and for all pairs: exact over every possible resample of three."""
        ours, theirs = self.sums(1, 3, 2)
        draws = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)
        ratio = [a[:, draws].sum(-1) / b[:, draws].sum(-1) for a, b in (ours, theirs)]
        exact = (ratio[0] - ratio[1]).mean(0)
        made = m.paired_difference(ours, theirs, samples=20_000, level=0.8)
        assert made.value == pytest.approx(
            np.mean(ours[0].sum(1) / ours[1].sum(1) - theirs[0].sum(1) / theirs[1].sum(1)), rel=1e-12
        )
        assert (made.low, made.high) == pytest.approx(np.quantile(exact, [0.1, 0.9], method="inverted_cdf"))

    def test_one_pair_of_equal_rows_is_a_paired_t_test(self):
        """With the same rows in every block the ratio is linear, and so the standard error exact."""
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(2, 25))
        ones = np.ones(25)
        assert m.paired_difference((a, ones), (b, ones), 10).p == pytest.approx(stats.ttest_rel(a, b).pvalue)

    def test_the_interval_is_narrower_than_that_of_independent_forecasts(self):
        ours, theirs = self.sums(blocks=200)
        made = m.paired_difference(ours, theirs)
        alone = m.ratio_interval(*ours, np.arange(200))
        assert made.high - made.low < 0.8 * (alone[1] - alone[0])

    def test_p_values_are_uniform_without_a_difference_and_small_with_one(self):
        none = np.array([m.paired_difference(*self.sums(seed, pairs=2), samples=1).p for seed in range(300)])
        assert stats.kstest(none, "uniform").pvalue > 0.01
        some = [m.paired_difference(*self.sums(seed, edge=0.1), samples=1).p for seed in range(20)]
        assert np.median(some) < 1e-4

    def test_edges(self):
        ours, theirs = self.sums()
        same = m.paired_difference(ours, ours)
        assert same == (0.0, 0.0, 0.0, 1.0)
        turned = m.paired_difference(theirs, ours)
        there = m.paired_difference(ours, theirs)
        assert (turned.value, turned.p) == pytest.approx((-there.value, there.p))
        assert (turned.low, turned.high) == pytest.approx((-there.high, -there.low))
        assert np.isnan(m.paired_difference((ours[0], 0 * ours[1]), theirs)).all()
        one = m.paired_difference(*[(a[:1], b[:1]) for a, b in (ours, theirs)])
        assert one.value == pytest.approx(ours[0][0] / ours[1][0] - theirs[0][0] / theirs[1][0])
        assert np.isnan(one[1:]).all()

    def test_what_it_refuses(self):
        ours, theirs = self.sums()
        with refused(DataError, r"paired_difference: shapes .* must be equal"):
            m.paired_difference(ours, (theirs[0][:-1], theirs[1][:-1]))
        with pytest.raises(DataError, match="not finite"):
            m.paired_difference((ours[0] * np.nan, ours[1]), theirs)
        with pytest.raises(ConfigError, match="level 1.5"):
            m.paired_difference(ours, theirs, level=1.5)


@QUICK
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_resampled_bars_are_blocks_on_the_circle(bars, block, seed):
    block = min(block, bars)
    (drawn,) = m.resampled_bars(bars, block, 7, seed)
    assert drawn.shape == (7, bars) and 0 <= drawn.min() and drawn.max() < bars
    steps = np.diff(drawn, axis=1) % bars
    within = np.arange(1, bars) % block != 0
    assert (steps[:, within] == 1 % bars).all()


def test_every_bar_is_drawn_as_often_also_at_the_ends():
    counts = np.bincount(np.concatenate(list(m.resampled_bars(30, 7, 20_000, 0))).ravel(), minlength=30)
    np.testing.assert_allclose(counts, 20_000, rtol=0.05)


def test_many_resamples_come_some_at_a_time(monkeypatch):
    monkeypatch.setattr(m, "DRAWS_AT_ONCE", 100)
    parts = list(m.resampled_bars(40, 4, 7, 0))
    assert [len(p) for p in parts] == [2, 2, 2, 1]


@pytest.mark.parametrize(("bars", "length"), [(1, 1), (8, 2), (9, 3), (1000, 10), (1001, 11)])
def test_block_length_is_the_cube_root_rounded_up(bars, length):
    assert m.block_length(bars) == length
