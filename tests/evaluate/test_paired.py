from __future__ import annotations

import numpy as np
import pytest

from fxtrade.evaluate import paired
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.metrics import bootstrap
from fxtrade.validate import discovery


def sums(share: float, seed: int, probable: bool = True, days: int = 60) -> DailySums:
    rng = np.random.default_rng(seed)
    count = np.full((1, 2, days), 50)
    correct = rng.binomial(count, share)
    return DailySums(correct, count, *((0.7 * count[0, 0] - 0.01 * correct[0, 0], count[0, 0]) if probable else ()))


def test_differences_are_those_of_the_bootstrap_corrected_jointly():
    own, rivals = sums(0.55, 0), {"line": sums(0.54, 1), "trees": sums(0.6, 2), "rule": sums(0.5, 3, probable=False)}
    made = paired.differences(own, rivals, (1.0, 0.1), seed=4, samples=100)
    tests = [t for d in made.values() for t in (*d.accuracy.values(), d.log_loss) if t]
    np.testing.assert_allclose([t.q for t in tests], discovery.benjamini_hochberg([t.p for t in tests]))
    trees = rivals["trees"]
    expected = bootstrap.paired_difference(
        (own.correct[0, 1], own.count[0, 1]), (trees.correct[0, 1], trees.count[0, 1]), 100, seed=4
    )
    got = made["trees"].accuracy[0.1]
    assert (got.value, got.low, got.high, got.p) == pytest.approx(tuple(expected))
    assert got.high < 0 and made["trees"].log_loss.high < 0 and made["rule"].log_loss is None
