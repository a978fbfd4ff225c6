"""The report of a run as a typed, versioned value, the content of `report.json`.

Change `version` whenever a field changes its name or meaning. Reports of studies and comparisons: `study_schema`,
`comparison_schema`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fxtrade.core.codec import Versioned
from fxtrade.core.config import RunConfig
from fxtrade.evaluate.results import (
    AuxiliaryResult,
    CoverageCurve,
    CoverageTable,
    DataSummary,
    GroupRow,
    LearnedBaseline,
    Reliability,
    Scores,
    TradingResult,
)
from fxtrade.labels import LabelSpec
from fxtrade.runs.provenance import Provenance
from fxtrade.runs.record import Continuation
from fxtrade.validate.surrogates import Surrogate


@dataclasses.dataclass(frozen=True)
class TrainingSummary:
    """Summary of training.

    Attributes:
        flops: floating point operations a sample.
        adapted_at: learning rate of each member whose weights adapt; empty if they do not.
        stopped: "finished", "early" or "interrupted".
    """

    model: str
    parameters: int
    flops: float
    receptive_field: int
    step: int
    best_step: int
    best_loss: float
    labels_per_second: float
    stopped: str
    adapted_at: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class LossRow:
    """The losses at one evaluation during training."""

    step: int
    train: float
    valid: float


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """Accuracy of the same forecasts on another label."""

    label: LabelSpec
    accuracy: CoverageTable


@dataclasses.dataclass(frozen=True)
class RunReport(Versioned):
    """A run.

    Attributes:
        seconds: of the whole run; of the last command of one that was resumed.
        results: the folder around that of the run, as it was given. Earlier versions did not write it.
        continued: how the run was trained for more steps than planned, oldest first.
        opened_before: times that this configuration was evaluated on the test span before.
        trials_before: other configurations evaluated on these data before.
        accuracy: of the model.
        learned_baselines: those of `baselines` that give probabilities; empty of earlier versions.
        null_baselines: of the same pipeline trained on surrogate data without anything to predict, by kind.
    """

    folder: str
    seconds: float
    provenance: Provenance
    config: RunConfig
    data: DataSummary
    label: LabelSpec
    training: TrainingSummary
    history: tuple[LossRow, ...]
    opened_before: int
    trials_before: int
    accuracy: CoverageTable
    baselines: Mapping[str, CoverageTable]
    null_baselines: Mapping[Surrogate, CoverageTable]
    other_labels: tuple[LabelTable, ...]
    scores: Scores
    curve: CoverageCurve
    reliability: Reliability
    symbols: tuple[GroupRow, ...]
    months: tuple[GroupRow, ...]
    auxiliary: AuxiliaryResult
    trading: TradingResult | None
    learned_baselines: Mapping[str, LearnedBaseline] = dataclasses.field(default_factory=dict)
    results: str = "results"
    continued: tuple[Continuation, ...] = ()
    version: int = 2
