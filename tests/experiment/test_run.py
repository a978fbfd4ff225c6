from __future__ import annotations

import io
import json
import os
import re
import signal

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core.errors import CheckpointError, FxtradeError
from fxtrade.experiment import run
from fxtrade.pipeline import dataset, predict, training
from fxtrade.report.progress import Console
from fxtrade.report.schema import RunReport
from fxtrade.runs import continuation, ledger, provenance, run_dir
from fxtrade.runs.record import RunRecord
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.metric_writer import read_metrics
from fxtrade.train.optim import optimizer
from fxtrade.train.step import create
from tests.helpers import tiny
from tests.helpers.bar_files import columns, rows, write
from tests.helpers.trees import same

SPEED = "train/labels_per_second"


def report(folder) -> RunReport:
    """`report.json`, which must be strict JSON: no NaN."""
    json.loads((folder / run_dir.REPORT).read_text(), parse_constant=pytest.fail)
    return RunReport.read(folder / run_dir.REPORT)


def results(made: RunReport) -> str:
    """All that follows from config and data; as text, since NaN is not equal to itself."""
    parts = ("data", "accuracy", "baselines", "other_labels", "scores", "symbols", "months", "trading")
    return repr([getattr(made, name) for name in parts])


def metrics(folder) -> list[dict]:
    return [{k: v for k, v in row.items() if k != SPEED} for row in read_metrics(folder / "metrics.jsonl")]


def best(folder):
    """Model, data and the averaged weights of the best checkpoint."""
    config = run_dir.load_config(folder)
    model = models.build(config.model.name, config.model.options, models.HeadSpec(config.label.classes))
    data = dataset.prepare(config, dataset.load(config.data))
    params = models.init(model, jax.random.PRNGKey(0), *data.features.x.shape[1:])
    identity = json.loads(next(folder.glob("checkpoints/best/*/meta/metadata")).read_text())["identity"]
    like = create(params, optimizer(config.optim, config.train.steps, config.train.trainable))
    return model, data, Checkpoints(folder / "checkpoints", identity).restore(like, "best")[0].ema


def unfinished(folder) -> None:
    """Leave a run as a kill just before its end would."""
    (folder / run_dir.RECORD).unlink()


def files(folder) -> set[str]:
    return {p.name for p in folder.iterdir()}


class TestWhatItLeaves:
    def test_the_folder(self, finished):
        events = {name for name in files(finished) if name.startswith("events.out.tfevents.")}
        assert len(events) == 1
        assert files(finished) - events == {
            *("config.json", "run.json", "metrics.jsonl", "report.json", "report.md"),
            *("plots", "checkpoints"),
        }
        assert files(finished.parent) == {finished.name, "ledger.jsonl"}
        assert len(list((finished / "plots").glob("*.png"))) >= 5
        assert sorted(int(p.name) for p in (finished / "checkpoints" / "last").iterdir()) == [20, 30, 40]

    def test_the_config_comes_back(self, finished):
        assert run_dir.load_config(finished) == tiny.config()
        assert json.loads((finished / "config.json").read_text())["train"]["steps"] == 40

    def test_every_part_of_the_report(self, finished):
        made = report(finished)
        assert made.folder == finished.name and made.training.stopped == "finished"
        assert made.config == tiny.config()
        rows = read_metrics(finished / "metrics.jsonl")
        steps = [(row["step"], row["train/loss"], row["valid/loss"]) for row in rows]
        assert [(row.step, row.train, row.valid) for row in made.history] == steps
        assert made.data.symbols == ("SIM0", "SIM1") and made.data.interval == "1h"
        rules = ["majority", "reversal", "momentum", "last taker side"]
        assert list(made.baselines) == [*rules, "logistic regression", "gradient-boosted trees"]
        for table in (made.accuracy, *made.baselines.values(), *(other.accuracy for other in made.other_labels)):
            assert tuple(row.target for row in table) == tiny.config().report.coverages
        assert made.null_baselines == made.auxiliary.horizons == {} and made.auxiliary.returns is None
        assert [other.label.name for other in made.other_labels] == ["close_to_close"]
        assert [g.name for g in made.symbols] == ["SIM0", "SIM1"]
        assert len(made.trading.grid) == 15
        assert made.data.planted_edge and 0.5 < made.data.best_accuracy < 0.8

    def test_metrics_at_every_evaluation(self, finished):
        assert [row["step"] for row in metrics(finished)] == [10, 20, 30, 40]

    def test_where_it_came_from(self, finished):
        record, made = RunRecord.read(finished / run_dir.RECORD), report(finished)
        source, environment = made.provenance, made.provenance.environment
        assert record.provenance == source
        assert source.data_fingerprint == dataset.load(tiny.config().data).fingerprint()
        assert source.config_hash == provenance.config_hash(tiny.config())
        assert (source.name, source.seed) == ("tiny", 0)
        assert environment.packages["jax"] == jax.__version__ and environment.packages["numpy"] == np.__version__
        assert environment.backend == "cpu" and environment.cores >= 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", environment.started)
        assert record.result.seconds == made.seconds > 0
        assert record.result.metrics["accuracy"] == made.accuracy[0].accuracy

    def test_the_ledger_counts_it(self, finished):
        (trial,) = ledger.read(finished.parent)
        assert trial.run == finished.name and trial.config_hash == provenance.config_hash(tiny.config())
        assert np.isfinite(trial.daily_sharpe) and trial.started and trial.code
        assert trial.symbols == ("SIM0", "SIM1") and trial.simulated
        assert trial.test == RunRecord.read(finished / run_dir.RECORD).spans.test
        assert {"accuracy", "accuracy_top_10", "log_loss", "sharpe", "total_return"} < set(trial.metrics)

    def test_the_numbers_are_those_of_the_best_checkpoint(self, finished):
        model, data, params = best(finished)
        made = predict.score(model, params, data.features)
        counted = made.ok & (data.labels.y >= 0) & data.split.test[:, None]
        right = (made.prob.argmax(-1) == data.labels.y)[counted]
        found = report(finished)
        assert found.accuracy[0].rows == counted.sum() == found.scores.rows
        assert found.accuracy[0].accuracy == pytest.approx(right.mean(), abs=1e-12)
        assert found.scores.accuracy.value == pytest.approx(right.mean(), abs=1e-12)
        assert found.training.parameters == models.parameter_count(params)
        valid = made.ok & (data.labels.y >= 0) & data.split.valid[:, None]
        p = np.take_along_axis(made.prob, np.maximum(data.labels.y, 0)[..., None], -1)[..., 0][valid]
        weighted = -(data.labels.w[valid] * np.log(p)).sum() / data.labels.w[valid].sum()
        assert found.training.best_loss == pytest.approx(weighted, rel=1e-5)
        assert found.training.best_loss == min(row["valid/loss"] for row in metrics(finished))


