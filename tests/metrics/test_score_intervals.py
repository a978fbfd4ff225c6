"""Intervals of scores: against the scores of rows that were really resampled, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import bootstrap, classify, score_intervals
from tests.helpers.refusals import refused

SCORES = ("accuracy", "balanced_accuracy", "mcc", "log_loss", "brier")


def forecasts(rows: int = 400, classes: int = 3, blocks: int = 12, seed: int = 0, sharp: float = 1.0):
    """Probabilities, classes drawn from them (from flatter ones if `sharp` > 1) and blocks of unequal size."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, classes))
    prob, true = (np.exp(s * logits) / np.exp(s * logits).sum(1, keepdims=True) for s in (sharp, 1.0))
    y = (rng.random((rows, 1)) > true.cumsum(1)[:, :-1]).sum(1)
    return prob, y, np.sort(rng.integers(0, blocks, rows)) * 7 + 3


def drawn(block, samples: int, seed: int):
    """Rows of each resample of blocks, drawn as the bootstrap draws them."""
    names = np.unique(block)
    of = [np.flatnonzero(block == b) for b in names]
    chosen = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    return [np.concatenate([of[b] for b in row]) for row in chosen]


@pytest.mark.parametrize("classes, sharp", [(2, 1.0), (3, 1.0), (3, 3.0)])
def test_they_are_percentiles_of_the_scores_of_resampled_rows(classes, sharp):
    prob, y, block = forecasts(classes=classes, sharp=sharp)
    found = score_intervals.of_classes(prob, y, block, samples=60, level=0.8, seed=5)
    resamples = drawn(block, 60, 5)
    for name in SCORES:
        values = [getattr(classify, name)(prob[rows], y[rows]) for rows in resamples]
        np.testing.assert_allclose(found[name], np.quantile(values, [0.1, 0.9]), rtol=1e-9, err_msg=name)
    bins = classify.equal_mass(prob.max(1), score_intervals.BINS)
    gap = (prob.argmax(1) == y) - prob.max(1)
    errors = [np.abs(np.bincount(bins[rows], gap[rows])).sum() / len(rows) for rows in resamples]
    low, high = 2 * classify.ece(prob, y) - np.quantile(errors, [0.9, 0.1])
    own = np.bincount(bins, gap)
    noise = [np.abs(np.bincount(bins[rows], gap[rows]) - own).sum() / len(rows) for rows in resamples]
    beyond = classify.ece(prob, y) > np.quantile(noise, 0.9)
    np.testing.assert_allclose(found["ece"], (max(low, 0) if beyond else 0, max(high, 0)), atol=1e-12)
    assert beyond or sharp == 1


def test_correlations_are_percentiles_of_resampled_rows_too():
    rng = np.random.default_rng(1)
    score, ret = rng.normal(size=(2, 300))
    ret, block = ret + 0.3 * score + 5, np.arange(300) // 20
    found = score_intervals.of_orders(score, ret, block, samples=50, level=0.9, seed=2)
    resamples = drawn(block, 50, 2)
    values = [classify.ic(score[rows], ret[rows]) for rows in resamples]
    np.testing.assert_allclose(found["ic"], np.quantile(values, [0.05, 0.95]), rtol=1e-9)
    place = [x.argsort().argsort() for x in (score, ret)]
    values = [classify.ic(place[0][rows], place[1][rows]) for rows in resamples]
    np.testing.assert_allclose(found["rank_ic"], np.quantile(values, [0.05, 0.95]), rtol=1e-9)
    assert found["rank_ic"][0] < classify.rank_ic(score, ret) < found["rank_ic"][1]


def test_nineteen_of_twenty_hold_the_truth():
    """Of scores whose truth is known from very many rows; the calibration error with and without one."""
    for sharp in (1.0, 3.0):
        prob, y, _ = forecasts(200_000, sharp=sharp)
        truth = {name: getattr(classify, name)(prob, y) for name in (*SCORES, "ece")}
        truth["ece"] *= sharp != 1  # of forecasts that the classes are drawn from it is 0
        held = dict.fromkeys(truth, 0)
        for seed in range(1, 101):
            made = score_intervals.of_classes(*forecasts(2_000, blocks=40, seed=seed, sharp=sharp), samples=200)
            for name, (low, high) in made.items():
                held[name] += low <= truth[name] <= high
        assert all(82 <= held[name] <= 99 for name in truth), (sharp, held)


def test_what_cannot_be_resampled():
    prob, y, block = forecasts()
    one = score_intervals.of_classes(prob, y, np.zeros(len(y)), samples=10)
    assert set(one) == {*SCORES, "ece"} and np.isnan(list(one.values())).all()
    assert np.isnan(list(score_intervals.of_orders(y, y, np.zeros(len(y))).values())).all()
    with refused(DataError, r"block_id must be one column of 400 rows \[M\], got shape \(399,\)"):
        score_intervals.of_classes(prob, y, block[:-1])
    with pytest.raises(ConfigError, match="samples 0 must be at least 1"):
        score_intervals.of_classes(prob, y, block, samples=0)


def test_a_score_that_is_undefined_has_no_interval():
    prob, block = np.tile([0.4, 0.6], (20, 1)), np.arange(20) // 4
    found = score_intervals.of_classes(prob, np.ones(20, int), block, samples=20)
    assert np.isnan(found["mcc"]).all() and found["accuracy"] == (1, 1)
    flat = score_intervals.of_orders(np.zeros(20), np.arange(20), block, samples=20)
    assert np.isnan(flat["ic"]).all() and np.isnan(flat["rank_ic"]).all()


def test_the_same_seed_gives_the_same_intervals():
    parts = forecasts()
    first, again, other = (score_intervals.of_classes(*parts, samples=30, seed=s) for s in (1, 1, 2))
    assert first == again and first != other
    assert bootstrap.ratio_interval(
        classify.negative_log_likelihood(*parts[:2]), np.ones(400), parts[2], 30, seed=1
    ) == pytest.approx(first["log_loss"], rel=1e-12)
