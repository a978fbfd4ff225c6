"""Summary of the data, and the labels that forecasts are evaluated on."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool

from fxtrade import labels
from fxtrade.core.config import RunConfig
from fxtrade.core.types import Array, Labels
from fxtrade.data.times import format_interval
from fxtrade.evaluate.results import DataSummary, Span
from fxtrade.labels import LabelSpec
from fxtrade.pipeline.dataset import Dataset, span_of


def comparable_labels(config: RunConfig, data: Dataset) -> dict[LabelSpec, Labels]:
    """Return the label of the config and, if that is of two directions, the other labels of this kind."""
    found = {labels.spec(config.label): data.labels}
    for name, other in labels.alternatives(config.label).items():
        if name != config.label.name:
            found[labels.spec(other)] = labels.make(data.panel.bars, other)
    return found


def summarize_data(config: RunConfig, data: Dataset) -> DataSummary:
    """Return the summary of the data for reports."""
    panel = data.panel
    return DataSummary(
        source=panel.source,
        symbols=tuple(panel.symbols),
        interval=format_interval(panel.interval),
        bars=len(panel.times),
        columns=tuple(data.features.names),
        spans={name: span(data, name) for name in ("train", "valid", "test")},
        zero_moves=zero_moves(data.labels, data.split.test),
        best_accuracy=best_accuracy(config, data),
        simulated=panel.simulated,
        planted_edge=panel.planted_edge,
    )


def span(data: Dataset, name: str) -> Span:
    """Return the first and last row of a span, and its size."""
    s = span_of(data, name)
    return Span(s["from"], s["to"], s["bars"], s["labels"], s["blocks"])


def zero_moves(made: Labels, test: Bool[Array, " N"]) -> float:
    """Return the share of the test rows whose price does not move over the label's span."""
    ret = made.ret[test]
    known = np.isfinite(ret)
    return float((ret[known] == 0).mean()) if known.any() else math.nan


def best_accuracy(config: RunConfig, data: Dataset) -> float:
    """Return the accuracy of the oracle on the test rows; NaN where it is not known (real data, other labels)."""
    spec = labels.spec(config.label)
    next_bar = spec.directional and spec.tradable and not spec.path_dependent and spec.horizon == 1
    if data.panel.edge is None or not next_bar or spec.classes != 2:
        return math.nan
    rows = data.features.ok & (data.labels.y >= 0) & data.split.test[:, None]
    return float(((data.panel.edge > 0.5) == data.labels.y)[rows].mean())
