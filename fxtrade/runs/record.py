"""The record of a run, `run.json`: what its weights belong to, what they have learnt from, and its result.

`BacktestRecord` is that of a backtest by `scripts/backtest.py`, `backtest.json`.

Change `version` whenever a field changes its name or meaning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fxtrade.core.codec import Versioned
from fxtrade.core.config import LabelConfig, ScalerConfig
from fxtrade.core.trade_config import TradeConfig
from fxtrade.runs.provenance import Environment, Provenance


@dataclasses.dataclass(frozen=True)
class Identity:
    """What the weights of a network belong to; a checkpoint stores it.

    Attributes:
        model_options: as text.
        head_spec: fields of `models.HeadSpec`.
        features: of the config, by name.
        columns: names of the features' columns.
        horizons: further ones, of the auxiliary loss.
    """

    model: str
    model_options: Mapping[str, str]
    head_spec: tuple[int, ...]
    features: Mapping[str, Any]
    columns: tuple[str, ...]
    scaler: ScalerConfig
    symbols: tuple[str, ...]
    interval: str
    label: LabelConfig
    horizons: tuple[int, ...]
    data_fingerprint: str


@dataclasses.dataclass(frozen=True)
class Period:
    """A stretch of time: open times of its first and last bar in ns since 1970, UTC."""

    first: int
    last: int

    def overlaps(self, other: Period) -> bool:
        """Return whether a moment belongs to both."""
        return self.first <= other.last and other.first <= self.last


@dataclasses.dataclass(frozen=True)
class Spans:
    """The times that a run depends on and those that it is tested on.

    A period begins with a row and ends with the last bar that its labels and their weights depend on. Those of `train`
    and `valid` include the times of the run whose weights it started from.
    """

    train: tuple[Period, ...]
    valid: tuple[Period, ...]
    test: tuple[Period, ...]


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a finished run.

    Attributes:
        threshold: of confidence; None where the label is not traded.
        metrics: the headline numbers.
    """

    seconds: float
    threshold: float | None
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Continuation:
    """A run trained for more steps: the step at which it continued, and `train.steps` before and after."""

    from_step: int
    steps_before: int
    steps: int
    started: str


@dataclasses.dataclass(frozen=True)
class RunRecord(Versioned):
    """A run; `result` is None until it has finished, and `continued` says how often it was trained for more steps.

    The commands that started and resumed it are `provenance.environment.starts`.
    """

    identity: Identity
    spans: Spans
    provenance: Provenance
    result: RunResult | None = None
    continued: tuple[Continuation, ...] = ()
    version: int = 1


@dataclasses.dataclass(frozen=True)
class BacktestRecord(Versioned):
    """A backtest of a finished run on other terms, or of targets or signals of a file.

    Attributes:
        source: of what was traded. bars: source of the bars.
        traded: open times of the first and the last bar.
        metrics: the headline numbers.
    """

    source: str
    bars: str
    data_fingerprint: str
    symbols: tuple[str, ...]
    traded: Period
    trade: TradeConfig
    environment: Environment
    metrics: Mapping[str, float]
    version: int = 1
