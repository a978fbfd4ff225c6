"""How good forecasts are on rows that nothing was fitted or chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fxtrade.core.config import ReportConfig
from fxtrade.core.types import Forecast, Labels
from fxtrade.data.bars import Panel, parse_interval
from fxtrade.metrics import bootstrap, classify
from fxtrade.metrics import score_intervals as intervals
from fxtrade.pipeline.baselines import Prediction
from fxtrade.pipeline.predict import labelled

CURVE = tuple(np.round(np.geomspace(0.02, 1.0, 30), 4))


def coverage_table(
    prediction: Prediction,
    labels: Labels,
    valid: np.ndarray,
    test: np.ndarray,
    times: np.ndarray,
    config: ReportConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """Accuracy on the test rows above confidence thresholds that were fixed on the validation rows.

    Each entry: target coverage, the share really covered, accuracy, its interval (block bootstrap over time, all assets
    of a block together) and the number of rows.
    """
    chosen = prediction.ok & (labels.y >= 0)
    rows = chosen & test[:, None]
    sure, right = prediction.confidence[rows], (prediction.y == labels.y)[rows].astype(float)
    blocks = bootstrap.block_ids(
        np.broadcast_to(times[:, None], rows.shape)[rows], parse_interval(config.bootstrap_block)
    )
    labelled = (labels.y >= 0) & test[:, None]
    table, least = [], thresholds(prediction, labels, valid, config.coverages)
    for coverage, threshold in zip(config.coverages, least, strict=True):
        covered = (sure >= threshold).astype(float)
        low, high = bootstrap.ratio_interval(right * covered, covered, blocks, config.bootstrap_samples, seed=seed)
        count = int(covered.sum())
        table.append(
            {
                "target": coverage,
                "coverage": count / max(int(labelled.sum()), 1),
                "accuracy": float((right * covered).sum() / count) if count else float("nan"),
                "low": low,
                "high": high,
                "rows": count,
            }
        )
    return table


def thresholds(prediction: Prediction, labels: Labels, valid: np.ndarray, coverages: Sequence[float]) -> list[float]:
    """For each of `coverages` the confidence that this share of the labelled validation rows reaches.

    At full coverage -inf, which leaves nothing out, however sure the validation rows were; so where there are none.
    """
    before = prediction.confidence[prediction.ok & (labels.y >= 0) & valid[:, None]]
    return [-np.inf if c >= 1 or not len(before) else float(np.quantile(before, 1 - c)) for c in coverages]


def scores(forecast: Forecast, labels: Labels, test: np.ndarray) -> dict[str, Any]:
    """Accuracy, balanced accuracy, MCC, Brier, log loss, ECE, IC and the curves of the plots, on the test rows."""
    rows, prob, y = labelled(forecast, labels, test)
    ret = labels.ret[rows]
    confidence, correct = classify.top_label(prob, y)
    mean, frequency, count = classify.reliability(prob, y)
    tilt = prob[:, -1] - prob[:, 0]
    known = np.isfinite(ret)
    return {
        "rows": int(rows.sum()),
        "accuracy": classify.accuracy(prob, y),
        "balanced_accuracy": classify.balanced_accuracy(prob, y),
        "mcc": classify.mcc(prob, y),
        "brier": classify.brier(prob, y),
        "log_loss": classify.log_loss(prob, y),
        "ece": classify.ece(prob, y),
        "ic": classify.ic(tilt[known], ret[known]),
        "rank_ic": classify.rank_ic(tilt[known], ret[known]),
        "curve": {"coverage": list(CURVE), "accuracy": classify.coverage_curve(confidence, correct, CURVE).tolist()},
        "reliability": {"confidence": mean.tolist(), "frequency": frequency.tolist(), "count": count.tolist()},
    }


def score_intervals(
    forecast: Forecast, labels: Labels, test: np.ndarray, times: np.ndarray, config: ReportConfig, seed: int
) -> dict[str, list[float]]:
    """[low, high] of each of `scores` that is one number, by the same blocks as in `coverage_table`."""
    rows, prob, y = labelled(forecast, labels, test)
    blocks = bootstrap.block_ids(
        np.broadcast_to(times[:, None], rows.shape)[rows], parse_interval(config.bootstrap_block)
    )
    tilt, ret, options = prob[:, -1] - prob[:, 0], labels.ret[rows], {"samples": config.bootstrap_samples, "seed": seed}
    known = np.isfinite(ret)
    found = intervals.of_classes(prob, y, blocks, **options)
    found |= intervals.of_orders(tilt[known], ret[known], blocks[known], **options)
    return {name: list(ends) for name, ends in found.items()}


def log_loss(forecast: Forecast, labels: Labels, test: np.ndarray) -> float:
    """That of `scores` alone."""
    return classify.log_loss(*labelled(forecast, labels, test)[1:])


def surprise(forecast: Forecast, labels: Labels, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows `[N, A]` bool that `scores` are of, and of each -log p of its class, `[M]`."""
    rows, prob, y = labelled(forecast, labels, test)
    return rows, classify.surprise(prob, y)


def grouped(
    prediction: Prediction, labels: Labels, test: np.ndarray, panel: Panel, config: ReportConfig, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Accuracy with interval by symbol and by month of the test rows."""
    rows = prediction.ok & (labels.y >= 0) & test[:, None]
    right = (prediction.y == labels.y).astype(float)
    block_of = np.broadcast_to(
        bootstrap.block_ids(panel.times, parse_interval(config.bootstrap_block))[:, None], rows.shape
    )
    months = panel.times.astype("datetime64[ns]").astype("datetime64[M]")

    def entry(name: str, mask: np.ndarray) -> dict[str, Any]:
        hits = right[mask]
        low, high = bootstrap.ratio_interval(
            hits, np.ones_like(hits), block_of[mask], config.bootstrap_samples, seed=seed
        )
        return {"name": name, "rows": int(mask.sum()), "accuracy": float(hits.mean()), "low": low, "high": high}

    columns = np.arange(rows.shape[1])
    symbols = [(s, rows & (columns == a)) for a, s in enumerate(panel.symbols)]
    by_month = [(str(m), rows & (months == m)[:, None]) for m in np.unique(months[test])]
    return {
        "symbol": [entry(s, m) for s, m in symbols if m.any()],
        "month": [entry(s, m) for s, m in by_month if m.any()],
    }


def zero_moves(labels: Labels, test: np.ndarray) -> float:
    """Share of the test rows whose price does not move over the label's span."""
    ret = labels.ret[test]
    known = np.isfinite(ret)
    return float((ret[known] == 0).mean()) if known.any() else float("nan")