class TestAgain:
    def test_the_same_seed_gives_the_same_bits(self, finished, tmp_path):
        again = tiny.run_tiny(tmp_path, "again")
        assert metrics(again) == metrics(finished)
        assert same(best(again)[2], best(finished)[2])
        assert results(report(again)) == results(report(finished))

    @pytest.mark.slow
    def test_another_seed_is_another_trial_on_the_same_data(self, copy):
        other = tiny.run_tiny(copy.parent, "other", {"seed": 1})
        assert metrics(other) != metrics(copy)
        found = report(other)
        assert (found.trials_before, found.opened_before) == (1, 0)
        assert found.trading.strategy.trials == 2 and report(copy).trading.strategy.trials == 1
        assert [trial.run for trial in ledger.read(copy.parent)] == [copy.name, "other"]

    def test_a_finished_run_is_left_as_it_is(self, copy):
        def content():
            return {path: path.read_bytes() for path in copy.parent.rglob("*") if path.is_file()}

        before = content()
        assert tiny.resume(copy) == copy
        assert content() == before

    def test_a_run_that_was_killed_after_its_evaluation_is_evaluated_again_and_says_so(self, copy, finished):
        unfinished(copy)
        tiny.resume(copy)
        once, twice = report(finished), report(copy)
        assert results(once) == results(twice)
        assert metrics(copy) == metrics(finished)
        assert (once.opened_before, twice.opened_before) == (0, 0)
        assert twice.trials_before == 0
        assert len(ledger.read(copy.parent)) == 2

    @pytest.mark.slow
    def test_another_run_of_the_same_config_says_so(self, copy):
        assert report(tiny.run_tiny(copy.parent, "other")).opened_before == 1

    @pytest.mark.slow
    def test_a_finished_run_is_trained_longer(self, copy):
        config = continuation.extend(copy, 60)
        run.run(config, copy.parent, resume=copy, console=Console(quiet=True))
        found = report(copy)
        assert (found.training.step, found.config.train.steps, found.trials_before) == (60, 60, 1)
        (entry,) = json.loads((copy / "run.json").read_text())["continued"]
        assert (entry["from_step"], entry["steps_before"], entry["steps"]) == (40, 40, 60)
        assert [row["step"] for row in metrics(copy)] == [10, 20, 30, 40, 50, 60]
        assert continuation.is_finished(copy)

    @pytest.mark.slow
    def test_a_signal_while_the_report_is_written_waits_for_it(self, tmp_path, monkeypatch):
        write = run.run_report.write

        def interrupted(folder, made):
            os.kill(os.getpid(), signal.SIGTERM)
            return write(folder, made)

        monkeypatch.setattr(run.run_report, "write", interrupted)
        folder = tiny.run_tiny(tmp_path, "run")
        assert continuation.is_finished(folder) and (folder / "report.md").exists()

    @pytest.mark.slow
    def test_early_stopping_is_announced(self, tmp_path):
        """Of the run, and of each null baseline."""
        text = io.StringIO()
        changes = {"train.patience": 1, "train.steps": 2_000, "optim.learning_rate": 0.1, "report.null_baseline": True}
        run.run(tiny.config(changes), tmp_path, "run", console=Console(file=text))
        for name in ("training", "null baseline: random walk, training", "null baseline: shuffled, training"):
            assert re.search(rf"^{name}: stopped early at step \d+; .* was lowest at step \d+$", text.getvalue(), re.M)

    def test_the_same_name_is_refused(self, copy):
        before = (copy / "report.json").read_bytes()
        with pytest.raises(FxtradeError, match="holds a run already; resume it with .*, or give another --run"):
            tiny.run_tiny(copy.parent, copy.name)
        assert (copy / "report.json").read_bytes() == before


