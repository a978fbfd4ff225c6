"""Information coefficients against scipy and against loops written from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from fxtrade.core.errors import DataError
from fxtrade.metrics import ic
from tests.helpers.refusals import refused

seeds = st.integers(0, 10_000)


def drawn(seed: int, rows: int, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two related columns; with `levels` they have many equal values."""
    rng = np.random.default_rng(seed)
    f = rng.standard_normal(rows)
    r = 0.3 * f + rng.standard_normal(rows)
    return (np.floor(levels * f), np.floor(levels * r)) if levels else (f, r)


class TestRanks:
    @given(seeds, st.integers(3, 200), st.sampled_from([0, 1, 3]))
    def test_the_mean_product_is_spearman(self, seed, rows, levels):
        f, r = drawn(seed, rows, levels)
        if np.ptp(f) and np.ptp(r):
            assert (ic.standard_ranks(f) * ic.standard_ranks(r)).mean() == pytest.approx(spearmanr(f, r)[0], abs=1e-12)

    @given(seeds)
    def test_only_the_order_counts(self, seed):
        f, _ = drawn(seed, 50)
        np.testing.assert_array_equal(ic.standard_ranks(np.exp(f)), ic.standard_ranks(f))
        np.testing.assert_array_equal(ic.standard_ranks(-f), -ic.standard_ranks(f))

    def test_float32_columns(self):
        f, _ = drawn(0, 1000)
        made = ic.standard_ranks(f.astype(np.float32))
        assert made.dtype == np.float64
        assert made.mean() == pytest.approx(0, abs=1e-12) and (made**2).mean() == pytest.approx(1)

    @pytest.mark.parametrize("x", [[], [3.0], [2.0, 2.0, 2.0]])
    def test_a_column_without_order_is_zero(self, x):
        np.testing.assert_array_equal(ic.standard_ranks(np.array(x, float)), np.zeros(len(x)))

    @pytest.mark.parametrize("x", [[1.0, np.nan], [np.inf, 0.0], [[1.0, 2.0]]])
    def test_what_has_no_rank(self, x):
        with refused(DataError, "one column .M. of finite numbers"):
            ic.standard_ranks(np.array(x))


class TestWithin:
    @given(seeds, st.integers(1, 5))
    def test_each_cell_by_itself(self, seed, cells):
        f, r = drawn(seed, 60)
        cell = np.random.default_rng(seed).integers(cells, size=60)
        made, rows = ic.correlation_within(f, r, cell, cells)
        for c in range(cells):
            inside = cell == c
            assert rows[c] == inside.sum()
            if inside.sum() > 1:
                assert made[c] == pytest.approx(pearsonr(f[inside], r[inside])[0], abs=1e-10)

    def test_flat_and_empty_cells_have_none(self):
        f, r = np.array([1.3, 1.3, 1.3, 0.1, 0.7, 5.0]), np.array([1.0, 2.0, 4.0, 1.0, 2.0, 3.0])
        made, rows = ic.correlation_within(f, r, np.array([0, 0, 0, 1, 1, 3]), 5)
        np.testing.assert_array_equal(np.isnan(made), [True, False, True, True, True])
        np.testing.assert_array_equal(rows, [3, 2, 0, 1, 0])
        assert made[1] == pytest.approx(1)

    def test_means_leave_out_what_is_missing(self):
        x = np.array([[1.0, np.nan, np.nan], [4.0, 2.0, np.nan]])
        np.testing.assert_allclose(ic.weighted_mean(x, np.array([[2.0, 9, 9], [1.0, 1, 1]])), [2.0, 2.0, np.nan])


class TestLags:
    @given(seeds, st.integers(2, 40), st.integers(1, 3))
    def test_every_shift_is_that_of_a_loop(self, seed, rows, assets):
        rng = np.random.default_rng(seed)
        f, r = (rng.standard_normal((assets, rows)) * (rng.random((assets, rows)) > 0.3) for _ in range(2))
        made = ic.all_lags(ic.spectrum(f), ic.spectrum(r))
        assert len(made) >= rows and len(made) % 2 == 0
        pad = ((0, 0), (0, len(made) - rows))
        f, r = np.pad(f, pad), np.pad(r, pad)
        expected = [(f * np.roll(r, -s, 1)).sum() for s in range(len(made))]
        np.testing.assert_allclose(made, expected, atol=1e-10)


