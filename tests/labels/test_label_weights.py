"""Average uniqueness: published numbers, brute force, and what a weight may look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import labels
from fxtrade.core.config import LabelConfig
from fxtrade.core.types import Bars
from fxtrade.labels import LABELS
from fxtrade.labels.weights import average_uniqueness, known_at, reweight_classes
from tests.helpers.markets import bars, gap

OPTIONS = {"volatility_direction": {"median_window": 20}, "triple_barrier": {"volatility_window": 20}}


def test_published_numbers():
    """Lopez de Prado (2018), 4.5.3: labels on bars {1-3}, {3-4}, {5-6}."""
    made = average_uniqueness(np.array([1, 3, 5]), np.array([3, 4, 6]), 7)
    np.testing.assert_allclose(made, [5 / 6, 0.75, 1.0])
    np.testing.assert_allclose(made[0], 0.8333, atol=5e-5)


def brute_force(first, last, n):
    alive = [sum(a <= t <= b for a, b in zip(first, last, strict=True)) for t in range(n)]
    return [np.mean([1 / alive[t] for t in range(a, b + 1)]) for a, b in zip(first, last, strict=True)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), min_size=1, max_size=12))
def test_brute_force(spans):
    first = np.array([a for a, _ in spans])
    last = first + [size for _, size in spans]
    made = average_uniqueness(first, last, 30)
    np.testing.assert_allclose(made, brute_force(first, last, 30), rtol=1e-12)
    assert (0 < made).all() and (made < 1 + 1e-12).all()


def test_no_labels():
    assert average_uniqueness(np.array([], int), np.array([], int), 5).shape == (0,)


def test_labels_alone_on_their_bars_are_unique():
    np.testing.assert_array_equal(average_uniqueness(np.arange(5), np.arange(5), 5), 1)


@pytest.mark.parametrize("h", [1, 2, 5])
def test_labels_on_every_bar_share_with_h_others(h):
    w = labels.make(bars(60), LabelConfig("open_to_open", h)).w
    inside = slice(h, 60 - 2 * h - 1)
    np.testing.assert_allclose(w[inside], 1 / h, rtol=1e-6)
    assert h == 1 or (w[0] > 1 / h).all()


def test_each_asset_counts_its_own_labels():
    market = gap(bars(60), slice(20, 40), 0)
    w = labels.make(market, LabelConfig("open_to_open", 3)).w
    assert w[18, 0] == 0 and w[15, 0] > w[15, 1]
    alone = labels.make(bars(60), LabelConfig("open_to_open", 3)).w
    np.testing.assert_array_equal(w[:, 1], alone[:, 1])


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("t", [20, 50, 90])
def test_a_weight_looks_no_further_than_the_labels_beside_it(name, t, h=4, n=120):
    """Labels are no features: the weight of row t counts the labels that share bars with it, the last of which starts
    h - 1 rows later and ends h - 1 rows after the end of t. Nothing after that may change it.
    """
    config, market = LabelConfig(name, h, options=OPTIONS.get(name, {})), bars(n)
    made = labels.make(market, config)
    last = int(made.end[t].max()) + h - 1
    after = labels.make(gap(market, np.arange(n) > last), config)
    np.testing.assert_array_equal(after.w[t], made.w[t])
    if not LABELS[name].path_dependent:
        np.testing.assert_array_equal(after.w[:t], made.w[:t])
        nearer = labels.make(gap(market, np.arange(n) >= last), config)
        assert (nearer.w[t] != made.w[t]).all()


class TestClassBalanced:
    @given(st.integers(0, 100), st.sampled_from([2, 3]))
    def test_every_class_weighs_the_same_and_all_of_them_what_they_did(self, seed, classes):
        rng = np.random.default_rng(seed)
        y = rng.choice(np.arange(-1, classes), (90, 2), p=rng.dirichlet(np.full(classes + 1, 3.0))).astype(np.int32)
        w = np.where(y >= 0, rng.random(y.shape), 0).astype(np.float32)
        y[:classes, 0], w[:classes, 0], rows = np.arange(classes), 0.5, np.arange(90) < 60
        made = reweight_classes(y, w, rows, 1.0)
        assert made.dtype == np.float32
        sums = [made[rows][y[rows] == k].sum() for k in range(classes)]
        np.testing.assert_allclose(sums, w[rows].sum() / classes, rtol=1e-5)
        for k in range(classes):  # one factor for each class, in the rows that were not counted too
            factors = made[(y == k) & (w > 0)] / w[(y == k) & (w > 0)]
            np.testing.assert_allclose(factors, factors[0], rtol=1e-5)
        assert (made[w == 0] == 0).all()

    def test_a_class_that_never_occurs_in_training(self):
        y, w = np.array([[0], [0], [2], [1], [-1]]), np.array([[1], [1], [1], [1], [0]], np.float32)
        made = reweight_classes(y, w, np.array([True, True, True, False, False]), 1.0)
        np.testing.assert_allclose(made[:, 0], [0.75, 0.75, 1.5, 1, 0])

    @given(
        st.integers(0, 100), st.sampled_from([None, 0.5, 0.99, 0.9999, 1.0]), st.sampled_from([None, (1.0, 3.0, 0.5)])
    )
    def test_by_the_effective_number_of_each_class_and_its_alpha(self, seed, beta, alpha):
        """Cui et al. (2019), eq. 2, counted one sample at a time: E_n = 1 + beta E_{n-1}."""
        rng = np.random.default_rng(seed)
        y, rows = rng.choice(3, (60, 2), p=[0.7, 0.2, 0.1]), np.arange(60) < 50
        y[:3, 0] = np.arange(3)
        w = np.ones(y.shape, np.float32)
        made, effective = reweight_classes(y, w, rows, beta, alpha), np.zeros(3)
        for k in y[rows].ravel():
            effective[k] = 1 + (beta or 0) * effective[k]
        factor = np.array(alpha or (1, 1, 1)) / effective
        np.testing.assert_allclose(made[0, 0] / made[1, 0], factor[y[0, 0]] / factor[y[1, 0]], rtol=1e-4)
        np.testing.assert_allclose(made, (factor * made[0, 0] / factor[y[0, 0]])[y], rtol=1e-4)
        np.testing.assert_allclose(made[rows].sum(), w[rows].sum(), rtol=1e-5)

    def test_nothing_asked_for_changes_nothing(self):
        y, w = np.array([[0, 1], [2, -1]]), np.array([[0.3, 0.7], [0.1, 0]], np.float32)
        np.testing.assert_allclose(reweight_classes(y, w, np.array([True, True])), w, rtol=1e-6)


def test_a_label_settles_with_the_last_that_overlaps_it():
    """Weights of rows that have settled by t are the same when only the bars before t are there."""
    rng = np.random.default_rng(1)
    price = 100 * np.exp(np.cumsum(rng.standard_normal((80, 1)), 0) / 50)
    for name in LABELS:
        for horizon in (1, 3, 6):
            config = LabelConfig(name, horizon, options={k: 10 for k in OPTIONS.get(name, {})})

            def made(last, config=config):
                p = np.where(np.arange(80)[:, None] < last, price, np.nan).astype(np.float32)
                with_gap = p.copy()
                with_gap[20:22] = np.nan
                return labels.make(of_closes(with_gap), config)

            whole = made(80)
            known = known_at(whole.end)
            assert (known >= whole.end[:, 0]).all()
            assert LABELS[name].path_dependent or (np.diff(known) >= 0).all()
            for t in (30, 47, 60):
                rows = known < t
                assert t - rows.sum() <= 2 * horizon + 2
                np.testing.assert_array_equal(made(t).w[rows], whole.w[rows])
                np.testing.assert_array_equal(made(t).y[rows], whole.y[rows])


def of_closes(price):
    second = np.zeros(len(price), np.int32)
    return Bars(price, price, price, price, np.ones_like(price), np.isfinite(price), second)
