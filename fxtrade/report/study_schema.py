"""The report of a feature study as a typed, versioned value, the content of `study.json`."""

from __future__ import annotations

import dataclasses

from fxtrade.core.codec import Versioned
from fxtrade.core.config import RunConfig
from fxtrade.evaluate.results import FeatureColumn, FeatureTest
from fxtrade.runs.provenance import Provenance


@dataclasses.dataclass(frozen=True)
class StudyData:
    """The rows of a feature study."""

    source: str
    symbols: tuple[str, ...]
    interval: str
    start: str
    end: str
    bars: int
    rows: int


@dataclasses.dataclass(frozen=True)
class StudyReport(Versioned):
    """A feature study.

    Attributes:
        correlation: rank correlation of the columns; NaN of a constant column.
        periods: borders of the periods.
        least_shift: bars of the shortest shift.
        left_out: features of the config that the bars do not allow, and what each needs, in words.
    """

    folder: str
    seconds: float
    provenance: Provenance
    config: RunConfig
    data: StudyData
    tests: tuple[FeatureTest, ...]
    columns: tuple[FeatureColumn, ...]
    correlation: tuple[tuple[float, ...], ...]
    periods: tuple[str, ...]
    least_shift: int
    left_out: tuple[str, ...] = ()
    version: int = 1
