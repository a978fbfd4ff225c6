"""Runs that cannot be resumed: what is wrong with their files, and what to do."""

from __future__ import annotations

import json

import pytest

from fxtrade.core.errors import CheckpointError, FxtradeError
from fxtrade.experiment import run
from fxtrade.runs import run_dir
from tests.helpers import tiny
from tests.helpers.run_folder import metrics, report, results, unfinished


def test_not_a_run(tmp_path):
    with pytest.raises(FxtradeError, match="is not a run: there is no config.json"):
        tiny.resume(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"train":', b"\xff\x00", b"[1, 2]", b'{"tarin": {}}'])
def test_a_damaged_config(copy, content):
    (copy / "config.json").write_bytes(content)
    with pytest.raises(FxtradeError) as e:
        tiny.resume(copy)
    assert "damaged" in str(e.value) or "config" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}'])
def test_a_damaged_record_is_not_written_again(copy, content):
    (copy / "run.json").write_text(content)
    with pytest.raises(FxtradeError, match=r"run.json (is damaged|holds version 99).*; restore it from a copy, or"):
        tiny.resume(copy)
    assert (copy / "run.json").read_text() == content


def test_another_process_trains_in_the_folder(copy):
    unfinished(copy)
    before = metrics(copy), (copy / "config.json").read_bytes()
    with run_dir.lock(copy):
        for steps in (None, 60):
            with pytest.raises(FxtradeError, match="another process is training in this folder"):
                run.resume(copy, steps)
    assert (metrics(copy), (copy / "config.json").read_bytes()) == before


@pytest.mark.parametrize(
    "key, value, what",
    [
        ("data.synth.seed", 1, "its data_fingerprint is"),
        ("label.horizon", 2, "its label is"),
    ],
)
def test_another_config_than_that_of_the_checkpoint(copy, key, value, what):
    values = json.loads((copy / "config.json").read_text())
    *groups, last = key.split(".")
    place = values
    for group in groups:
        place = place[group]
    place[last] = value
    (copy / "config.json").write_text(json.dumps(values))
    unfinished(copy)
    with pytest.raises(CheckpointError, match="belongs to another run") as e:
        tiny.resume(copy)
    assert what in str(e.value)


def test_a_damaged_checkpoint_and_the_way_back(copy, finished):
    newest = copy / "checkpoints" / "last" / "40"
    (newest / "meta" / "metadata").write_text("")
    unfinished(copy)
    with pytest.raises(CheckpointError, match=f"{newest} is damaged.*delete that folder to resume from step 30"):
        tiny.resume(copy)
    for path in sorted(newest.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    newest.rmdir()
    tiny.resume(copy)
    assert metrics(copy) == metrics(finished)
    assert results(report(copy)) == results(report(finished))
