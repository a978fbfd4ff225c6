from __future__ import annotations

import dataclasses
import json
import os
import re
import threading

import pytest

from fxtrade.core.config import DataConfig, RunConfig, TrainConfig
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.registry import to_dict
from fxtrade.runs import ledger, provenance, run_dir

CONFIG = RunConfig(name="me", features={"log_return": {"horizons": (1, 2)}})


class TestFolder:
    def test_it_holds_the_config(self, tmp_path):
        folder = run_dir.create(tmp_path / "results", CONFIG, "first")
        assert folder == tmp_path / "results" / "first"
        assert run_dir.load_config(folder) == CONFIG

    def test_without_a_name_it_has_the_config_s_and_the_time(self, tmp_path):
        assert re.fullmatch(r"me-\d{8}-\d{6}", run_dir.create(tmp_path, CONFIG).name)

    def test_a_run_is_never_overwritten(self, tmp_path):
        folder = run_dir.create(tmp_path, CONFIG, "first")
        with pytest.raises(FxtradeError, match=f"{folder} holds a run already; resume it with --resume {folder}"):
            run_dir.create(tmp_path, CONFIG, "first")

    @pytest.mark.parametrize("name", ["a/b", "../a", "/a", ".", ".."])
    def test_it_lies_in_the_results_beside_its_ledger(self, tmp_path, name):
        with pytest.raises(ConfigError, match="must be a plain name; choose the folder around it with --results"):
            run_dir.create(tmp_path, CONFIG, name)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "results").write_text("in the way")
        with pytest.raises(FxtradeError, match="cannot be written: .*; choose another place with --results"):
            run_dir.create(tmp_path / "results", CONFIG, "first")


class TestConfigHash:
    def test_the_name_does_not_count(self):
        assert provenance.config_hash(CONFIG) == provenance.config_hash(dataclasses.replace(CONFIG, name="you"))

    @pytest.mark.parametrize(
        "change",
        [
            {"seed": 1},
            {"train": TrainConfig(steps=999)},
            {"features": {"log_return": {"horizons": (1, 3)}}},
            {"features": {"log_return": {"horizons": (1, 2)}, "calendar": {}}},
        ],
    )
    def test_everything_else_does(self, change):
        assert provenance.config_hash(CONFIG) != provenance.config_hash(dataclasses.replace(CONFIG, **change))

    def test_where_the_data_lie_does_not_count(self):
        here, there = (dataclasses.replace(CONFIG, data=DataConfig(path=p, start="2024-01-01")) for p in ("a", "/b/c"))
        assert provenance.config_hash(here) == provenance.config_hash(there)
        assert provenance.config_hash(here) != provenance.config_hash(
            dataclasses.replace(CONFIG, data=DataConfig(path="a"))
        )

    def test_a_key_that_came_later_changes_nothing(self, monkeypatch):
        """Every hash of the ledger and of a comparison stays as it was, as long as the key has its default."""
        before = provenance.config_hash(CONFIG)

        @dataclasses.dataclass(frozen=True)
        class Later(RunConfig):
            novelty: float = 0.5

        monkeypatch.setattr(provenance, "RunConfig", Later)
        fields = {f.name: getattr(CONFIG, f.name) for f in dataclasses.fields(CONFIG)}
        assert provenance.config_hash(Later(**fields)) == before
        assert provenance.config_hash(Later(**fields, novelty=0.7)) != before

    def test_choices_are_what_differs_from_the_defaults(self):
        assert provenance.non_defaults(RunConfig()) == {}
        config = dataclasses.replace(CONFIG, train=TrainConfig(steps=999))
        assert provenance.non_defaults(config) == {
            "name": "me",
            "features": {"log_return": {"horizons": (1, 2)}},
            "train": {"steps": 999},
        }

    def test_an_option_that_is_none_counts(self):
        plain, none = ({"log_return": options} for options in ({}, {"horizons": None}))
        hashes = [provenance.config_hash(dataclasses.replace(CONFIG, features=f)) for f in (plain, none)]
        assert hashes[0] != hashes[1]

    def test_it_survives_the_file(self, tmp_path):
        folder = run_dir.create(tmp_path, CONFIG, "a")
        assert provenance.config_hash(run_dir.load_config(folder)) == provenance.config_hash(CONFIG)


