"""A run that is started again, resumed after its end, or trained longer."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal

import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.experiment import run
from fxtrade.report.progress import Console
from fxtrade.report.provenance_section import repetition
from fxtrade.runs import continuation, ledger, run_dir
from fxtrade.runs.record import RunRecord
from tests.helpers import tiny
from tests.helpers.run_folder import best, metrics, report, results, unfinished
from tests.helpers.trees import same


def test_the_same_seed_gives_the_same_bits(finished, tmp_path):
    again = tiny.run_tiny(tmp_path, "again")
    assert metrics(again) == metrics(finished)
    assert same(best(again)[2], best(finished)[2])
    assert results(report(again)) == results(report(finished))


@pytest.mark.slow
def test_another_seed_is_another_trial_on_the_same_data(copy):
    other = tiny.run_tiny(copy.parent, "other", {"seed": 1})
    assert metrics(other) != metrics(copy)
    found = report(other)
    assert (found.trials_before, found.opened_before) == (1, 0)
    assert found.trading.strategy.trials == 2 and report(copy).trading.strategy.trials == 1
    assert [trial.run for trial in ledger.read(copy.parent)] == [copy.name, "other"]


def test_a_finished_run_is_left_as_it_is(copy):
    def content():
        return {path: path.read_bytes() for path in copy.parent.rglob("*") if path.is_file()}

    before = content()
    assert tiny.resume(copy) == copy
    assert content() == before


def test_a_run_that_was_killed_after_its_evaluation_is_evaluated_again_and_says_so(copy, finished):
    record = unfinished(copy)
    tiny.resume(copy)
    once, twice = report(finished), report(copy)
    first, again = twice.provenance.environment.starts
    assert first == record.provenance.environment.starts[0] and again.started >= first.started
    assert RunRecord.read(copy / run_dir.RECORD).provenance == twice.provenance
    assert results(once) == results(twice)
    assert metrics(copy) == metrics(finished)
    assert (once.opened_before, twice.opened_before) == (0, 0)
    assert twice.trials_before == 0
    assert len(ledger.read(copy.parent)) == 2


@pytest.mark.slow
def test_another_run_of_the_same_config_says_so(copy):
    assert report(tiny.run_tiny(copy.parent, "other")).opened_before == 1


@pytest.mark.slow
def test_a_finished_run_is_trained_longer(copy):
    run.resume(copy, 60, Console(quiet=True))
    found = report(copy)
    assert (found.training.step, found.config.train.steps, found.trials_before) == (60, 60, 1)
    (entry,) = RunRecord.read(copy / run_dir.RECORD).continued
    assert (entry.from_step, entry.steps_before, entry.steps) == (40, 40, 60) and found.continued == (entry,)
    assert [row["step"] for row in metrics(copy)] == [10, 20, 30, 40, 50, 60]
    assert continuation.is_finished(copy)


@pytest.mark.slow
def test_the_commands_of_the_report_repeat_a_run_that_was_trained_longer(copy):
    run.resume(copy, 60, Console(quiet=True))
    found = report(copy)
    commands = [shlex.split(line) for line in repetition(found) if line.startswith("python")]
    assert len(commands) == 2
    for _, *arguments in commands:
        process = tiny.python(*arguments)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    again = copy.with_name(f"{copy.name}-again")
    assert metrics(again) == metrics(copy) and results(report(again)) == results(found)


@pytest.mark.slow
def test_a_signal_while_the_report_is_written_waits_for_it(tmp_path, monkeypatch):
    write = run.run_report.write

    def interrupted(folder, made):
        os.kill(os.getpid(), signal.SIGTERM)
        return write(folder, made)

    monkeypatch.setattr(run.run_report, "write", interrupted)
    folder = tiny.run_tiny(tmp_path, "run")
    assert continuation.is_finished(folder) and (folder / "report.md").exists()


@pytest.mark.slow
def test_early_stopping_is_announced(tmp_path):
    """Of the run, and of each null baseline."""
    text = io.StringIO()
    changes = {"train.patience": 1, "train.steps": 2_000, "optim.learning_rate": 0.1, "report.null_baseline": True}
    run.run(tiny.config(changes), tmp_path, "run", console=Console(file=text))
    for name in ("training", "null baseline: random walk, training", "null baseline: shuffled, training"):
        assert re.search(rf"^{name}: stopped early at step \d+; .* was lowest at step \d+$", text.getvalue(), re.M)


def test_the_same_name_is_refused(copy):
    before = (copy / "report.json").read_bytes()
    with pytest.raises(FxtradeError, match="holds a run already; resume it with .*, or give another --run"):
        tiny.run_tiny(copy.parent, copy.name)
    assert (copy / "report.json").read_bytes() == before
