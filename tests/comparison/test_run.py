"""A whole comparison in seconds: two models, two recipes, two seeds on a small simulated market."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal

import numpy as np
import pytest

from fxtrade.comparison import grid, run, statistics
from fxtrade.comparison.store import CELLS, CellStore
from fxtrade.core import registry
from fxtrade.core.errors import FxtradeError, Interrupted, TrainingError
from fxtrade.core.files import to_jsonable
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy
from fxtrade.pipeline import baselines, dataset, predict, training
from fxtrade.report.comparison_schema import CellResult, ComparisonReport
from fxtrade.report.progress import Console
from fxtrade.runs.ledger import read
from fxtrade.train import members
from tests.helpers import tiny
from tests.helpers.tiny_comparison import config, run_tiny


def cells(folder) -> dict[tuple[str, str], CellResult]:
    """The cells without the baselines, by model and recipe."""
    return {(r.model, r.recipe): r for r in CellStore(folder).results.values() if not r.is_baseline}


def lines(folder) -> int:
    return len((folder / CELLS).read_text().splitlines())


def outcome(folder) -> ComparisonReport:
    return ComparisonReport.read(folder / run.REPORT)


def lasting(report: ComparisonReport) -> str:
    """The report without what differs from run to run; as text, since NaN is not equal to itself."""

    def clean(value):
        if isinstance(value, dict):
            skip = ("environment", "started", "seconds", "labels_per_second", "code", "folder")
            return {k: clean(v) for k, v in value.items() if k not in skip}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return json.dumps(clean(to_jsonable(report)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a comparison that nothing disturbed; not to be changed."""
    return run_tiny(tmp_path_factory.mktemp("results"))


@pytest.fixture
def trained(monkeypatch):
    """Names of the cells that have been trained since."""
    names, original = [], run.run_cell

    def count(cell, *rest):
        names.append((cell.model, cell.recipe))
        return original(cell, *rest)

    monkeypatch.setattr(run, "run_cell", count)
    return names


