"""Finished runs stay as they are, and a run that is trained for more steps says so."""

from __future__ import annotations

import dataclasses

import pytest

from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.runs import continuation, run_dir
from fxtrade.runs.record import RunRecord, RunResult
from tests.helpers import tiny
from tests.runs.test_record import RECORD

DONE = dataclasses.replace(RECORD, result=RunResult(1.0, None, {"accuracy": 0.5}))


def make(results, record=None, reached=40):
    folder = run_dir.create(results, tiny.config(), "run")
    (folder / "checkpoints" / "last" / str(reached)).mkdir(parents=True)
    if record is not None:
        record.write(folder / run_dir.RECORD)
    (folder / run_dir.REPORT).write_text('{"version": 1}')
    return folder


@pytest.mark.parametrize("record, finished", [(DONE, True), (RECORD, False)])
def test_a_run_is_finished_when_its_result_is_recorded(tmp_path, record, finished):
    folder = make(tmp_path)
    assert not continuation.is_finished(folder)
    record.write(folder / run_dir.RECORD)
    assert continuation.is_finished(folder) == finished


def test_a_damaged_record_is_named(tmp_path):
    folder = make(tmp_path)
    (folder / run_dir.RECORD).write_text("{")
    with pytest.raises(FxtradeError, match="run.json is damaged .*; restore it from a copy, or delete it"):
        continuation.planned_config(folder, None)


def test_more_steps_are_not_forgotten_without_a_record(tmp_path):
    folder = make(tmp_path)
    with pytest.raises(ConfigError, match="has no run.json to record more steps in"):
        continuation.extend(folder, 60)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "{"])
def test_a_run_without_its_report_is_not_finished(tmp_path, content):
    folder = make(tmp_path, DONE)
    assert continuation.is_finished(folder)
    report = folder / run_dir.REPORT
    report.unlink() if content is None else report.write_text(content)
    assert not continuation.is_finished(folder)


def test_more_steps_are_recorded(tmp_path):
    folder = make(tmp_path, DONE)
    assert continuation.extend(folder, 60).train.steps == run_dir.load_config(folder).train.steps == 60
    assert not continuation.is_finished(folder)
    assert continuation.extend(folder, 80).train.steps == 80
    entries = continuation.read_record(folder).continued
    assert [(e.from_step, e.steps_before, e.steps) for e in entries] == [(40, 40, 60), (40, 60, 80)]
    assert RunRecord.read(folder / run_dir.RECORD).spans == RECORD.spans


@pytest.mark.parametrize("steps", [40, 10])
def test_no_more_steps_than_before(tmp_path, steps):
    folder = make(tmp_path, DONE)
    before = (folder / run_dir.RECORD).read_bytes()
    with pytest.raises(ConfigError, match=f"steps={steps}: .*run is planned for 40 steps"):
        continuation.extend(folder, steps)
    assert (folder / run_dir.RECORD).read_bytes() == before


def test_a_run_that_stopped_early_is_not_trained_longer(tmp_path):
    folder = make(tmp_path, DONE, reached=20)
    with pytest.raises(ConfigError, match="stopped early at step 20"):
        continuation.extend(folder, 60)
