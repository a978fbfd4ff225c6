"""Accuracy and scores of forecasts on the test span."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.config import ReportConfig
from fxtrade.core.errors import DataError
from fxtrade.core.types import Array, Forecast, Labels, Split
from fxtrade.data.times import parse_interval
from fxtrade.evaluate.results import CoverageCurve, CoverageRow, CoverageTable, Estimate, GroupRow, Reliability, Scores
from fxtrade.metrics import bootstrap, classify, score_intervals
from fxtrade.pipeline.baselines import Prediction, decide
from fxtrade.pipeline.dataset import Dataset

CURVE = tuple(np.round(np.geomspace(0.02, 1.0, 30), 4).tolist())  # coverages of the curve


class EvaluatedRows(NamedTuple):
    """The M entries of the test span that have a prediction and a label, by time, then by asset.

    Attributes:
        row, asset: place of each entry.
        y, ret: its label.
        predicted, confidence: the prediction.
        prob: probabilities, which sum to one; None for a prediction without probabilities.
        block: block of the bootstrap.
        labelled: number of labelled test entries, with or without a prediction.
        thresholds: for each of the report's coverages the confidence that counts.
    """

    row: Int[np.ndarray, " M"]
    asset: Int[np.ndarray, " M"]
    y: Int[np.ndarray, " M"]
    ret: Float[np.ndarray, " M"]
    predicted: Int[np.ndarray, " M"]
    confidence: Float[np.ndarray, " M"]
    prob: Float[np.ndarray, "M K"] | None
    block: Int[np.ndarray, " M"]
    labelled: int
    thresholds: tuple[float, ...]

    @property
    def probabilities(self) -> Float[np.ndarray, "M K"]:
        """The probabilities of a forecast. Raises DataError for a prediction without probabilities."""
        if self.prob is None:
            raise DataError("scores need the probabilities of a Forecast; a Prediction has none")
        return self.prob

    @property
    def correct(self) -> Bool[np.ndarray, " M"]:
        return self.predicted == self.y


class DailySums(NamedTuple):
    """Sums within each block of the test span, from which differences of two forecasts are computed.

    Attributes:
        correct, count: correct forecasts, and all forecasts above the threshold, by label and coverage.
        log_loss, rows: sum of -log p of the classes of the first label, and its number of forecasts; None of a
            prediction without probabilities.
    """

    correct: Int[np.ndarray, "labels coverages blocks"]
    count: Int[np.ndarray, "labels coverages blocks"]
    log_loss: Float[np.ndarray, " blocks"] | None = None
    rows: Int[np.ndarray, " blocks"] | None = None


def bootstrap_blocks(data: Dataset, config: ReportConfig) -> Int[np.ndarray, " N"]:
    """Return the bootstrap's block of each row of the test span, counted from 0; -1 outside."""
    times, test = data.panel.times, data.split.test
    blocks = np.full(len(times), -1)
    blocks[test] = bootstrap.block_ids(times[test], parse_interval(config.bootstrap_block, "report.bootstrap_block"))
    return blocks


def gather(
    forecast: Forecast | Prediction,
    labels: Labels,
    split: Split,
    blocks: Int[np.ndarray, " N"],
    coverages: Sequence[float],
) -> EvaluatedRows:
    """Return the test entries to evaluate, with thresholds that are fixed on the validation span.

    Args:
        blocks: from `bootstrap_blocks`.
    """
    prediction = decide(forecast) if isinstance(forecast, Forecast) else forecast
    labelled = (labels.y >= 0) & split.test[:, None]
    chosen = prediction.ok & labelled
    row, asset = np.nonzero(chosen)
    prob = None
    if isinstance(forecast, Forecast):
        prob = np.asarray(forecast.prob)[chosen].astype(np.float64)
        prob = prob / prob.sum(-1, keepdims=True)
    return EvaluatedRows(
        row=row,
        asset=asset,
        y=np.asarray(labels.y)[chosen],
        ret=np.asarray(labels.ret)[chosen],
        predicted=prediction.y[chosen],
        confidence=prediction.confidence[chosen],
        prob=prob,
        block=blocks[row],
        labelled=int(labelled.sum()),
        thresholds=confidence_thresholds(prediction, labels, split.valid, coverages),
    )


def confidence_thresholds(
    prediction: Prediction, labels: Labels, valid: Bool[Array, " N"], coverages: Sequence[float]
) -> tuple[float, ...]:
    """Return for each coverage the confidence that this share of the labelled validation rows reaches.

    At full coverage, and where there are no validation rows, it is -inf.
    """
    before = prediction.confidence[prediction.ok & (labels.y >= 0) & valid[:, None]]
    return tuple(-np.inf if c >= 1 or not len(before) else float(np.quantile(before, 1 - c)) for c in coverages)


