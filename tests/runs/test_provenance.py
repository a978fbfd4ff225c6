from __future__ import annotations

import dataclasses
import json
import os
import re

import pytest

from fxtrade.core.codec import from_jsonable
from fxtrade.core.config import DataConfig, ReportConfig, RunConfig, TrainConfig
from fxtrade.core.files import to_jsonable
from fxtrade.runs import provenance, run_dir
from fxtrade.runs.provenance import Provenance

CONFIG = RunConfig(name="me", features={"log_return": {"horizons": (1, 2)}})


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

    def test_the_choice_of_baselines_does_not_count(self):
        fewer = dataclasses.replace(CONFIG, report=ReportConfig(baselines=None))
        assert provenance.config_hash(CONFIG) == provenance.config_hash(fewer)

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

    def test_it_survives_the_file(self, tmp_path):
        folder = run_dir.create(tmp_path, CONFIG, "a")
        assert provenance.config_hash(run_dir.load_config(folder)) == provenance.config_hash(CONFIG)


def test_where_a_run_came_from(monkeypatch):
    monkeypatch.setattr("sys.argv", ["scripts/train.py", "--config", "x"])
    found = provenance.provenance(CONFIG, "abc")
    assert found.data_fingerprint == "abc" and found.config_hash == provenance.config_hash(CONFIG)
    environment = found.environment
    assert environment.command == "python scripts/train.py --config x"
    assert environment.cores == os.cpu_count() and environment.devices
    assert set(environment.packages) == set(provenance.PACKAGES)
    assert all(re.match(r"\d+\.", v) for v in environment.packages.values())
    assert re.match(r"\d+\.\d+\.\d+", environment.code)
    assert from_jsonable(Provenance, json.loads(json.dumps(to_jsonable(found))), "p") == found
