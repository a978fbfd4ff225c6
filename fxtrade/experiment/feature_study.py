"""The feature study: information coefficients of the config's features with forward returns.

It chooses no strategy, so the ledger does not count it as a trial. The test span is not read.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from fxtrade import features
from fxtrade.core import files
from fxtrade.core.config import RunConfig
from fxtrade.core.registry import to_dict
from fxtrade.data.panel import Panel
from fxtrade.data.times import format_interval, parse_interval
from fxtrade.evaluate import columns
from fxtrade.evaluate.columns import Sample
from fxtrade.experiment import study_folder
from fxtrade.pipeline import dataset
from fxtrade.report import study as study_report
from fxtrade.report.progress import Console
from fxtrade.report.study_schema import StudyData, StudyReport
from fxtrade.runs import provenance, run_dir


def run(config: RunConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Study the features and write `study.md`, `study.json`, `config.json` and `plots/`; return their folder.

    The folder appears when it is complete; an interrupted study leaves no files.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, began = console or Console(), time.time()
    block = parse_interval(config.study.bootstrap_block, "study.bootstrap_block")
    with study_folder.claim(results, name, f"{config.name}-features") as folder:
        report = _study(config, block, folder.name, began, console)
        with console.task("report"):
            study_folder.fill(folder, lambda part: _write(part, report))
    study_report.table(console, report, folder)
    return folder


def _study(config: RunConfig, block: int, folder: str, began: float, console: Console) -> StudyReport:
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        source = provenance.provenance(config, panel.fingerprint())
    used, left_out = leave_out(config, panel)
    for text in left_out:
        console.say(f"left out: {text}")
    with console.bar("features", len(panel.times), "bars") as on_progress:
        data = dataset.prepare(used, panel, on_progress)
    sample, column = columns.select(data, config.study)
    tests = len(data.features.names) * len(config.study.horizons)
    with console.bar("tests", tests, "tests") as on_progress:
        found = columns.evaluate_columns(column, data.features.names, sample, config, block, on_progress)
    return StudyReport(
        folder=folder,
        seconds=time.time() - began,
        provenance=source,
        config=config,
        data=summarize_sample(sample, panel),
        tests=found.tests,
        columns=found.columns,
        correlation=tuple(map(tuple, np.round(found.correlation, 4).tolist())),
        periods=tuple(_minute(t) for t in found.periods),
        least_shift=found.least_shift,
        left_out=left_out,
    )


def leave_out(config: RunConfig, panel: Panel) -> tuple[RunConfig, tuple[str, ...]]:
    """Return the config without the features that the clock of the bars does not allow, and each of these in words.

    A config is returned as it is if none would remain.
    """
    problems = features.clock_problems(config.features, panel.times)
    allowed = {name: options for name, options in config.features.items() if name not in problems}
    if not allowed:
        return config, ()
    return dataclasses.replace(config, features=allowed), tuple(f"{name} {why}" for name, why in problems.items())


def summarize_sample(sample: Sample, panel: Panel) -> StudyData:
    """Return the summary of the rows for the report."""
    return StudyData(
        source=panel.source,
        symbols=tuple(panel.symbols),
        interval=format_interval(panel.interval),
        start=_minute(sample.times[0]),
        end=_minute(sample.times[-1]),
        bars=len(sample.times),
        rows=len(sample.row),
    )


def _write(folder: Path, report: StudyReport) -> None:
    files.write_json(folder / run_dir.CONFIG, to_dict(report.config))
    report.write(folder / run_dir.STUDY)
    study_report.write(folder, report)


def _minute(time_ns: int) -> str:
    return str(np.datetime64(int(time_ns), "ns").astype("datetime64[m]"))
