"""The folder of a feature study, and the mistakes that it names."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console as Rich

from fxtrade.core.config import SplitConfig
from fxtrade.core.errors import ConfigError, DataError, FxtradeError
from fxtrade.experiment import feature_study, study_folder
from fxtrade.pipeline import dataset
from fxtrade.report.progress import Console
from fxtrade.report.study_schema import StudyReport
from fxtrade.runs import provenance, run_dir
from tests.helpers import tiny
from tests.helpers.tiny_study import config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return feature_study.run(config(), tmp_path_factory.mktemp("results"), "planted", Console(quiet=True))


class TestFolder:
    def test_it_holds_everything_and_nothing_else_is_there(self, folder):
        assert {p.name for p in folder.iterdir()} == {"config.json", "study.json", "study.md", "plots"}
        assert {p.stem for p in (folder / "plots").iterdir()} == {"ic", "columns", "stability", "redundancy"}
        assert [p.name for p in folder.parent.iterdir()] == ["planted"]  # no ledger: it is not a trial
        assert run_dir.load_config(folder) == config()

    def test_where_it_comes_from(self, folder):
        json.loads((folder / run_dir.STUDY).read_text(), parse_constant=pytest.fail)  # strict JSON
        made = StudyReport.read(folder / run_dir.STUDY)
        assert made.folder == "planted" and made.config == config() and made.seconds > 0
        assert made.provenance.data_fingerprint == dataset.load(config().data).fingerprint()
        assert made.data.symbols == ("SIM0", "SIM1") and made.data.interval == "1h"
        assert 8_000 * 0.6 < made.data.bars < 8_000 * 0.7  # the training span alone
        assert made.data.rows <= 2 * made.data.bars
        assert len(made.tests) == 2 * len(made.columns) == 2 * len(made.correlation)
        assert len(made.periods) == 5 and list(made.periods) == sorted(made.periods)

    def test_the_study_is_not_part_of_a_trial(self):
        assert provenance.config_hash(config(horizons=(2,))) == provenance.config_hash(config())

    def test_stopping_leaves_nothing(self, tmp_path, monkeypatch):
        def stop(folder, report):
            assert (folder / run_dir.STUDY).exists()  # in the middle of writing
            raise KeyboardInterrupt

        monkeypatch.setattr(feature_study.study_report, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            feature_study.run(config(horizons=(1,)), tmp_path, "stopped", Console(quiet=True))
        assert not list(tmp_path.iterdir())

    def test_studies_of_one_second_have_folders_of_their_own(self, tmp_path, monkeypatch):
        monkeypatch.setattr(study_folder.run_dir, "timestamp", lambda: "now")
        with study_folder.claim(tmp_path, "", "a") as one, study_folder.claim(tmp_path, "", "a") as two:
            assert (one.name, two.name) == ("a-now", "a-now-2") and one.is_dir() and two.is_dir()
            (two / "study.md").touch()
        assert not one.exists() and two.exists()

    @pytest.mark.slow
    def test_the_script(self, tmp_path):
        changes = tiny.OVERRIDES | {"data.synth.bars": 3_000, "study.horizons": "(1, 3)", "study.bootstrap_samples": 50}
        flags = [f"--config.{k}={v}" for k, v in changes.items()]
        arguments = ("scripts/features.py", "--config=configs/wavenet.py", *flags, f"--results={tmp_path}")
        process = tiny.python(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        (made,) = tmp_path.iterdir()
        assert made.name.startswith("tiny-features-") and str(made / "study.md") in out
        assert "tests" in out and "taker_imbalance_16" in out


class TestClock:
    """Daily bars, which have no season within the day."""

    SYNTH = {"interval": "1d", "bars": 2_000}

    def test_features_that_it_does_not_allow_are_left_out(self, tmp_path):
        made = config(self.SYNTH, horizons=(1,))
        made = dataclasses.replace(made, features={"volatility_season": {}, "log_return": {"horizons": (1,)}})
        console, file = Console(), io.StringIO()
        console.rich = Rich(file=file, width=200, highlight=False)
        folder = feature_study.run(made, tmp_path, "daily", console)
        report = StudyReport.read(folder / run_dir.STUDY)
        assert [column.name for column in report.columns] == ["log_return_1"]
        text = "volatility_season needs regular bars of whole minutes that divide a day, and these are 86400 s long"
        assert report.left_out == (text,) and f"left out: {text}" in file.getvalue()
        assert f"| left out | {text} |" in (folder / "study.md").read_text()
        assert run_dir.load_config(folder) == made

    def test_without_any_other_the_study_stops(self, tmp_path):
        made = dataclasses.replace(config(self.SYNTH), features={"volatility_season": {}})
        with pytest.raises(ConfigError, match="'volatility_season' needs regular bars .*; resample them"):
            feature_study.run(made, tmp_path, "daily", Console(quiet=True))


class TestMistakes:
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"span": "test"}, "config.study.span must be 'train' or 'train.valid', got 'test'"),
            ({"horizons": ()}, "config.study.horizons"),
            ({"horizons": (1, 1)}, "config.study.horizons must be distinct"),
            ({"horizons": (0,)}, "config.study.horizons"),
            ({"fdr": 0.0}, "config.study.fdr"),
            ({"cluster_threshold": 1.5}, "config.study.cluster_threshold"),
            ({"periods": 0}, "config.study.periods"),
            ({"bootstrap_samples": 0}, "config.study.bootstrap_samples"),
            ({"horizon": 3}, "config.study has no key 'horizon'; did you mean 'horizons'"),
        ],
    )
    def test_config(self, options, message):
        with pytest.raises(ConfigError, match=message):
            config(**options)

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"horizons": (1, 5_600)}, "study.horizons: 5,600 bars do not fit into the train span of"),
            ({"bootstrap_block": "1x"}, "'1x' is not an interval"),
            ({"bootstrap_block": "52w"}, "study.bootstrap_block = '52w' .*: the span is a single block"),
        ],
    )
    def test_data(self, tmp_path, options, message):
        with pytest.raises(DataError, match=message):
            feature_study.run(config(**options), tmp_path, "run", Console(quiet=True))
        assert not list(tmp_path.iterdir())

    def test_horizons_longer_than_a_block(self, tmp_path):
        split = SplitConfig(name="by_blocks", options={"blocks": 20})
        with pytest.raises(DataError, match="no row .*; use .* scaler.halflife, .*fewer split.options.blocks"):
            changed = dataclasses.replace(config(horizons=(400,)), split=split)
            feature_study.run(changed, tmp_path, "run", Console(quiet=True))

    def test_it_is_not_a_run(self, folder):
        with pytest.raises(ConfigError, match="planted holds a feature study, not a run"):
            run_dir.check_is_run(folder)
        with pytest.raises(FxtradeError, match="planted holds a feature study; give another --run name"):
            run_dir.check_new(folder.parent, folder.name)

    def test_places(self, folder, tmp_path):
        with pytest.raises(FxtradeError, match="planted exists already; give another --run name"):
            feature_study.run(config(), folder.parent, "planted", Console(quiet=True))
        with pytest.raises(ConfigError, match="--run a/b must be a plain name"):
            feature_study.run(config(), tmp_path, "a/b", Console(quiet=True))
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(FxtradeError, match="file/run cannot be written: .*; choose another place with --results"):
            feature_study.run(config(), tmp_path / "file", "run", Console(quiet=True))