SMALL = {"log_return": {"horizons": (1, 2)}, "volume_zscore": {"windows": (8,)}}  # features that compile quickly
KINDS = {
    "volatility": {"label.name": "volatility_direction", "label.horizon": 4, "label.options.median_window": 48},
    "three classes, weighted": {"label.classes": 3, "label.horizon": 3, "loss.effective_number_beta": 1.0},
    "null baseline": {"report.null_baseline": True},
    "ordinal, cut, taught": {
        "label.classes": 3,
        "loss.name": "ordinal",
        "train.mixup.name": "cutmix",
        "train.curriculum.name": "teacher_loss",
    },
    "triple barrier": {"label.name": "triple_barrier", "label.horizon": 8, "label.options.volatility_window": 32},
    "sharpe": {"loss.name": "sharpe", "train.mixup.name": "manifold", "train.curriculum.name": "abs_return"},
}


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """Two symbols, one listed later, with gaps at different times and without order flow."""
    folder = tmp_path_factory.mktemp("gappy")
    table = {k: v for k, v in columns(n=1_000, step=3_600).items() if k != "taker_buy_base"}
    late = {k: v for k, v in columns(n=1_000, step=3_600, seed=1).items() if k != "taker_buy_base"}
    write(folder / "A.parquet", rows(table, np.setdiff1d(np.arange(1_000), np.arange(70, 1_000, 130))))
    write(folder / "B.csv", rows(late, np.setdiff1d(np.arange(200, 950), np.arange(500, 540))))
    return folder


class TestKinds:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.slow
    def test_it_runs(self, tmp_path, gappy, kind):
        own = {"data.path": str(gappy), "data.align": "union", "features": SMALL, "train.steps": 10}
        found = report(tiny.run_tiny(tmp_path, "run", own | KINDS[kind]))
        assert np.isnan(found.data.best_accuracy)
        assert found.data.bars == 1_000
        assert (found.trading is None) == (kind == "volatility")
        assert ("persistence" in found.baselines) == (kind == "volatility")
        assert "last taker side" not in found.baselines
        assert set(found.null_baselines) == ({"random walk", "shuffled"} if kind == "null baseline" else set())
        assert all(0 < row.accuracy < 1 for row in found.accuracy if row.rows)


BAD = {
    "unknown model": ({"model.name": "wavnet"}, "there is no model 'wavnet'; did you mean 'wavenet'?"),
    "unknown option": ({"model.options.width": 4}, "model 'wavenet' has no option 'width'"),
    "option of the wrong type": ({"model.options": {"layers": 2.5}}, "option layers must be int, got 2.5"),
    "unknown feature": ({"features": {"log_retrun": {}}}, "no feature 'log_retrun'; did you mean 'log_return'?"),
    "unknown feature option": ({"features": {"log_return": {"horizon": 1}}}, "feature 'log_return' has no option"),
    "unknown label": ({"label.name": "open_to_opem"}, "there is no label 'open_to_opem'; did you mean 'open_to_open'?"),
    "unknown market option": ({"data.synth": {"bar": 1}}, "data.synth has no key 'bar'; did you mean 'bars'?"),
    "receptive field": ({"model.options.layers": 10}, "too few bars (1,000): a training segment takes 32 bars"),
    "too few bars": ({"data.synth.bars": 40}, "no row of these 40 bars has both a label and defined features"),
    "half-life": ({"scaler.halflife": 5e3}, "a shorter scaler.halflife (here 5000 bars)"),
    "look-back": ({"adapt.steps": 2, "adapt.lookback": 5_000}, "adapt.lookback = 5000: before the validation rows"),
    "horizon": ({"label.horizon": 200}, "span is empty after purging; use more data, a shorter label.horizon"),
    "horizon beyond the data": ({"label.horizon": 10**9}, "label.horizon: a label of 1,000,000,000 bars does not fit"),
    "block": ({"report.bootstrap_block": "1x"}, "'1x' is not an interval"),
    "resample": ({"data.resample": "90m"}, "data.resample = '90m' is not a multiple of the bars' own interval, 1h"),
    "coverages": (
        {"report.coverages": (0.5,)},
        "config.report.coverages must start with 1.0 (all forecasts), got (0.5,)",
    ),
}


