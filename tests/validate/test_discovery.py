"""False discovery rates against references, and the size and power of the tests over many simulated markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom, kstest

from fxtrade.core.errors import DataError
from fxtrade.metrics import ic
from fxtrade.validate import discovery

ROWS, ASSETS = 1500, 2


def persistent(rng, rows: int, persistence: float) -> np.ndarray:
    """AR(1) columns `[rows, ASSETS]` of unit variance, correlated over assets."""
    shocks = 0.6 * rng.standard_normal((rows + 500, ASSETS)) + 0.8 * rng.standard_normal((rows + 500, 1))
    return lfilter([np.sqrt(1 - persistence**2)], [1, -persistence], shocks, axis=0)[500:]


def market(seed: int, horizon: int, persistence: float, shared_volatility: float = 0.0, signal: float = 0.0):
    """Standardised ranks `[ASSETS, ROWS]` of a feature and of the overlapping forward returns of a random walk.

    With `shared_volatility` one slow process scales both, so that they are large together with independent signs.
    """
    rng = np.random.default_rng(seed)
    f = persistent(rng, ROWS, persistence)
    volatility = np.exp(shared_volatility * persistent(rng, ROWS + horizon, 0.98)[:, :1])
    step = volatility * 0.6 * rng.standard_normal((ROWS + horizon, ASSETS))
    step += volatility * 0.8 * rng.standard_normal((ROWS + horizon, 1))
    step[:ROWS] += signal * f
    path = np.cumsum(np.concatenate([np.zeros((1, ASSETS)), step]), 0)
    r = path[horizon : ROWS + horizon] - path[:ROWS]
    f = f * volatility[:ROWS]
    return (np.stack([ic.standard_ranks(c) for c in x.T]) for x in (f, r))


def p_values(f: np.ndarray, r: np.ndarray, horizon: int, least: int = 150) -> tuple[float, float]:
    """Compute p by shifts and by blocks, as the feature study does."""
    rows = f.size
    mask = ic.spectrum(np.ones_like(f))
    scale = discovery.shift_scale(ic.all_lags(mask, mask), rows, least)
    null = discovery.shift_null(ic.all_lags(ic.spectrum(f), ic.spectrum(r)), scale)
    block = np.arange(ROWS) // max(24, 4 * (horizon + 1))
    sums = np.bincount(block, (f * r).sum(0))
    return discovery.shift_p((f * r).mean(), null), float(discovery.block_p(sums[:, None])[0])


def combined(p_shift: float, p_block: float) -> float:
    return np.fmax(p_shift, p_block)


class TestSize:
    """Without a relation the share of p < 0.05 is 5 %, up to chance."""

    @pytest.mark.parametrize("horizon", [1, 16])
    def test_persistent_features_and_overlapping_returns(self, horizon):
        count = 300
        p = np.array([p_values(*market(seed, horizon, 0.95), horizon) for seed in range(count)])
        assert binom.cdf((p[:, 0] < 0.05).sum(), count, 0.05) < 0.999  # the shifts alone
        assert binom.cdf((p[:, 1] < 0.05).sum(), count, 0.05) < 0.999  # the blocks alone
        both = np.array([combined(*pair) for pair in p])
        assert binom.cdf((both < 0.05).sum(), count, 0.05) < 0.99
        assert binom.cdf((both < 0.05).sum(), count, 0.02) > 0.01  # and the test is not just conservative

    def test_a_test_for_independent_rows_has_the_wrong_size(self):
        """The test above has power: Spearman's own p-value fails it."""
        horizon, z = 16, []
        for seed in range(100):
            f, r = market(seed, horizon, 0.95)
            z.append(abs((f * r).mean()) * np.sqrt(f.size))
        assert np.mean(np.array(z) > 1.96) > 0.4

    def test_shared_volatility_needs_the_blocks(self):
        """Column and return are large together: the shifts have the wrong size, both tests together do not."""
        count = 300
        p = np.array([p_values(*market(seed, 1, 0.5, shared_volatility=1.0), 1) for seed in range(count)])
        assert binom.cdf((p[:, 0] < 0.05).sum(), count, 0.05) > 0.999
        both = [combined(*pair) for pair in p]
        assert binom.cdf((np.array(both) < 0.05).sum(), count, 0.05) < 0.99

    def test_slow_columns_in_a_trend_need_the_shifts(self):
        """Dependence outlasts every block: the blocks have the wrong size, the shifts do not."""
        found = []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            f, r = (np.stack([ic.standard_ranks(c) for c in persistent(rng, ROWS, 0.97).T]) for _ in range(2))
            found.append([p < 0.05 for p in p_values(f, r, 1)])
        shift, block = np.sum(found, 0)
        assert binom.cdf(block, 200, 0.05) > 0.999 and block > 2 * shift

    def test_p_values_of_blocks_are_uniform(self):
        sums = np.random.default_rng(0).standard_normal((200, 2000)) * np.linspace(0.5, 2, 200)[:, None]
        assert kstest(discovery.block_p(sums), "uniform").pvalue > 0.01


