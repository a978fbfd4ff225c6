from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fxtrade.core.config import ReportConfig
from fxtrade.core.types import Bars, Forecast, Labels, Split
from fxtrade.data.panel import Panel
from fxtrade.evaluate import accuracy
from fxtrade.metrics import bootstrap
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.dataset import Dataset

N, ASSETS, HOUR = 400, 2, 3_600 * 10**9
CONFIG = ReportConfig(coverages=(1.0, 0.5, 0.1), bootstrap_samples=50)
TIMES = 1_704_067_200 * 10**9 + HOUR * np.arange(N)
VALID = (np.arange(N) >= 150) & (np.arange(N) < 250)
TEST = np.arange(N) >= 252


def case(seed: int = 0, skill: float = 0.5, classes: int = 2) -> tuple[Prediction, Labels]:
    """A prediction that is right more often where it is surer; some rows have no label or no prediction."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, (N, ASSETS))
    confidence = rng.random((N, ASSETS))
    knows = rng.random((N, ASSETS)) < skill * confidence
    guess = np.where(knows, y, rng.integers(0, classes, (N, ASSETS)))
    y = np.where(rng.random((N, ASSETS)) < 0.1, -1, y).astype(np.int32)
    ret = np.where(y >= 0, rng.normal(0, 0.01, (N, ASSETS)) + 0.01 * (y - 0.5), 0).astype(np.float32)
    ok = rng.random((N, ASSETS)) < 0.9
    labels = Labels(y, ret, np.arange(N, dtype=np.int32), (y >= 0).astype(np.float32))
    return Prediction(guess, confidence, ok), labels


def gather(forecast, labels, config=CONFIG, test=TEST, times=TIMES):
    panel = Panel(Bars(*[np.zeros((N, ASSETS))] * 7), times, ("A", "B"), HOUR, "")
    data = Dataset(panel, None, labels, Split(~VALID & ~test, VALID, test))
    blocks = accuracy.bootstrap_blocks(data, config)
    return accuracy.gather(forecast, labels, data.split, blocks, config.coverages)


def table(prediction, labels, config=CONFIG, seed=0):
    return accuracy.coverage_table(gather(prediction, labels, config), config, seed)


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
            threshold = -np.inf if target == 1 else np.quantile(before, 1 - target)
            hits, count, labelled = 0, 0, 0
            for t in np.flatnonzero(TEST):
                for a in range(ASSETS):
                    labelled += labels.y[t, a] >= 0
                    if labels.y[t, a] >= 0 and prediction.ok[t, a] and prediction.confidence[t, a] >= threshold:
                        count += 1
                        hits += prediction.y[t, a] == labels.y[t, a]
            assert row.target == target and row.rows == count
            assert row.coverage == pytest.approx(count / labelled)
            assert row.accuracy == pytest.approx(hits / count)
            assert row.low <= row.accuracy <= row.high

    def test_confident_forecasts_are_more_accurate_where_there_is_skill(self):
        rows = table(*case(skill=1.0))
        assert rows[0].accuracy < rows[1].accuracy < rows[2].accuracy

    def test_the_threshold_is_that_of_the_validation_rows(self):
        """The confidence of the test rows does not move it; that of the validation rows does."""
        prediction, labels = case()
        surer = prediction._replace(confidence=np.where(TEST[:, None], 2.0, prediction.confidence))
        assert [r.coverage for r in table(surer, labels)] == [table(surer, labels)[0].coverage] * 3
        unsure = prediction._replace(confidence=np.where(VALID[:, None], 2.0, prediction.confidence))
        assert [r.rows for r in table(unsure, labels)][1:] == [0, 0]
        assert np.isnan(table(unsure, labels)[1].accuracy)

    def test_labels_outside_the_test_span_do_not_count(self):
        prediction, labels = case()
        other = labels.replace(y=np.where(TEST[:, None] | (labels.y < 0), labels.y, 1 - labels.y))
        assert table(prediction, other) == table(prediction, labels)

    def test_the_interval_is_that_of_whole_blocks(self):
        """All rows of a day are correct or not together: much wider than rows by themselves would be."""
        prediction, labels = case()
        right = ((TIMES // (24 * HOUR)) % 2 == 0)[:, None]
        y = np.where(right, np.maximum(labels.y, 0), 1 - np.maximum(labels.y, 0))
        together = prediction._replace(y=y)
        more = dataclasses.replace(CONFIG, bootstrap_samples=500)
        day, hour = (table(together, labels, dataclasses.replace(more, bootstrap_block=b))[0] for b in ("1d", "1h"))
        assert day.high - day.low > 2 * (hour.high - hour.low)

    def test_the_seed_makes_the_interval(self):
        assert table(*case()) == table(*case())
        assert table(*case(), seed=1)[0].low != table(*case())[0].low


class TestScores:
    @pytest.mark.parametrize("classes", [2, 3])
    def test_against_scikit_learn(self, classes):
        _, labels = case(classes=classes)
        rng = np.random.default_rng(1)
        prob = rng.dirichlet(np.ones(classes), (N, ASSETS)).astype(np.float32)
        ok = rng.random((N, ASSETS)) < 0.8
        gathered = gather(Forecast(prob, ok), labels)
        got = accuracy.scores(gathered, CONFIG, 0)
        rows = ok & (labels.y >= 0) & TEST[:, None]
        p, y = prob[rows].astype(np.float64), labels.y[rows]
        p /= p.sum(1, keepdims=True)
        guess = p.argmax(1)
        assert got.rows == rows.sum()
        assert got.accuracy.value == pytest.approx(metrics.accuracy_score(y, guess))
        assert got.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(y, guess))
        assert got.mcc.value == pytest.approx(metrics.matthews_corrcoef(y, guess))
        assert got.log_loss.value == pytest.approx(metrics.log_loss(y, p))
        edge = p[:, -1] - p[:, 0]
        assert got.ic.value == pytest.approx(np.corrcoef(edge, labels.ret[rows])[0, 1], rel=1e-6)
        curve = accuracy.coverage_curve(gathered)
        assert curve.coverage[-1] == 1 and curve.accuracy[-1] == pytest.approx(got.accuracy.value)
        assert sum(accuracy.reliability(gathered).count) == rows.sum()

    def test_intervals_are_of_days_and_around_the_scores(self):
        _, labels = case()
        rng = np.random.default_rng(1)
        made = Forecast(rng.dirichlet(np.ones(2), (N, ASSETS)), rng.random((N, ASSETS)) < 0.8)
        got = accuracy.scores(gather(made, labels), CONFIG, 3)
        estimates = [getattr(got, f.name) for f in dataclasses.fields(got) if f.name != "rows"]
        assert all(e.low <= e.value <= e.high for e in estimates)
        rows = made.ok & (labels.y >= 0) & TEST[:, None]
        day = np.broadcast_to((TIMES // (86_400 * 10**9))[:, None], rows.shape)[rows]
        right = (made.prob.argmax(-1) == labels.y)[rows]
        expected = bootstrap.ratio_interval(right, np.ones(len(day)), day, CONFIG.bootstrap_samples, seed=3)
        assert (got.accuracy.low, got.accuracy.high) == pytest.approx(expected, rel=1e-12)

    def test_only_test_rows_count(self):
        _, labels = case()
        prob = np.random.default_rng(1).dirichlet(np.ones(2), (N, ASSETS))
        made = Forecast(prob, np.ones((N, ASSETS), bool))
        other = Forecast(np.where(TEST[:, None, None], prob, 0.5), made.ok)
        assert accuracy.scores(gather(made, labels), CONFIG, 0) == accuracy.scores(gather(other, labels), CONFIG, 0)

    def test_spans_may_have_holes(self):
        """A split is a mask: with every second day of the test span the same rows count as without the others."""
        prediction, labels = case()
        holey = TEST & ((TIMES // (24 * HOUR)) % 2 == 0)
        rows, whole = gather(prediction, labels, test=holey), gather(prediction, labels)
        kept = holey[whole.row]
        np.testing.assert_array_equal(rows.confidence, whole.confidence[kept])
        np.testing.assert_array_equal(np.unique(rows.block), np.arange(rows.block.max() + 1))
        assert rows.labelled == ((labels.y >= 0) & holey[:, None]).sum() and rows.thresholds == whole.thresholds


def test_groups_are_symbols_and_months():
    prediction, labels = case()
    times = np.datetime64("2024-01-25T00", "ns").astype(np.int64) + HOUR * np.arange(N)
    rows = gather(prediction, labels, times=times)
    counted = prediction.ok & (labels.y >= 0) & TEST[:, None]
    right = prediction.y == labels.y
    symbols = accuracy.by_symbol(rows, ("A", "B"), CONFIG, 0)
    assert [g.name for g in symbols] == ["A", "B"]
    for a, group in enumerate(symbols):
        assert group.rows == counted[:, a].sum()
        assert group.accuracy == pytest.approx(right[:, a][counted[:, a]].mean())
    (month,) = accuracy.by_month(rows, times, CONFIG, 0)
    assert month.name == "2024-02" and month.rows == counted.sum()
    whole = gather(prediction, labels, test=np.ones(N, bool), times=times)
    january, february = accuracy.by_month(whole, times, CONFIG, 0)
    assert (january.name, february.name) == ("2024-01", "2024-02")
    early = times < np.datetime64("2024-02-01", "ns").astype(np.int64)
    counted = prediction.ok & (labels.y >= 0) & early[:, None]
    assert january.rows == counted.sum() and january.accuracy == pytest.approx(right[counted].mean())


def test_daily_sums_are_the_accuracies_and_the_log_loss():
    _, labels = case()
    rng = np.random.default_rng(1)
    made = Forecast(rng.dirichlet(np.ones(2), (N, ASSETS)), rng.random((N, ASSETS)) < 0.8)
    rows = gather(made, labels)
    blocks = int(rows.block.max()) + 1
    sums = accuracy.daily_sums([rows, rows], blocks)
    rows_table = accuracy.coverage_table(rows, CONFIG, 0)
    assert sums.correct.shape == sums.count.shape == (2, len(CONFIG.coverages), blocks)
    shares = sums.correct[1].sum(-1) / sums.count[1].sum(-1)
    np.testing.assert_allclose(shares, [r.accuracy for r in rows_table])
    assert sums.log_loss.sum() / sums.rows.sum() == pytest.approx(accuracy.scores(rows, CONFIG, 0).log_loss.value)
    assert accuracy.daily_sums([gather(case()[0], labels)], blocks).log_loss is None