class TestWhatItLeaves:
    def test_the_folder(self, finished):
        names = {p.name for p in finished.iterdir()}
        assert names == {"plan.json", "cells.jsonl", "sums", "comparison.json", "report.md", "plots"}
        assert {p.name for p in (finished / "plots").iterdir()} == {"coverage_sim.png", "recipes.png", "cost.png"}
        store = CellStore(finished)
        assert [r.is_baseline for r in store.results.values()] == [True] * 6 + [False] * 4
        assert [setting.market for setting in store.settings.values()] == ["sim"]
        assert not list(finished.rglob("*.part"))

    def test_every_row_has_its_numbers(self, finished):
        (market,) = outcome(finished).markets
        trees = market.rows[5].result
        assert trees.model == statistics.BASELINE
        assert [(row.result.model, row.result.recipe) for row in market.rows[6:]] == [
            (m, r) for m in ("wavenet", "tcn") for r in ("plain", "focal")
        ]
        for row in market.rows[6:]:
            result = row.result
            assert set(result.accuracy) == {"open_to_open", "close_to_close"}
            assert [r.target for r in result.accuracy["close_to_close"]] == [1.0, 0.25, 0.1, 0.05]
            loss = result.scores.log_loss
            assert loss.low < loss.value < loss.high and np.isfinite(result.trading.daily_sharpe)
            training = result.training
            assert len(training.members) == 2 and training.parameters > 100 and training.steps == 10
            assert set(row.from_baseline.accuracy) == {1.0, 0.1}
            assert (row.from_plain is not None) == (result.recipe == "focal")
            gained = trees.scores.log_loss.value - loss.value
            assert row.from_baseline.log_loss.value == pytest.approx(gained, abs=1e-9)
        assert outcome(finished).summary.tests == 8
        assert [(r.recipe, r.markets["sim"].models) for r in outcome(finished).recipes] == [("focal", 2)]

    def test_every_cell_is_a_trial(self, finished):
        trials = read(finished.parent)
        assert [trial.run for trial in trials] == [
            f"tiny/sim-{m}-{r}"
            for m, r in (("wavenet", "plain"), ("tcn", "plain"), ("wavenet", "focal"), ("tcn", "focal"))
        ]
        assert len({trial.config_hash for trial in trials}) == 4
        for trial in trials:
            assert np.isfinite([trial.metrics["accuracy"], trial.metrics["accuracy_top_10"], trial.daily_sharpe]).all()
            assert trial.symbols == ("SIM0", "SIM1") and trial.simulated and trial.test[0].first < trial.test[0].last

    def test_a_cell_by_hand(self, finished, tiny_setting):
        """Trained and scored over all of history by the parts that a single run uses."""
        cell = grid.cells(config(), {"sim": 2})[0]
        done = training.train(cell.stages[0], tiny_setting.training)
        own = members.unstack(done.fit.params, 2)
        made = mixture.mixture([predict.score(done.model, one, tiny_setting.data.features) for one in own])
        data, options = tiny_setting.data, (cell.stages[0].report, 0)
        labels, test = data.labels, data.split.test
        rows = accuracy.gather(made, labels, data.split, tiny_setting.blocks, options[0].coverages)
        kept = cells(finished)["wavenet", "plain"]
        assert repr(kept.accuracy["open_to_open"]) == repr(accuracy.coverage_table(rows, *options))
        loss = accuracy.scores(rows, *options).log_loss.value
        assert kept.scores.log_loss.value == pytest.approx(loss, rel=1e-5)
        for i, alone in enumerate(kept.training.members):
            one = predict.score(done.model, own[i], data.features)
            correct = (one.prob.argmax(-1) == labels.y)[one.ok & (labels.y >= 0) & test[:, None]]
            assert alone.accuracy["open_to_open"][0] == pytest.approx(correct.mean(), abs=1e-12)

    def test_paired_differences_row_by_row(self, finished, tiny_setting):
        """Of the accuracies, from the table; its interval and p-value, from days resampled and counted here."""
        kept, (market,) = cells(finished), outcome(finished).markets
        (row,) = (r for r in market.of_recipe("focal") if r.result.model == "tcn")
        for place, c in ((0, 1.0), (2, 0.1)):
            own, plain = (kept["tcn", r].accuracy["open_to_open"][place].accuracy for r in ("focal", "plain"))
            assert row.from_plain.accuracy[c].value == pytest.approx(own - plain, abs=1e-12)
        trees = baselines.decide(baselines.boosted_trees(tiny_setting.data, 2, 0))
        labels, test = tiny_setting.data.labels, tiny_setting.data.split.test
        counted = trees.ok & (labels.y >= 0) & test[:, None]
        day = tiny_setting.data.panel.times // (86_400 * 10**9)
        right = (trees.y == labels.y) & counted
        theirs = np.array([[right[day == d].sum(), counted[day == d].sum()] for d in np.unique(day[test])])
        sums = CellStore(finished).sums(row.result)
        ours = np.stack([sums.correct[0, 0], sums.count[0, 0]], 1)
        found = row.from_baseline.accuracy[1.0]
        assert found.value == pytest.approx(
            ours[:, 0].sum() / ours[:, 1].sum() - theirs[:, 0].sum() / theirs[:, 1].sum(), abs=1e-12
        )
        drawn = np.random.default_rng(9).integers(len(ours), size=(4_000, len(ours)))
        gaps = np.subtract(*(s[drawn, 0].sum(1) / s[drawn, 1].sum(1) for s in (ours, theirs)))
        low, high = np.quantile(gaps, [0.025, 0.975])
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.15 * (high - low))