class TestMistakes:
    """All are found before training starts, and leave no folder behind, so that the name is free for the next try."""

    @pytest.mark.parametrize("case", BAD)
    def test_config_and_data(self, tmp_path, case):
        changes, message = BAD[case]
        with pytest.raises(FxtradeError) as e:
            tiny.run_tiny(tmp_path / "results", "run", {"features": SMALL} | changes)
        assert message in str(e.value) and "\n" not in str(e.value)
        assert not (tmp_path / "results").exists()

    def test_a_feature_whose_column_is_missing(self, tmp_path, gappy):
        own = {"data.path": str(gappy), "data.align": "union", "features": {"taker_imbalance": {}}}
        with pytest.raises(
            FxtradeError, match="'taker_imbalance' needs the column taker_buy_base, .*leave the feature"
        ):
            tiny.run_tiny(tmp_path / "results", "run", own)
        assert not (tmp_path / "results").exists()

    def test_prices_that_only_rise(self, tmp_path):
        table = columns(n=1_000, step=3_600)
        table["open"] = 100 * 1.001 ** np.arange(1_000)
        table |= {"close": table["open"] * 1.0005, "low": table["open"], "high": table["open"] * 1.0005}
        with pytest.raises(FxtradeError, match="all training labels are of class 1: there is nothing to learn"):
            own = {"data.path": str(write(tmp_path / "UP.csv", table)), "features": SMALL}
            tiny.run_tiny(tmp_path / "results", "run", own)

    def test_a_name_that_is_a_path(self, tmp_path):
        with pytest.raises(FxtradeError, match="--run a/b must be a plain name"):
            tiny.run_tiny(tmp_path, "a/b")

    def test_a_name_or_a_ledger_that_cannot_be_is_found_before_training(self, tmp_path, monkeypatch):
        monkeypatch.setattr(training, "train", pytest.fail)
        for name in ("lr[1]", "x" * 300):
            with monkeypatch.context() as patch:
                patch.setattr(dataset, "load", pytest.fail)
                with pytest.raises(FxtradeError, match="--run"):
                    tiny.run_tiny(tmp_path, name)
        (tmp_path / "ledger.jsonl").mkdir()
        with pytest.raises(FxtradeError, match="ledger.jsonl cannot be read: Is a directory"):
            tiny.run_tiny(tmp_path, "run")
        assert files(tmp_path) == {"ledger.jsonl"}

    def test_results_that_cannot_be_written(self, tmp_path):
        (tmp_path / "results").write_text("in the way")
        with pytest.raises(FxtradeError, match="results/run cannot be written: .*--results"):
            tiny.run_tiny(tmp_path / "results", "run", {"features": SMALL})

    def test_a_damaged_ledger(self, tmp_path):
        (tmp_path / "ledger.jsonl").write_text('{"config_hash": "a", "data_fingerprint": "d"}\n{"config_ha\n')
        with pytest.raises(FxtradeError, match="ledger.jsonl, line 2 is damaged; the ledger counts all trials"):
            tiny.run_tiny(tmp_path, "run")
        assert files(tmp_path) == {"ledger.jsonl"}


class TestResumingMistakes:
    def test_not_a_run(self, tmp_path):
        with pytest.raises(FxtradeError, match="is not a run: there is no config.json"):
            tiny.resume(tmp_path)

    @pytest.mark.parametrize("content", [b"", b'{"train":', b"\xff\x00", b"[1, 2]", b'{"tarin": {}}'])
    def test_a_damaged_config(self, copy, content):
        (copy / "config.json").write_bytes(content)
        with pytest.raises(FxtradeError) as e:
            tiny.resume(copy)
        assert "damaged" in str(e.value) or "config" in str(e.value)
        assert "\n" not in str(e.value)

    @pytest.mark.parametrize(
        "key, value, what",
        [
            ("data.synth.seed", 1, "its data_fingerprint is"),
            ("label.horizon", 2, "its label is"),
        ],
    )
    def test_another_config_than_that_of_the_checkpoint(self, copy, key, value, what):
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

    def test_a_damaged_checkpoint_and_the_way_back(self, copy, finished):
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
