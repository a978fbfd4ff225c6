from __future__ import annotations

import json
import threading

import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.runs import ledger
from fxtrade.runs.ledger import Trial


def trial(config="c", data="d", sharpe=0.1, **options) -> Trial:
    return Trial(config, data, daily_sharpe=sharpe, **options)


def test_trials_come_back(tmp_path):
    made = trial(run="a", started="now", code="0.1", metrics={"accuracy": 0.5})
    ledger.append_trial(tmp_path, made)
    assert ledger.read(tmp_path) == [made]


def test_trials_on_the_same_data_by_others_and_our_own(tmp_path):
    for made in (
        trial("me"),
        trial("you", sharpe=0.2),
        trial("me"),
        trial("you", sharpe=0.3),
        trial("they", sharpe=float("nan")),
        trial("else", data="other"),
    ):
        ledger.append_trial(tmp_path, made)
    others, opened = ledger.past_trials(tmp_path, "d", "me")
    assert opened == 2
    assert others == {"you": 0.3, "they": pytest.approx(float("nan"), nan_ok=True)}
    assert ledger.past_trials(tmp_path, "other", "me") == ({"else": 0.1}, 0)


def test_there_is_none_at_first(tmp_path):
    assert ledger.read(tmp_path) == []
    assert ledger.past_trials(tmp_path, "d", "me") == ({}, 0)


def test_no_trial_of_an_earlier_version_is_lost(tmp_path):
    old = {"config_hash": "a", "data_fingerprint": "d", "run": "x", "accuracy": 0.5, "daily_sharpe": None, "ic": 0.1}
    (tmp_path / ledger.LEDGER).write_text(json.dumps(old) + "\n")
    (found,) = ledger.read(tmp_path)
    assert (found.config_hash, found.run, found.metrics) == ("a", "x", {})


@pytest.mark.parametrize(
    "line", [b'{"config_hash": "a"', b"[1]", b"3", b'{"run": "a"}', b'{"config_hash": 1}', b"\xff\xff", b""]
)
def test_a_damaged_line_is_named(tmp_path, line):
    good = json.dumps({"config_hash": "a", "data_fingerprint": "d"}).encode()
    (tmp_path / ledger.LEDGER).write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(FxtradeError, match="ledger.jsonl, line 2 is damaged; the ledger counts all trials"):
        ledger.read(tmp_path)


def test_a_ledger_that_cannot_be_written_prints_what_it_would_have_held(tmp_path):
    (tmp_path / ledger.LEDGER).mkdir()
    with pytest.raises(FxtradeError, match='cannot be written: Is a directory.*"config_hash": "c"'):
        ledger.append_trial(tmp_path, trial())


def test_runs_side_by_side_do_not_mix_their_lines(tmp_path):
    def append(who):
        for i in range(100):
            ledger.append_trial(tmp_path, trial(f"{who}-{i}", run="x" * 3_000))

    threads = [threading.Thread(target=append, args=(who,)) for who in "abcd"]
    [t.start() for t in threads]
    [t.join() for t in threads]
    trials = ledger.read(tmp_path)
    assert len(trials) == 400 == len({t.config_hash for t in trials})