@pytest.mark.slow
class TestAgain:
    def test_nothing_is_trained_twice(self, copy, trained):
        before = (copy / CELLS).read_bytes(), lasting(outcome(copy))
        run_tiny(copy.parent)
        assert trained == []
        assert ((copy / CELLS).read_bytes(), lasting(outcome(copy))) == before
        assert len(read(copy.parent)) == 4

    def test_stopped_and_resumed_it_ends_with_the_same_numbers(self, finished, tmp_path, trained, monkeypatch):
        counted = run.run_cell

        def stop_in_the_third(*arguments):
            if len(trained) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return counted(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(run, "run_cell", stop_in_the_third)
            with pytest.raises(Interrupted, match="stopped with 2 of 4 cells done, .*the same command resumes") as e:
                run_tiny(tmp_path)
        assert e.value.number == signal.SIGTERM
        folder = tmp_path / "tiny"
        assert len(cells(folder)) == 2 and not (folder / "report.md").exists()
        run.table(folder, Console(quiet=True))
        assert "2 of 4 cells" in (folder / "report.md").read_text()
        trained.clear()
        run_tiny(tmp_path)
        assert trained == [("wavenet", "focal"), ("tcn", "focal")]
        assert lasting(outcome(folder)) == lasting(outcome(finished))
        assert len(read(tmp_path)) == 4

    def test_a_request_to_stop_that_a_callback_dropped_is_met_after_the_cell(self, tmp_path, trained, monkeypatch):
        counted = run.run_cell

        def dropping(*arguments):
            with contextlib.suppress(KeyboardInterrupt):  # as Python does with what is raised in the garbage collector
                os.kill(os.getpid(), signal.SIGTERM)
            return counted(*arguments)

        monkeypatch.setattr(run, "run_cell", dropping)
        with pytest.raises(Interrupted, match="stopped with 1 of 4 cells done"):
            run_tiny(tmp_path)
        assert len(trained) == len(cells(tmp_path / "tiny")) == 1

    def test_shards_side_by_side_are_the_whole(self, finished, tmp_path, trained, monkeypatch):
        counted = run.run_cell

        def while_the_other_shard_is_done(*arguments):
            if len(trained) == 1:
                monkeypatch.setattr(run, "run_cell", counted)
                run_tiny(tmp_path, shard=(1, 2))
                assert outcome(tmp_path / "tiny").done == 3
            return counted(*arguments)

        monkeypatch.setattr(run, "run_cell", while_the_other_shard_is_done)
        folder = run_tiny(tmp_path, shard=(2, 2))
        assert trained == [("tcn", "plain"), ("wavenet", "plain"), ("wavenet", "focal"), ("tcn", "focal")]
        assert lasting(outcome(folder)) == lasting(outcome(finished))
        assert outcome(folder).done == len(read(tmp_path)) == 4

    def test_a_line_cut_short_is_recomputed(self, copy, finished, trained):
        path = copy / CELLS
        path.write_bytes(path.read_bytes()[:-40])
        left = path.read_bytes()
        run.table(copy, Console(quiet=True))
        assert path.read_bytes() == left and outcome(copy).done == 3
        run_tiny(copy.parent)
        assert trained == [("tcn", "focal")]
        assert lasting(outcome(copy)) == lasting(outcome(finished))

    def test_damaged_files_are_recomputed_and_nothing_else(self, copy, finished, trained):
        store = CellStore(copy)
        baseline = next(key for key, result in store.results.items() if result.is_baseline)
        for key in (cells(copy)["tcn", "focal"].hash, baseline):
            (copy / "sums" / f"{key}.npz").write_bytes(b"PK")
        run.table(copy, Console(quiet=True))
        assert outcome(copy).done == 3
        run_tiny(copy.parent)
        assert trained == [("tcn", "focal")]
        assert lasting(outcome(copy)) == lasting(outcome(finished))

    def test_a_changed_recipe_recomputes_its_own_cells(self, copy, trained):
        run_tiny(copy.parent, {"recipe_changes": {"focal": {"loss": {"name": "focal", "options": {"gamma": 1.0}}}}})
        assert trained == [("wavenet", "focal"), ("tcn", "focal")]
        (market,) = outcome(copy).markets
        assert len(market.rows) == 6 + 4 and lines(copy) == 11 + 2

    def test_fewer_recipes_are_reported_without_the_others(self, copy, trained):
        run_tiny(copy.parent, {"recipes": ("plain",)})
        assert trained == [] and outcome(copy).recipes == () and outcome(copy).planned == 2

    def test_the_table_needs_neither_data_nor_training(self, copy, monkeypatch, finished):
        for name in ("report.md", "comparison.json"):
            (copy / name).unlink()
        shutil.rmtree(copy / "plots")
        monkeypatch.setattr(dataset, "load", None)
        run.table(copy, Console(quiet=True))
        assert repr(outcome(copy)) == repr(outcome(finished))
        assert (copy / "report.md").read_text() == (finished / "report.md").read_text()


class TestMistakes:
    def test_no_comparison(self, tmp_path):
        with pytest.raises(FxtradeError, match="is not a comparison: .*plan.json cannot be read"):
            run.table(tmp_path, Console(quiet=True))

    def test_a_report_alone(self, tmp_path):
        """As git keeps it."""
        (tmp_path / "report.md").touch()
        with pytest.raises(
            FxtradeError, match=f"only the report .* without plan.json, .*--run {tmp_path.name} computes"
        ):
            run.table(tmp_path, Console(quiet=True))

    def test_what_no_cell_can_do_is_found_before_the_first(self, tmp_path, trained):
        with pytest.raises(FxtradeError, match="loss 'focal' has no option 'gama'; did you mean 'gamma'"):
            own = {"focal": {"loss": {"name": "focal", "options": {"gama": 1.0}}}}
            run_tiny(tmp_path / "results", {"recipe_changes": own})
        assert trained == [] and not (tmp_path / "results").exists()

    @pytest.mark.slow
    def test_training_that_diverges_is_a_result(self, tmp_path, trained, monkeypatch):
        original = training.train

        def diverge(config, *rest, **options):
            if config.loss.name == "focal":
                raise TrainingError("the loss is not finite at step 3")
            return original(config, *rest, **options)

        monkeypatch.setattr(training, "train", diverge)
        folder = run_tiny(tmp_path, {"models": ("tcn",)})
        assert cells(folder)["tcn", "focal"].error == "the loss is not finite at step 3"
        assert "tcn, focal: the loss is not finite at step 3" in (folder / "report.md").read_text()
        assert outcome(folder).recipes == () and len(read(tmp_path)) == 1
        trained.clear()
        run_tiny(tmp_path, {"models": ("tcn",)})
        assert trained == []

    def test_on_the_command_line(self):
        process = tiny.python("scripts/comparison.py", "--config=configs/comparison.py:sim", "--config.budgt=1")
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "")
        assert err == f"error: config has no key 'budgt'{registry.nearest('budgt', registry.to_dict(config()))}\n"


