from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.runs import ledger
from fxtrade.runs.ledger import Trial
from fxtrade.runs.record import Period
from tests.full_disk import largest_file


def trial(config="c", data="d", sharpe=0.1, **options) -> Trial:
    return Trial(config, data, daily_sharpe=sharpe, **options)


def test_trials_come_back(tmp_path):
    made = trial(run="a", started="now", code="0.1", metrics={"accuracy": 0.5})
    ledger.append_trial(tmp_path, made)
    assert ledger.read(tmp_path) == [made]


NAN = float("nan")


def test_trials_on_the_same_data_by_others_and_our_own(tmp_path):
    for made in (
        trial("me", run="a"),
        trial("you", sharpe=0.2),
        trial("me", run="b"),
        trial("you", sharpe=0.3),
        trial("they", sharpe=NAN),
        trial("else", data="other"),
    ):
        ledger.append_trial(tmp_path, made)
    past = ledger.past_trials(tmp_path, trial("me", run="c"))
    assert past.opened == 2
    assert list(past.others) == ["you", "they"] and past.daily_sharpes == (0.3,)
    past = ledger.past_trials(tmp_path, trial("me", "other"))
    assert list(past.others) == ["else"] and past.opened == 0


def test_lines_of_one_run_are_one_trial(tmp_path):
    """A run that is killed after its line and resumed writes another."""
    for run in ("a", "a", "b"):
        ledger.append_trial(tmp_path, trial("me", run=run))
    assert [ledger.past_trials(tmp_path, trial("me", run=run)).opened for run in "abc"] == [1, 1, 2]


def test_a_ruined_trial_counts_and_one_that_is_not_traded_does_not(tmp_path):
    ledger.append_trial(tmp_path, trial("ruined", sharpe=NAN, metrics={"accuracy": 0.5, "total_return": -1.0}))
    ledger.append_trial(tmp_path, trial("volatility", sharpe=NAN, metrics={"accuracy": 0.5}))
    ledger.append_trial(tmp_path, trial("never trades", sharpe=NAN, metrics={"accuracy": 0.5, "total_return": 0.0}))
    past = ledger.past_trials(tmp_path, trial("me"))
    assert len(past.others) == 3
    assert past.daily_sharpes == pytest.approx((NAN,), nan_ok=True)


class TestSharedData:
    """What is learnt of a test span remains known when the data change by a bar or a symbol."""

    OWN = trial("me", "new", symbols=("BTC", "ETH"), test=(Period(100, 200), Period(400, 500)))

    @pytest.mark.parametrize(
        "symbols, test, shares",
        [
            (("BTC", "ETH"), (Period(101, 201),), True),
            (("ETH",), (Period(500, 600),), True),
            (("SOL", "ETH"), (Period(0, 50), Period(200, 300)), True),
            (("BTC", "ETH"), (Period(201, 399),), False),
            (("SOL",), (Period(100, 200),), False),
            ((), (), False),
        ],
    )
    def test_a_symbol_and_a_time_in_common(self, tmp_path, symbols, test, shares):
        ledger.append_trial(tmp_path, trial("you", "old", symbols=symbols, test=test))
        assert list(ledger.past_trials(tmp_path, self.OWN).others) == ["you"] * shares

    def test_simulated_markets_are_told_apart_by_their_fingerprint(self, tmp_path):
        ledger.append_trial(tmp_path, dataclasses.replace(self.OWN, config_hash="you", simulated=True))
        assert list(ledger.past_trials(tmp_path, self.OWN).others) == ["you"]
        other = dataclasses.replace(self.OWN, data_fingerprint="newer", simulated=True)
        assert not ledger.past_trials(tmp_path, other).others


def test_there_is_none_at_first(tmp_path):
    assert ledger.read(tmp_path) == []
    assert ledger.past_trials(tmp_path, trial()) == ({}, 0, tmp_path)


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


def test_an_unfinished_last_line_is_not_a_trial(tmp_path):
    ledger.append_trial(tmp_path, trial("a"))
    with (tmp_path / ledger.LEDGER).open("a") as file:
        file.write('{"config_hash": "b"')
    assert [t.config_hash for t in ledger.read(tmp_path)] == ["a"]
    notices = []
    ledger.check(tmp_path, notices.append)
    assert len(notices) == 1 and notices[0].startswith(f"{tmp_path / ledger.LEDGER}, line 2 is unfinished")
    ledger.append_trial(tmp_path, trial("c"))
    assert [t.config_hash for t in ledger.read(tmp_path)] == ["a", "c"]
    ledger.check(tmp_path, notices.append)
    assert len(notices) == 1


def test_on_a_full_disk_no_other_trial_is_lost(tmp_path):
    ledger.append_trial(tmp_path, trial("a"))
    with pytest.raises(FxtradeError, match='File too large; this trial is not counted: .*"config_hash": "b"'):
        with largest_file((tmp_path / ledger.LEDGER).stat().st_size + 20):
            ledger.append_trial(tmp_path, trial("b"))
    ledger.append_trial(tmp_path, trial("c"))
    assert [t.config_hash for t in ledger.read(tmp_path)] == ["a", "c"]


def test_it_is_checked_before_training(tmp_path):
    ledger.check(tmp_path / "new")
    ledger.append_trial(tmp_path, trial())
    ledger.check(tmp_path)
    assert len(ledger.read(tmp_path)) == 1
    (tmp_path / "results" / ledger.LEDGER).mkdir(parents=True)
    with pytest.raises(FxtradeError, match="ledger.jsonl cannot be read: Is a directory"):
        ledger.check(tmp_path / "results")


def test_a_ledger_that_is_read_only_is_found_before_training(tmp_path, monkeypatch):
    ledger.append_trial(tmp_path, trial())

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"")
    with pytest.raises(FxtradeError, match="ledger.jsonl cannot be written: Read-only file system"):
        ledger.check(tmp_path)


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
