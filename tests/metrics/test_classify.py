from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import classify as m
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
CASES = [(seed, classes, weighted) for seed in range(3) for classes in (2, 3, 4) for weighted in (False, True)]


def forecast(seed=0, rows=200, classes=3, weighted=False):
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet(np.ones(classes), rows)
    y = np.array([rng.choice(classes, p=p) for p in prob])
    return prob, y, rng.integers(0, 4, rows).astype(float) if weighted else None


@pytest.mark.parametrize(("seed", "classes", "weighted"), CASES)
def test_scores_agree_with_scikit_learn(seed, classes, weighted):
    sk = pytest.importorskip("sklearn.metrics")
    prob, y, w = forecast(seed, classes=classes, weighted=weighted)
    decision, labels = prob.argmax(1), list(range(classes))
    np.testing.assert_allclose(
        m.confusion(prob, y, w), sk.confusion_matrix(y, decision, labels=labels, sample_weight=w)
    )
    for ours, theirs in (
        (m.accuracy, sk.accuracy_score),
        (m.balanced_accuracy, sk.balanced_accuracy_score),
        (m.mcc, sk.matthews_corrcoef),
    ):
        assert ours(prob, y, w) == pytest.approx(theirs(y, decision, sample_weight=w), abs=1e-12)
    assert m.log_loss(prob, y, w) == pytest.approx(sk.log_loss(y, prob, labels=labels, sample_weight=w), abs=1e-12)
    if classes == 2:
        assert m.brier(prob, y, w) == pytest.approx(sk.brier_score_loss(y, prob[:, 1], sample_weight=w), abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "mcc", "log_loss", "brier", "ece"])
def test_a_weight_counts_like_repeated_rows(name):
    prob, y, w = forecast(weighted=True)
    repeated = np.repeat(np.arange(len(y)), w.astype(int))
    score = getattr(m, name)
    assert score(prob, y, weight=w) == pytest.approx(score(prob[repeated], y[repeated]), abs=1e-12)


def test_perfect_and_reversed_forecasts():
    prob, y = np.eye(2)[[0, 1, 1, 0]], np.array([0, 1, 1, 0])
    assert (m.accuracy(prob, y), m.mcc(prob, y), m.brier(prob, y), m.ece(prob, y)) == (1, 1, 0, 0)
    assert (m.accuracy(prob, 1 - y), m.mcc(prob, 1 - y), m.brier(prob, 1 - y), m.ece(prob, 1 - y)) == (0, -1, 1, 1)
    assert m.log_loss(prob, 1 - y) == pytest.approx(52 * np.log(2))


def test_brier_of_three_classes_is_half_the_squared_distance():
    assert m.brier([[0.5, 0.3, 0.2]], [0]) == pytest.approx((0.25 + 0.09 + 0.04) / 2)


def test_constant_forecast_has_no_skill():
    prob, y = np.tile([0.2, 0.5, 0.3], (10, 1)), np.array([0, 0, 1, 1, 1, 1, 1, 1, 2, 2])
    assert m.accuracy(prob, y) == 0.6
    assert m.balanced_accuracy(prob, y) == pytest.approx(1 / 3)
    assert np.isnan(m.mcc(prob, y))


def test_a_class_that_does_not_occur_is_left_out_of_balanced_accuracy():
    assert m.balanced_accuracy(np.eye(3)[[0, 1, 1]], [0, 1, 0]) == pytest.approx((1 / 2 + 1) / 2)


def test_ece_of_overconfidence_is_the_gap():
    prob = np.tile([0.9, 0.1], (100, 1))
    y = np.repeat([0, 1], [60, 40])
    assert m.ece(prob, y) == pytest.approx(0.3)
    confidence, frequency, count = m.reliability(prob, y)
    np.testing.assert_allclose([confidence, frequency, count], [[0.9], [0.6], [100]])


def test_ece_of_a_calibrated_forecast_is_small_and_of_a_sharpened_one_is_not():
    prob, y, _ = forecast(rows=20_000)
    sharp = prob**2 / (prob**2).sum(1, keepdims=True)
    assert m.ece(prob, y) < 0.02 < 0.08 < m.ece(sharp, y)


def test_reliability_bins_have_equal_mass_and_keep_the_totals():
    prob, y, _ = forecast(rows=200)
    confidence, frequency, count = m.reliability(prob, y, bins=8)
    np.testing.assert_array_equal(count, np.full(8, 25))
    assert (np.diff(confidence) > 0).all()
    assert confidence @ count == pytest.approx(prob.max(1).sum())
    assert frequency @ count / 200 == pytest.approx(m.accuracy(prob, y))


@QUICK
@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 20))
def test_equal_confidences_share_a_bin_whatever_the_order(seed, rows, bins):
    prob, y, _ = forecast(seed, rows)
    prob = np.eye(3)[prob.argmax(1)] * 0.25 + np.round(prob, 1) / np.round(prob, 1).sum(1, keepdims=True) * 0.75
    order = np.random.default_rng(seed).permutation(rows)
    for ours, permuted in zip(m.reliability(prob, y, bins), m.reliability(prob[order], y[order], bins), strict=True):
        np.testing.assert_allclose(ours, permuted, atol=1e-12)
    assert m.reliability(prob, y, bins)[2].sum() == rows


