"""The report of a comparison as a typed, versioned value, the content of `comparison.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fxtrade.core.codec import Versioned
from fxtrade.evaluate.results import CoverageTable, DataSummary, Differences, PairedTest, Scores, TradingSummary
from fxtrade.labels import LabelSpec
from fxtrade.runs.provenance import Environment

COMPARED = (1.0, 0.1)  # coverages at which forecasts are compared


@dataclasses.dataclass(frozen=True)
class MemberResult:
    """One seed of a cell.

    Attributes:
        accuracy: by label, one value for each coverage.
        learning_rate: at which its weights adapt; None if they do not.
    """

    accuracy: Mapping[str, tuple[float, ...]]
    log_loss: float
    learning_rate: float | None


@dataclasses.dataclass(frozen=True)
class CellTraining:
    """Summary of the training of a cell; parameters and speed are those of one seed."""

    stages: int
    steps: int
    parameters: int
    receptive_field: int
    labels_per_second: float
    best_loss: float
    best_step: int
    members: tuple[MemberResult, ...]


@dataclasses.dataclass(frozen=True)
class CellResult:
    """A trained cell of a comparison, or a baseline, evaluated.

    Attributes:
        hash: identifies all that it depends on.
        setting: hash of the setting.
        recipe: empty of a baseline.
        accuracy: by label, the one trained for first.
        scores, trading: None of a prediction without probabilities or a label without direction.
        training: None of a baseline.
        error: why training failed; then there are no results.
    """

    hash: str
    setting: str
    market: str
    model: str
    recipe: str
    started: str
    code: str
    seconds: float = 0.0
    accuracy: Mapping[str, CoverageTable] = dataclasses.field(default_factory=dict)
    scores: Scores | None = None
    trading: TradingSummary | None = None
    training: CellTraining | None = None
    error: str = ""

    @property
    def is_baseline(self) -> bool:
        return not self.recipe


@dataclasses.dataclass(frozen=True)
class ComparisonRow:
    """A cell or baseline beside the others of its market; None where there is nothing to compare with.

    Attributes:
        from_learned: of a plain cell, the differences from every learned baseline on all bars.
    """

    result: CellResult
    from_baseline: Differences | None = None
    from_plain: Differences | None = None
    from_learned: Mapping[str, Differences] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MarketReport:
    """All forecasts of a market; labels as in `CellResult.accuracy`.

    Attributes:
        budget: bars of single symbols that every seed is trained on.
    """

    name: str
    budget: int
    data: DataSummary
    labels: tuple[LabelSpec, ...]
    coverages: tuple[float, ...]
    rows: tuple[ComparisonRow, ...]

    def of_recipe(self, recipe: str) -> list[ComparisonRow]:
        """Return the cells of a recipe whose training did not fail."""
        return [row for row in self.rows if row.result.recipe == recipe and not row.result.error]


@dataclasses.dataclass(frozen=True)
class RecipeEffect:
    """A recipe against plain training on one market, on average over models.

    Attributes:
        improved: in how many of the models accuracy is higher, by coverage.
    """

    models: int
    improved: Mapping[float, int]
    differences: Differences


@dataclasses.dataclass(frozen=True)
class RecipeReport:
    """A recipe against plain training; `mean` difference of the accuracy at full coverage over markets."""

    recipe: str
    mean: float
    markets: Mapping[str, RecipeEffect]


@dataclasses.dataclass(frozen=True)
class NamedTest:
    """A difference from the baseline, and its cell."""

    market: str
    model: str
    recipe: str
    coverage: float
    test: PairedTest


@dataclasses.dataclass(frozen=True)
class BaselineSummary:
    """Counts over all differences from the baseline.

    Attributes:
        tests: number of differences of accuracy that are defined.
        above: those that are significantly positive, the smallest q-value first.
        below: number of those that are significantly negative.
        nearest: the difference with the highest lower end, if there is any.
        log_loss_tests, log_loss_better, log_loss_worse: the same counts for the log loss.
    """

    tests: int
    above: tuple[NamedTest, ...]
    below: int
    nearest: NamedTest | None
    log_loss_tests: int
    log_loss_better: int
    log_loss_worse: int


@dataclasses.dataclass(frozen=True)
class ComparisonReport(Versioned):
    """A comparison with the cells that are finished.

    Attributes:
        done, planned: numbers of cells.
        seconds: of training.
        baseline, plain: names of the baseline and of the recipe that differences are from.
        false_discovery_rate: at which a difference is significant.
    """

    folder: str
    environment: Environment
    models: tuple[str, ...]
    recipe_names: tuple[str, ...]
    market_names: tuple[str, ...]
    seeds: int
    done: int
    planned: int
    seconds: float
    baseline: str
    plain: str
    false_discovery_rate: float
    markets: tuple[MarketReport, ...]
    recipes: tuple[RecipeReport, ...]
    summary: BaselineSummary
    version: int = 1