def coverage_table(rows: EvaluatedRows, config: ReportConfig, seed: int) -> CoverageTable:
    """Return the accuracy above each threshold, with its interval (block bootstrap over time, assets drawn jointly)."""
    table, correct = [], rows.correct.astype(float)
    for target, threshold in zip(config.coverages, rows.thresholds, strict=True):
        covered = (rows.confidence >= threshold).astype(float)
        low, high = bootstrap.ratio_interval(
            correct * covered, covered, rows.block, config.bootstrap_samples, seed=seed
        )
        count = int(covered.sum())
        accuracy = float((correct * covered).sum() / count) if count else math.nan
        table.append(CoverageRow(target, count / max(rows.labelled, 1), accuracy, low, high, count))
    return tuple(table)


def scores(rows: EvaluatedRows, config: ReportConfig, seed: int) -> Scores:
    """Return the scores of a forecast's probabilities, with intervals by the same blocks as in `coverage_table`."""
    prob, y = rows.probabilities, rows.y
    edge, known = prob[:, -1] - prob[:, 0], np.isfinite(rows.ret)
    edge, ret = edge[known], rows.ret[known]
    options = {"samples": config.bootstrap_samples, "seed": seed}
    intervals = score_intervals.of_classes(prob, y, rows.block, **options)
    intervals |= score_intervals.of_orders(edge, ret, rows.block[known], **options)
    of_classes = ("accuracy", "balanced_accuracy", "mcc", "brier", "log_loss", "ece")
    values = {name: getattr(classify, name)(prob, y) for name in of_classes}
    values |= {"ic": classify.ic(edge, ret), "rank_ic": classify.rank_ic(edge, ret)}
    return Scores(rows=len(y), **{name: Estimate(value, *intervals[name]) for name, value in values.items()})


def log_loss(rows: EvaluatedRows, config: ReportConfig, seed: int) -> Estimate:
    """Return the log loss of a forecast alone, as in `scores`."""
    loss = classify.negative_log_likelihood(rows.probabilities, rows.y)
    ends = bootstrap.ratio_interval(loss, np.ones_like(loss), rows.block, config.bootstrap_samples, seed=seed)
    return Estimate(float(loss.mean()) if len(loss) else math.nan, *ends)


def coverage_curve(rows: EvaluatedRows) -> CoverageCurve:
    """Return the accuracy of the most confident share of the rows, for every share."""
    confidence, correct = classify.top_label(rows.probabilities, rows.y)
    return CoverageCurve(CURVE, tuple(classify.coverage_curve(confidence, correct, CURVE).tolist()))


def reliability(rows: EvaluatedRows) -> Reliability:
    """Return confidence and accuracy by bins of confidence."""
    return Reliability(*(tuple(x.tolist()) for x in classify.reliability(rows.probabilities, rows.y)))


def by_symbol(rows: EvaluatedRows, symbols: Sequence[str], config: ReportConfig, seed: int) -> tuple[GroupRow, ...]:
    """Return the accuracy in each symbol."""
    return _by_group(rows, {name: rows.asset == i for i, name in enumerate(symbols)}, config, seed)


def by_month(
    rows: EvaluatedRows, times: Int[np.ndarray, " N"], config: ReportConfig, seed: int
) -> tuple[GroupRow, ...]:
    """Return the accuracy in each calendar month."""
    month = times[rows.row].astype("datetime64[ns]").astype("datetime64[M]")
    return _by_group(rows, {str(m): month == m for m in np.unique(month)}, config, seed)


def _by_group(
    rows: EvaluatedRows, groups: Mapping[str, np.ndarray], config: ReportConfig, seed: int
) -> tuple[GroupRow, ...]:
    found = []
    for name, inside in groups.items():
        if inside.any():
            hits, block = rows.correct[inside].astype(float), rows.block[inside]
            ends = bootstrap.ratio_interval(hits, np.ones_like(hits), block, config.bootstrap_samples, seed=seed)
            found.append(GroupRow(name, len(hits), float(hits.mean()), *ends))
    return tuple(found)


def daily_sums(by_label: Sequence[EvaluatedRows], blocks: int) -> DailySums:
    """Return the sums of a forecast within each of so many blocks, on one or several labels.

    Probabilities are evaluated on the first label.
    """
    first = by_label[0]
    sums = np.zeros((2, len(by_label), len(first.thresholds), blocks), np.int32)
    for i, rows in enumerate(by_label):
        for j, threshold in enumerate(rows.thresholds):
            covered = rows.confidence >= threshold
            sums[:, i, j] = [np.bincount(rows.block, covered & hit, blocks) for hit in (rows.correct, True)]
    if first.prob is None:
        return DailySums(sums[0], sums[1])
    loss = np.bincount(first.block, classify.negative_log_likelihood(first.prob, first.y), blocks)
    return DailySums(sums[0], sums[1], loss, np.bincount(first.block, minlength=blocks))