class TestClusters:
    def test_alike_columns_stand_together_whatever_their_sign(self):
        rng = np.random.default_rng(0)
        a, b = rng.standard_normal((2, 500))
        noise = lambda: 0.2 * rng.standard_normal(500)  # noqa: E731
        correlation = np.corrcoef([a, b, -a + noise(), rng.standard_normal(500), b + noise()])
        group, order = ic.clusters(correlation, 0.7)
        assert group[0] == group[2] and group[1] == group[4] and len(set(group)) == 3
        assert sorted(order) == [0, 1, 2, 3, 4]
        assert (np.diff([group[i] for i in order]) != 0).sum() == 2

    @pytest.mark.parametrize("least, expected", [(0.79, 1), (0.81, 2)])
    def test_the_cut_is_at_the_stated_correlation(self, least, expected):
        assert len(set(ic.clusters(np.array([[1, -0.8], [-0.8, 1]]), least)[0])) == expected

    def test_a_constant_column_is_a_cluster_of_its_own(self):
        correlation = np.array([[1, 0.9, np.nan], [0.9, 1, np.nan], [np.nan, np.nan, np.nan]])
        assert len(set(ic.clusters(correlation, 0.7)[0])) == 2

    def test_one_column(self):
        group, order = ic.clusters(np.ones((1, 1)), 0.7)
        assert group.tolist() == order.tolist() == [0]

    def test_correlation_of_ranks(self):
        ranks = np.random.default_rng(0).standard_normal((3, 150_000)).astype(np.float32)
        ranks[2] += ranks[0]
        ranks = np.append(ranks, np.zeros((1, 150_000), np.float32), 0)
        made = ic.correlation_matrix(ranks)
        np.testing.assert_allclose(made[:3, :3], np.corrcoef(ranks[:3]), atol=0.01)
        assert np.isnan(made[3]).all() and np.isnan(made[:, 3]).all()


class TestStability:
    def test_missing_periods_do_not_count(self):
        made = ic.stability(-0.1, np.array([-0.3, np.nan, 0.1, -0.1]))
        assert made == pytest.approx({"mean": -0.1, "std": 0.2, "same_sign": 2 / 3, "last": -0.1})

    @pytest.mark.parametrize("whole, periods", [(np.nan, [0.1]), (0.1, [np.nan, np.nan])])
    def test_what_is_undefined(self, whole, periods):
        assert np.isnan(ic.stability(whole, np.array(periods))["same_sign"])


class TestDecay:
    @given(seeds, st.integers(6, 60), st.integers(1, 3))
    def test_it_is_spearman_with_the_next_returns_of_each_asset(self, seed, bars, assets):
        rng = np.random.default_rng(seed)
        score, ret = rng.normal(size=(2, bars, assets))
        got = ic.decay(score, ret, (1, 2, 4))
        for place, h in enumerate((1, 2, 4)):
            ahead = np.stack([ret[t + 1 : t + 1 + h].sum(0) for t in range(bars - h)])
            pairs = [(s, a, r) for s, a, r in zip(score[:-h].T, ahead.T, ret[h:].T, strict=True)]
            assert got.cumulative[place] == pytest.approx(np.mean([spearmanr(s, a)[0] for s, a, _ in pairs]))
            assert got.single[place] == pytest.approx(np.mean([spearmanr(s, r)[0] for s, _, r in pairs]))
            assert got.rows[place] == (bars - h) * assets

    def test_gaps_are_left_out_and_assets_weigh_by_their_rows(self):
        rng = np.random.default_rng(0)
        score, ret = rng.normal(size=(2, 50, 2))
        score[:20, 1], ret[30, 0] = np.nan, np.nan
        got = ic.decay(score, ret, (1, 3))
        ahead = np.stack([ret[t + 1 : t + 4].sum(0) for t in range(47)])
        known = np.isfinite(score[:47]) & np.isfinite(ahead)
        each = [spearmanr(score[:47, a][known[:, a]], ahead[:, a][known[:, a]])[0] for a in range(2)]
        assert got.rows.tolist() == [49 + 29 - 1, known.sum()] and known.sum() == 44 + 27
        assert got.cumulative[1] == pytest.approx(np.average(each, weights=known.sum(0)))

    def test_a_signal_for_one_bar_decays_and_says_nothing_of_later_bars(self):
        ret = np.random.default_rng(0).normal(size=(4000, 2))
        score = np.roll(ret, -1, 0)
        got = ic.decay(score[:-1], ret[:-1], (1, 4, 16))
        np.testing.assert_allclose(got.cumulative, [1, 0.5, 0.25], atol=0.04)
        np.testing.assert_allclose(got.single, [1, 0, 0], atol=0.04)

    def test_without_rows_it_is_nan(self):
        got = ic.decay(np.full((5, 1), np.nan), np.ones((5, 1)), (1,))
        assert np.isnan(got.cumulative).all() and got.rows.tolist() == [0]

    @pytest.mark.parametrize(
        ("shape", "horizons", "message"),
        [((5, 2), (1,), "equal"), ((5, 1), (1, 5), r"horizon 5 must lie in 1\.\.4"), ((5, 1), (0,), "horizon 0")],
    )
    def test_bad_input_says_what_to_do(self, shape, horizons, message):
        with refused(DataError, message):
            ic.decay(np.ones(shape), np.ones((5, 1)), horizons)