def test_equal_confidences_fall_into_the_bin_of_their_middle():
    prob = np.array([[0.6, 0.4], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    np.testing.assert_allclose(m.reliability(prob, [0, 0, 0, 1], bins=2), [[0.6, 0.9], [1, 2 / 3], [1, 3]])


def test_rows_without_weight_are_no_rows():
    prob, y, nothing = *forecast(rows=5)[:2], np.zeros(5)
    scores = [f(prob, y, weight=nothing) for f in (m.accuracy, m.balanced_accuracy, m.mcc, m.log_loss, m.brier, m.ece)]
    assert np.isnan(scores).all()
    assert np.isnan(m.coverage_curve(prob[:, 0], y == 0, [0.5, 1], nothing)).all()


def test_no_rows_are_nan():
    prob, y = np.empty((0, 2)), np.empty(0, int)
    assert all(np.isnan(f(prob, y)) for f in (m.accuracy, m.balanced_accuracy, m.mcc, m.log_loss, m.brier, m.ece))
    assert np.isnan(m.ic([], [])) and np.isnan(m.rank_ic([], []))
    assert np.isnan(m.coverage_curve([], [], [0.5, 1.0])).all()


COLUMNS = st.integers(3, 40).flatmap(
    lambda n: st.tuples(*[hnp.arrays(np.float64, n, elements=st.integers(-6, 6).map(lambda x: x / 4))] * 2)
)


@QUICK
@given(COLUMNS)
def test_correlations_agree_with_scipy_also_with_ties(columns):
    stats = pytest.importorskip("scipy.stats")
    score, ret = columns
    assume(np.ptp(score) > 0 and np.ptp(ret) > 0)
    assert m.ic(score, ret) == pytest.approx(stats.pearsonr(score, ret)[0], abs=1e-12)
    assert m.rank_ic(score, ret) == pytest.approx(stats.spearmanr(score, ret)[0], abs=1e-12)
    assert m.rank_ic(np.exp(score), ret**3) == pytest.approx(m.rank_ic(score, ret), abs=1e-12)


def test_constant_score_has_no_information():
    assert np.isnan(m.ic([0.1] * 3, [1, 2, 3])) and np.isnan(m.rank_ic([1, 2, 3], [0.1] * 3))


def accuracy_over_all_orders_of_ties(confidence, correct, taken):
    orders = [o for o in permutations(range(len(correct))) if (np.diff(confidence[list(o)]) <= 0).all()]
    return np.mean([correct[list(o[:taken])].mean() for o in orders])


@pytest.mark.parametrize("seed", range(6))
def test_coverage_is_the_mean_over_all_orders_of_equal_confidences(seed):
    rng = np.random.default_rng(seed)
    confidence, correct = rng.choice([0.5, 0.6, 0.7], 6), rng.integers(0, 2, 6).astype(float)
    curve = m.coverage_curve(confidence, correct, np.arange(1, 7) / 6)
    expected = [accuracy_over_all_orders_of_ties(confidence, correct, taken) for taken in range(1, 7)]
    np.testing.assert_allclose(curve, expected, atol=1e-12)


def test_coverage_takes_the_most_confident_first():
    curve = m.coverage_curve([0.6, 0.9, 0.7, 0.8], [0, 1, 0, 1], [0.25, 0.5, 0.75, 0.625, 1])
    np.testing.assert_allclose(curve, [1, 1, 2 / 3, 2 / 2.5, 0.5])


SCORED = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.integers(50, 60).map(lambda x: x / 100)),
        hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])),
        hnp.arrays(np.float64, n, elements=st.integers(0, 3).map(float)),
    )
)


@QUICK
@given(SCORED, st.floats(0.01, 1), st.integers(0, 99))
def test_the_curve_does_not_depend_on_the_order_of_rows_and_ends_at_the_accuracy(scored, coverage, seed):
    confidence, correct, weight = scored
    assume(weight.sum() > 0)
    curve = m.coverage_curve(confidence, correct, [coverage, 1], weight)
    assert curve[1] == pytest.approx(np.average(correct, weights=weight))
    order = np.random.default_rng(seed).permutation(len(correct))
    permuted = m.coverage_curve(confidence[order], correct[order], [coverage, 1], weight[order])
    np.testing.assert_allclose(permuted, curve, atol=1e-12)


def test_top_label_feeds_the_curve():
    confidence, correct = m.top_label([[0.6, 0.4], [0.1, 0.9]], [1, 1])
    np.testing.assert_array_equal([confidence, correct], [[0.6, 0.9], [0, 1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.accuracy([[0.5, 0.5]], [-1]), DataError, "y row 0 is -1"),
        (lambda: m.accuracy([[0.5, 0.5]], [2]), DataError, r"0\.\.1"),
        (lambda: m.accuracy([[0.5, 0.5]], [0.5]), DataError, "y row 0"),
        (lambda: m.accuracy([[0.5, 0.5], [2.0, -1.0]], [0, 0]), DataError, "row 1 is not a distribution"),
        (lambda: m.accuracy([[0.5, 0.9]], [0]), DataError, "not a distribution"),
        (lambda: m.accuracy([[np.nan, 0.5]], [0]), DataError, "not a distribution"),
        (lambda: m.accuracy([0.5, 0.5], [0, 0]), DataError, r"\[M, K\]"),
        (lambda: m.accuracy([[0.5, 0.5]], [0], [-1]), DataError, "weight row 0"),
        (lambda: m.accuracy([[0.5, 0.5]], [0], [1, 1]), DataError, "weight must be"),
        (lambda: m.ic([1, np.nan], [1, 2]), DataError, "score row 1"),
        (lambda: m.ic([1, 2], [1, 2, 3]), DataError, "ret must be"),
        (lambda: m.reliability([[0.5, 0.5]], [0], bins=0), ConfigError, "bins"),
        (lambda: m.coverage_curve([0.5], [1], [0.0]), ConfigError, "coverages"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
