from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fxtrade.core.config import ReportConfig
from fxtrade.core.types import Bars, Forecast, Labels
from fxtrade.data.bars import Panel
from fxtrade.evaluate import accuracy
from fxtrade.metrics import bootstrap
from fxtrade.pipeline.baselines import Prediction

N, ASSETS, HOUR = 400, 2, 3_600 * 10**9
CONFIG = ReportConfig(coverages=(1.0, 0.5, 0.1), bootstrap_samples=50)
TIMES = 1_704_067_200 * 10**9 + HOUR * np.arange(N)
VALID = (np.arange(N) >= 150) & (np.arange(N) < 250)
TEST = np.arange(N) >= 252


def case(seed: int = 0, skill: float = 0.5, classes: int = 2) -> tuple[Prediction, Labels]:
    """A prediction that is right more often where it is surer; some rows have no label or no prediction."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, (N, ASSETS))
    sure = rng.random((N, ASSETS))
    knows = rng.random((N, ASSETS)) < skill * sure
    guess = np.where(knows, y, rng.integers(0, classes, (N, ASSETS)))
    y = np.where(rng.random((N, ASSETS)) < 0.1, -1, y).astype(np.int32)
    ret = np.where(y >= 0, rng.normal(0, 0.01, (N, ASSETS)) + 0.01 * (y - 0.5), 0).astype(np.float32)
    ok = rng.random((N, ASSETS)) < 0.9
    labels = Labels(y, ret, np.zeros(y.shape, np.int32), (y >= 0).astype(np.float32))
    return Prediction(guess, sure, ok), labels


def table(prediction, labels, config=CONFIG, seed=0):
    return accuracy.coverage_table(prediction, labels, VALID, TEST, TIMES, config, seed)


class TestCoverageTable:
    @given(st.integers(0, 100))
    def test_row_by_row(self, seed):
        prediction, labels = case(seed)
        for row, target in zip(table(prediction, labels), CONFIG.coverages, strict=True):
            before = sorted(
                prediction.confidence[t, a]
                for t in np.flatnonzero(VALID)
                for a in range(ASSETS)
                if prediction.ok[t, a] and labels.y[t, a] >= 0
            )
            floor = -np.inf if target == 1 else np.quantile(before, 1 - target)
            hits, count, labelled = 0, 0, 0
            for t in np.flatnonzero(TEST):
                for a in range(ASSETS):
                    labelled += labels.y[t, a] >= 0
                    if labels.y[t, a] >= 0 and prediction.ok[t, a] and prediction.confidence[t, a] >= floor:
                        count += 1
                        hits += prediction.y[t, a] == labels.y[t, a]
            assert row["target"] == target and row["rows"] == count
            assert row["coverage"] == pytest.approx(count / labelled)
            assert row["accuracy"] == pytest.approx(hits / count)
            assert row["low"] <= row["accuracy"] <= row["high"]

    def test_surer_is_righter_where_there_is_skill(self):
        rows = table(*case(skill=1.0))
        assert rows[0]["accuracy"] < rows[1]["accuracy"] < rows[2]["accuracy"]

    def test_the_threshold_is_that_of_the_validation_rows(self):
        """How sure the test rows are does not move it; how sure the validation rows are does."""
        prediction, labels = case()
        surer = prediction._replace(confidence=np.where(TEST[:, None], 2.0, prediction.confidence))
        assert [r["coverage"] for r in table(surer, labels)] == [table(surer, labels)[0]["coverage"]] * 3
        unsure = prediction._replace(confidence=np.where(VALID[:, None], 2.0, prediction.confidence))
        assert [r["rows"] for r in table(unsure, labels)][1:] == [0, 0]
        assert np.isnan(table(unsure, labels)[1]["accuracy"])

    def test_labels_outside_the_test_span_do_not_count(self):
        prediction, labels = case()
        other = labels.replace(y=np.where(TEST[:, None] | (labels.y < 0), labels.y, 1 - labels.y))
        assert table(prediction, other) == table(prediction, labels)

    def test_the_interval_is_that_of_whole_blocks(self):
        """All rows of a day right or wrong together: much wider than rows by themselves would be."""
        prediction, labels = case()
        right = ((TIMES // (24 * HOUR)) % 2 == 0)[:, None]
        y = np.where(right, np.maximum(labels.y, 0), 1 - np.maximum(labels.y, 0))
        together = prediction._replace(y=y)
        more = dataclasses.replace(CONFIG, bootstrap_samples=500)
        day, hour = (table(together, labels, dataclasses.replace(more, bootstrap_block=b))[0] for b in ("1d", "1h"))
        assert day["high"] - day["low"] > 2 * (hour["high"] - hour["low"])

    def test_the_seed_makes_the_interval(self):
        assert table(*case()) == table(*case())
        assert table(*case(), seed=1)[0]["low"] != table(*case())[0]["low"]


class TestScores:
    @pytest.mark.parametrize("classes", [2, 3])
    def test_against_scikit_learn(self, classes):
        _, labels = case(classes=classes)
        rng = np.random.default_rng(1)
        prob = rng.dirichlet(np.ones(classes), (N, ASSETS)).astype(np.float32)
        ok = rng.random((N, ASSETS)) < 0.8
        got = accuracy.scores(Forecast(prob, ok), labels, TEST)
        rows = ok & (labels.y >= 0) & TEST[:, None]
        p, y = prob[rows].astype(np.float64), labels.y[rows]
        p /= p.sum(1, keepdims=True)
        guess = p.argmax(1)
        assert got["rows"] == rows.sum()
        assert got["accuracy"] == pytest.approx(metrics.accuracy_score(y, guess))
        assert got["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, guess))
        assert got["mcc"] == pytest.approx(metrics.matthews_corrcoef(y, guess))
        assert got["log_loss"] == pytest.approx(metrics.log_loss(y, p))
        tilt = p[:, -1] - p[:, 0]
        assert got["ic"] == pytest.approx(np.corrcoef(tilt, labels.ret[rows])[0, 1], rel=1e-6)
        assert got["curve"]["coverage"][-1] == 1 and got["curve"]["accuracy"][-1] == pytest.approx(got["accuracy"])
        assert sum(got["reliability"]["count"]) == rows.sum()

    def test_intervals_are_of_days_and_around_the_scores(self):
        _, labels = case()
        rng = np.random.default_rng(1)
        made = Forecast(rng.dirichlet(np.ones(2), (N, ASSETS)), rng.random((N, ASSETS)) < 0.8)
        scores = accuracy.scores(made, labels, TEST)
        got = accuracy.score_intervals(made, labels, TEST, TIMES, CONFIG, 3)
        assert set(got) == set(scores) - {"rows", "curve", "reliability"}
        assert all(low <= scores[name] <= high for name, (low, high) in got.items())
        rows = made.ok & (labels.y >= 0) & TEST[:, None]
        day = np.broadcast_to((TIMES // (86_400 * 10**9))[:, None], rows.shape)[rows]
        right = (made.prob.argmax(-1) == labels.y)[rows]
        expected = bootstrap.ratio_interval(right, np.ones(len(day)), day, CONFIG.bootstrap_samples, seed=3)
        assert got["accuracy"] == pytest.approx(expected, rel=1e-12)

    def test_only_test_rows_count(self):
        _, labels = case()
        prob = np.random.default_rng(1).dirichlet(np.ones(2), (N, ASSETS))
        made = Forecast(prob, np.ones((N, ASSETS), bool))
        other = Forecast(np.where(TEST[:, None, None], prob, 0.5), made.ok)
        assert accuracy.scores(made, labels, TEST) == accuracy.scores(other, labels, TEST)


def test_groups_are_symbols_and_months():
    prediction, labels = case()
    times = np.datetime64("2024-01-25T00", "ns").astype(np.int64) + HOUR * np.arange(N)
    nothing = np.zeros((N, ASSETS))
    panel = Panel(Bars(*[nothing] * 7), times, ("A", "B"), HOUR, "")
    made = accuracy.grouped(prediction, labels, TEST, panel, CONFIG, 0)
    counted = prediction.ok & (labels.y >= 0) & TEST[:, None]
    right = prediction.y == labels.y
    assert [g["name"] for g in made["symbol"]] == ["A", "B"]
    for a, group in enumerate(made["symbol"]):
        assert group["rows"] == counted[:, a].sum()
        assert group["accuracy"] == pytest.approx(right[:, a][counted[:, a]].mean())
    assert [g["name"] for g in made["month"]] == ["2024-02"]
    assert made["month"][0]["rows"] == counted.sum()
    longer = accuracy.grouped(prediction, labels, np.ones(N, bool), panel, CONFIG, 0)["month"]
    assert [g["name"] for g in longer] == ["2024-01", "2024-02"]
    january = counted_in(prediction, labels, times < np.datetime64("2024-02-01", "ns").astype(np.int64))
    assert longer[0]["rows"] == january.sum() and longer[0]["accuracy"] == pytest.approx(right[january].mean())


def counted_in(prediction, labels, rows):
    return prediction.ok & (labels.y >= 0) & rows[:, None]


def test_zero_moves_of_the_test_rows():
    _, labels = case()
    ret = np.ones((N, ASSETS), np.float32)
    ret[TEST.argmax() : TEST.argmax() + 37, 0] = 0
    ret[: TEST.argmax()] = 0
    ret[-2:] = np.nan
    assert accuracy.zero_moves(labels.replace(ret=ret), TEST) == pytest.approx(37 / (2 * (TEST.sum() - 2)))
    assert np.isnan(accuracy.zero_moves(labels.replace(ret=np.full_like(ret, np.nan)), TEST))