class TestLedger:
    @staticmethod
    def trial(config="c", data="d", sharpe=0.1):
        return {"config_hash": config, "data_fingerprint": data, "daily_sharpe": sharpe}

    def test_trials_on_the_same_data_by_others_and_openings_by_ourselves(self, tmp_path):
        for entry in (
            self.trial("me"),
            self.trial("you", sharpe=0.2),
            self.trial("me"),
            self.trial("you", sharpe=0.3),
            self.trial("they", sharpe=float("nan")),
            self.trial("else", data="other"),
        ):
            ledger.append_trial(tmp_path, entry)
        others, opened = ledger.past_trials(tmp_path, "d", "me")
        assert opened == 2
        assert others == {"you": 0.3, "they": pytest.approx(float("nan"), nan_ok=True)}
        assert ledger.past_trials(tmp_path, "other", "me") == ({"else": 0.1}, 0)

    def test_there_is_none_at_first(self, tmp_path):
        assert ledger.read(tmp_path) == []
        assert ledger.past_trials(tmp_path, "d", "me") == ({}, 0)

    @pytest.mark.parametrize("line", [b'{"config_hash": "a"', b"[1]", b"3", b'{"run": "a"}', b"\xff\xfe", b""])
    def test_a_damaged_line_is_named(self, tmp_path, line):
        good = json.dumps(self.trial()).encode()
        (tmp_path / ledger.LEDGER).write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
        with pytest.raises(FxtradeError, match="ledger.jsonl, line 2 is damaged; the ledger counts all trials"):
            ledger.read(tmp_path)

    def test_a_ledger_that_cannot_be_written_prints_what_it_would_have_held(self, tmp_path):
        (tmp_path / ledger.LEDGER).mkdir()
        with pytest.raises(FxtradeError, match='cannot be written: Is a directory.*"config_hash": "c"'):
            ledger.append_trial(tmp_path, self.trial())

    def test_runs_side_by_side_do_not_mix_their_lines(self, tmp_path):
        def enter(who):
            for i in range(100):
                ledger.append_trial(tmp_path, self.trial(f"{who}-{i}") | {"padding": "x" * 3_000})

        threads = [threading.Thread(target=enter, args=(who,)) for who in "abcd"]
        [t.start() for t in threads]
        [t.join() for t in threads]
        entries = ledger.read(tmp_path)
        assert len(entries) == 400 == len({e["config_hash"] for e in entries})


def test_provenance_says_where_a_run_came_from(monkeypatch):
    monkeypatch.setattr("sys.argv", ["scripts/train.py", "--config", "x"])
    facts = provenance.provenance(CONFIG, "abc")
    assert facts["data_fingerprint"] == "abc" and facts["config_hash"] == provenance.config_hash(CONFIG)
    assert facts["command"] == "python scripts/train.py --config x"
    assert facts["cores"] == os.cpu_count() and facts["devices"]
    assert set(facts["packages"]) == set(provenance.PACKAGES)
    assert all(re.match(r"\d+\.", v) for v in facts["packages"].values())
    assert re.match(r"\d+\.\d+\.\d+", facts["code"])
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b'{"train": {"stepz": 1}}', b"[]", b"{}"])
def test_a_config_that_is_damaged_or_of_another_version(tmp_path, content):
    (tmp_path / run_dir.CONFIG).write_bytes(content)
    with pytest.raises(ConfigError) as e:
        run_dir.load_config(tmp_path)
    assert "\n" not in str(e.value)


def test_the_config_file_is_the_whole_config(tmp_path):
    folder = run_dir.create(tmp_path, CONFIG, "a")
    assert json.loads((folder / run_dir.CONFIG).read_text()) == json.loads(json.dumps(to_dict(CONFIG)))
