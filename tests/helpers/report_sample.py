"""Reports of runs that were never made, as `experiment.evaluate_run` returns them."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxtrade import labels as label_registry
from fxtrade.core.config import LabelConfig, ReportConfig, RunConfig, TrainConfig
from fxtrade.evaluate.bindings import Binding
from fxtrade.evaluate.results import (
    AuxiliaryResult,
    CostCell,
    CoverageCurve,
    CoverageRow,
    DataSummary,
    Differences,
    EquityCurve,
    Estimate,
    GroupRow,
    LearnedBaseline,
    PairedTest,
    Reliability,
    Scores,
    Span,
    TradingResult,
    TradingSummary,
)
from fxtrade.report.schema import LabelTable, LossRow, RunReport, TrainingSummary
from fxtrade.runs import run_dir
from fxtrade.runs.provenance import Environment, Provenance
from fxtrade.validate.surrogates import Surrogate

NAN = math.nan
TARGETS = (1.0, 0.5, 0.1)
DAY = 86_400_000_000_000
START = 1_704_067_200_000_000_000  # 2024-01-01
ENVIRONMENT = Environment(
    started="2026-01-02T03:04:05Z",
    command="python scripts/train.py --config configs/wavenet.py",
    code="0.1.0+0123456789ab-modified",
    python="3.11.7",
    packages={"jax": "0.10.2", "numpy": "2.4.6"},
    backend="cpu",
    devices=("cpu",),
    cores=2,
)
PROVENANCE = Provenance("sample", "abc123", "fff000", 7, ENVIRONMENT)


def table(accuracy: float, half: float = 0.01, targets: tuple[float, ...] = TARGETS) -> tuple[CoverageRow, ...]:
    """Accuracy at every coverage, higher where fewer rows are covered."""
    middle = [accuracy + 0.05 * (1 - t) for t in targets]
    return tuple(
        CoverageRow(t, 0.97 * t, x, x - half, x + half, int(10_000 * t)) for t, x in zip(targets, middle, strict=True)
    )


def backtest(total: float, sharpe: float, **options: float) -> TradingSummary:
    return TradingSummary(
        total_return=total,
        annual_return=2 * total,
        sharpe=Estimate(sharpe, sharpe - 1, sharpe + 1),
        psr=0.97,
        dsr=0.91,
        trials=3,
        daily_sharpe=sharpe / 19,
        sortino=2 * sharpe,
        calmar=3.1,
        max_drawdown=-0.082,
        max_drawdown_days=12.5,
        win_rate_trade=0.52,
        win_rate_day=0.54,
        win_rate_week=0.61,
        win_rate_month=0.75,
        trades=321,
        turnover_a_year=88.0,
        exposure=0.2,
        cost=0.071,
        delisted=0,
        **options,
    )


def scores(accuracy: float = 0.54) -> Scores:
    return Scores(
        rows=5_900,
        accuracy=Estimate(accuracy),
        balanced_accuracy=Estimate(accuracy),
        mcc=Estimate(0.08),
        brier=Estimate(0.2481),
        log_loss=Estimate(0.6893, 0.6871, 0.6915),
        ece=Estimate(0.0117, 0.0, 0.0131),
        ic=Estimate(0.031),
        rank_ic=Estimate(0.042),
    )


def data(source: str = "data/bars_1h", best: float = NAN) -> DataSummary:
    return DataSummary(
        source=source,
        symbols=("AAA", "BBB"),
        interval="1h",
        bars=20_000,
        columns=("return_1", "volatility_8"),
        spans={
            "train": Span("2022-01-01T00:00", "2023-06-01T00:00", 14_000, 27_000),
            "valid": Span("2023-06-01T02:00", "2023-12-31T22:00", 3_000, 5_900),
            "test": Span("2024-01-01T00:00", "2024-04-10T00:00", 3_000, 5_900),
        },
        zero_moves=0.0123,
        best_accuracy=best,
        simulated=source.startswith("simulated"),
        planted_edge=source == "simulated market (planted edge)",
    )


def trading(total: float, sharpe: float) -> TradingResult:
    days = range(100)
    return TradingResult(
        threshold=0.0812,
        strategy=backtest(total, sharpe, alpha=0.3, alpha_t=1.9, beta=0.05),
        buy_and_hold=backtest(0.1, 0.6),
        grid=tuple(
            CostCell(float(fee), late, total - 0.01 * fee, sharpe - 0.1 * fee - 0.2 * late)
            for fee in (0, 2, 5, 10, 20)
            for late in (0, 1, 5)
        ),
        curve=EquityCurve(
            time=tuple(START + day * DAY for day in days),
            strategy=tuple(1 + total * day / 99 for day in days),
            strategy_drawdown=tuple(-0.082 * (day % 10) / 9 for day in days),
            buy_and_hold=tuple(1 + 0.1 * day / 99 for day in days),
            buy_and_hold_drawdown=(-0.05,) * 100,
        ),
        rules=(
            Binding("drawdown_stop", 0.125, 3, 48, START + 5 * DAY, START + 9 * DAY, 0.8, 0.0),
            Binding("kill_switch", 0.0, 0, 0, None, None, math.nan, math.nan),
        ),
    )


def learned(lead: float = 0.02, p: float = 0.001) -> LearnedBaseline:
    """A baseline that the model leads by so much at every coverage, and in thousandths of a nat."""

    def test(value: float) -> PairedTest:
        return PairedTest(value, value - abs(value) / 2, value + abs(value) / 2, p, 2 * p)

    return LearnedBaseline(
        Estimate(0.6921, 0.691, 0.6932), Differences({t: test(lead) for t in TARGETS}, test(lead / 10))
    )


def config(label: str = "open_to_open", classes: int = 2, **changes: Any) -> RunConfig:
    made = RunConfig(
        name="sample",
        seed=7,
        features={"volatility": {"windows": (8, 32)}},
        label=LabelConfig(label, 1, classes),
        train=TrainConfig(steps=600),
        report=ReportConfig(TARGETS),
    )
    return dataclasses.replace(made, **changes)


def report(
    source: str = "data/bars_1h",
    label: str = "open_to_open",
    classes: int = 2,
    own: float = 0.54,
    rival: float = 0.51,
    null: float = 0.5,
    best: float = NAN,
    total: float = 0.2,
    sharpe: float = 1.5,
    **changes: Any,
) -> RunReport:
    """A whole report of 100 days; the arguments are accuracies on all bars and what was earned."""
    settings = config(label, classes)
    other = LabelConfig("close_to_close" if label == "open_to_open" else "open_to_open", 1, classes)
    made = RunReport(
        folder="sample-1",
        seconds=67.6,
        provenance=PROVENANCE,
        config=settings,
        data=data(source, best),
        label=label_registry.spec(settings.label),
        training=TrainingSummary("wavenet", 28_010, 24_384.0, 64, 600, 400, 0.68, 171_846.6, "early"),
        history=tuple(LossRow(100 * i, 0.70 - 0.01 * i, 0.69 - 0.002 * i) for i in range(1, 7)),
        opened_before=0,
        trials_before=2,
        accuracy=table(own),
        baselines={"majority": table(rival - 0.01), "logistic regression": table(rival)},
        null_baselines={Surrogate.RANDOM_WALK: table(null - 0.005), Surrogate.SHUFFLED: table(null)},
        other_labels=(LabelTable(label_registry.spec(other), table(own + 0.02)),) if label == "open_to_open" else (),
        scores=scores(own),
        curve=CoverageCurve((0.02, 0.1, 0.5, 1.0), (own + 0.06, own + 0.05, own + 0.02, own)),
        reliability=Reliability((0.51, 0.55, 0.6), (0.5, 0.54, 0.57), (100.0, 100.0, 99.0)),
        symbols=tuple(GroupRow(s, 2_950, own, own - 0.02, own + 0.02) for s in ("AAA", "BBB")),
        months=tuple(GroupRow(f"2024-{m:02d}", 1_400, own, own - 0.03, own + 0.03) for m in range(1, 5)),
        auxiliary=AuxiliaryResult({}, None),
        trading=trading(total, sharpe),
        learned_baselines={"logistic regression": learned()},
    )
    return replace(made, **changes)


def replace(value: Any, **changes: Any) -> Any:
    """A dataclass with other fields; `a__b` is field b of field a."""
    for path, new in changes.items():
        name, _, rest = path.partition("__")
        new = replace(getattr(value, name), **{rest: new}) if rest else new
        value = dataclasses.replace(value, **{name: new})
    return value


def sparse() -> RunReport:
    """The least that a run can leave: no baseline, no null baseline, nothing traded, no interval."""
    rows = [dataclasses.replace(row, low=NAN, high=NAN) for row in table(0.6)]
    rows[-1] = dataclasses.replace(rows[-1], accuracy=NAN, coverage=0.0, rows=0)
    return report(
        label="volatility_direction",
        accuracy=tuple(rows),
        baselines={},
        learned_baselines={},
        null_baselines={},
        history=(),
        symbols=(),
        months=(),
        trading=None,
        provenance__environment__code="0.1.0",
        training__labels_per_second=NAN,
        training__best_loss=NAN,
        scores__mcc=Estimate(NAN),
        scores__ic=Estimate(NAN),
        scores__rank_ic=Estimate(NAN),
        reliability=Reliability((), (), ()),
        data__zero_moves=NAN,
    )


KEPT = ("target", "coverage", "time", "confidence", "count", "fee_bps")  # not results


def with_holes(made: RunReport, seed: int, share: float = 0.3) -> RunReport:
    """The same report, in which some numbers that come from data are missing."""
    draw = random.Random(seed)

    def bore(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **{k: bore(v) for k, v in fields.items() if k not in KEPT})
        if isinstance(value, Mapping):
            return {k: bore(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return tuple(map(bore, value))
        return NAN if isinstance(value, float) and draw.random() < share else value

    parts = ("accuracy", "baselines", "null_baselines", "other_labels", "scores", "curve", "reliability")
    parts += ("symbols", "months", "trading", "history", "learned_baselines")
    made = dataclasses.replace(made, **{name: bore(getattr(made, name)) for name in parts})
    return replace(made, training__labels_per_second=NAN, data__zero_moves=NAN)


def save(made: RunReport, folder: Path) -> Path:
    """The files of a finished run that are read again."""
    folder.mkdir(parents=True)
    (folder / run_dir.CONFIG).write_text("{}")
    made.write(folder / run_dir.REPORT)
    return folder