@pytest.mark.slow
def test_a_stage_starts_where_the_last_one_ended(tiny_setting, monkeypatch):
    own = {"recipe_changes": {"focal": ({}, {"loss": {"name": "focal"}})}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    calls, original = [], training.train

    def watch(config, data, start, *stage):
        done = original(config, data, start, *stage)
        calls.append((config.loss.name, start, done.fit.params))
        return done

    monkeypatch.setattr(training, "train", watch)
    result, _ = run.run_cell(cell, "key", "", tiny_setting)
    assert [c[0] for c in calls] == ["cross_entropy", "focal"]
    assert calls[0][1] is None and calls[1][1] is calls[0][2]
    # a stage has a budget of five steps, of which its two evaluations cover four
    assert result.training.stages == 2 and result.training.steps == 2 * 4


@pytest.mark.slow
def test_further_horizons_are_learnt_where_a_recipe_wants_them(tmp_path):
    own = {"focal": {"auxiliary": {"horizons": (2,), "volatility": 0.1}}}
    folder = run_tiny(tmp_path, {"recipe_changes": own, "models": ("tcn",)})
    assert set(cells(folder)) == {("tcn", "plain"), ("tcn", "focal")}
    plain, more = (cells(folder)["tcn", r].training.parameters for r in ("plain", "focal"))
    assert more > plain


@pytest.mark.slow
def test_pre_training_comes_first(tiny_setting, monkeypatch):
    own = {"recipe_changes": {"focal": {"pretrain": {"name": "simclr"}}}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    given_start, original = [], training.train

    def watch(config, data, start, *stage):
        given_start.append(start)
        return original(config, data, start, *stage)

    monkeypatch.setattr(training, "train", watch)
    result, _ = run.run_cell(cell, "key", "", tiny_setting)
    assert given_start[0] is not None and result.training.steps == 4


@pytest.mark.slow
def test_a_later_stage_pre_trains_the_weights_of_the_one_before(tiny_setting, monkeypatch):
    stages = ({}, {"pretrain": {"name": "simclr"}})
    own = {"recipe_changes": {"focal": stages}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    given, trained = [], []
    pretrain, train = training.pretrain, training.train

    def watch_pretrain(config, data, start, *stage):
        given.append(start)
        return pretrain(config, data, start, *stage)

    def watch_train(config, data, start, *stage):
        trained.append(train(config, data, start, *stage))
        return trained[-1]

    monkeypatch.setattr(training, "pretrain", watch_pretrain)
    monkeypatch.setattr(training, "train", watch_train)
    run.run_cell(cell, "key", "", tiny_setting)
    assert len(given) == 1 and given[0] is trained[0].fit.params


def test_cells_start_from_an_earlier_run(tiny_setting, monkeypatch, tmp_path):
    start = {"train": {"init_from": str(tmp_path)}}
    own = {"recipe_changes": {"focal": start}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    given, train = [], training.train
    weights = train(cell.stages[0], tiny_setting.training).fit.params

    def watch(config, data, start, *stage):
        given.append(start)
        return train(config, data, start, *stage)

    monkeypatch.setattr(training, "train", watch)
    monkeypatch.setattr(run, "load_initial_params", lambda stage, data: weights)
    run.run_cell(cell, "key", "", tiny_setting)
    assert len(given) == 1 and given[0] is weights


def test_an_earlier_run_that_does_not_exist_is_refused_before_any_training(tmp_path, monkeypatch):
    def refuse(*args):
        raise AssertionError("trained")

    monkeypatch.setattr(training, "train", refuse)
    with pytest.raises(FxtradeError, match="is not a run"):
        run_tiny(tmp_path, {"recipe_changes": {"focal": {"train": {"init_from": str(tmp_path / "nowhere")}}}})