class TestPower:
    @pytest.mark.parametrize("horizon", [1, 16])
    def test_a_relation_is_found(self, horizon):
        p = [combined(*p_values(*market(seed, horizon, 0.95, signal=0.15), horizon)) for seed in range(20)]
        assert np.mean(np.array(p) < 0.01) > 0.7


class TestShifts:
    def test_all_lags_are_scaled_to_the_ic_of_all_rows(self):
        """White columns: every shifted IC is about as wide as 1 / sqrt(rows), with gaps or without."""
        rng = np.random.default_rng(0)
        for missing in (0.0, 0.5):
            f, r = rng.standard_normal((2, 1, 20_000))
            mask = (rng.random((1, 20_000)) >= missing).astype(float)
            spectrum = ic.spectrum(mask)
            scale = discovery.shift_scale(ic.all_lags(spectrum, spectrum), int(mask.sum()), 100)
            null = discovery.shift_null(ic.all_lags(ic.spectrum(f * mask), ic.spectrum(r * mask)), scale)
            assert null.quantile == pytest.approx(1.96 / np.sqrt(mask.sum()), rel=0.05)

    def test_shifts_that_are_short_or_meet_few_rows_are_left_out(self):
        overlap = np.array([100.0, 90, 80, 70, 20, 70, 80, 90])
        assert (discovery.shift_scale(overlap, 100, 2) > 0).tolist() == [0, 0, 1, 1, 0, 1, 1, 0]
        assert not discovery.shift_scale(overlap, 100, 5).any()

    def test_number_of_independent_shifts(self):
        rng = np.random.default_rng(0)
        scale = np.ones(20_000)
        white = discovery.shift_null(rng.standard_normal(20_000), scale).shifts
        assert white == pytest.approx(20_000, rel=0.05)
        x = lfilter([1], [1, -0.9], rng.standard_normal(20_000))
        # autocorrelations 0.9^|k|: the sum of their squares is (1 + 0.81) / (1 - 0.81)
        assert discovery.shift_null(x, scale).shifts == pytest.approx(20_000 * 0.19 / 1.81, rel=0.15)

    def test_a_periodic_column_has_no_quantile(self):
        null = discovery.shift_null(np.sin(2 * np.pi * np.arange(2400) / 24), np.ones(2400))
        assert null.shifts < 10 and np.isnan(null.quantile)
        assert np.isnan(discovery.shift_p(0.5, null))

    def test_columns_of_zeros(self):
        assert np.isnan(discovery.shift_null(np.zeros(100), np.ones(100)).quantile)
        assert np.isnan(discovery.shift_null(np.ones(100), np.zeros(100)).quantile)

    def test_p_at_the_quantile_is_five_percent(self):
        assert discovery.shift_p(0.02, discovery.ShiftNull(0.02, 1e9)) == pytest.approx(0.05)
        assert discovery.shift_p(-0.02, discovery.ShiftNull(0.02, 60)) > 0.05


class TestBlocks:
    def test_fewer_than_two_or_empty_blocks_are_nan(self):
        assert np.isnan(discovery.block_p(np.ones((1, 3)))).all()
        np.testing.assert_array_equal(np.isnan(discovery.block_p(np.array([[1.0, 0], [2.0, 0]]))), [False, True])

    def test_sign_and_scale_do_not_matter(self):
        sums = np.random.default_rng(0).standard_normal((20, 4)) + 0.3
        np.testing.assert_allclose(discovery.block_p(-7 * sums), discovery.block_p(sums))


class TestFalseDiscoveryRate:
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
    def test_statsmodels(self, p):
        multitest = pytest.importorskip("statsmodels.stats.multitest")
        found, q, *_ = multitest.multipletests(p, 0.05, "fdr_bh")
        made = discovery.benjamini_hochberg(p)
        np.testing.assert_allclose(made, q, rtol=1e-12, atol=1e-300)

    def test_by_hand(self):
        q = discovery.benjamini_hochberg([0.04, 0.01, 0.03, 0.5])
        np.testing.assert_allclose(q, [0.16 / 3, 0.04, 0.16 / 3, 0.5])

    def test_undefined_tests_do_not_count(self):
        p = np.array([[0.01, np.nan], [0.04, np.nan]])
        np.testing.assert_allclose(discovery.benjamini_hochberg(p), [[0.02, np.nan], [0.04, np.nan]])
        assert np.isnan(discovery.benjamini_hochberg([np.nan])).all()
        assert discovery.benjamini_hochberg([]).size == 0

    @pytest.mark.parametrize("p", [[-0.1], [1.1]])
    def test_invalid_p_values(self, p):
        with pytest.raises(DataError, match="between 0 and 1"):
            discovery.benjamini_hochberg(p)
