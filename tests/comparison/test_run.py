"""A whole comparison in seconds: two models, two recipes, two seeds on a small simulated market."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal

import numpy as np
import pytest

from fxtrade.comparison import cell, grid, run, statistics
from fxtrade.core.errors import FxtradeError, TrainingError
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy
from fxtrade.pipeline import baselines, dataset, predict, training
from fxtrade.report.progress import Console
from fxtrade.runs.ledger import read
from fxtrade.train import members
from tests.helpers import tiny
from tests.helpers.tiny_comparison import config, run_tiny

TIMES = ("started", "seconds", "labels_per_second", "code")


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]


def cells(folder) -> dict[tuple[str, str], dict]:
    return {(e["model"], e["recipe"]): e for e in lines(folder) if e["kind"] == "cell"}


def lasting(value):
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {k: lasting(v) for k, v in value.items() if k not in (*TIMES, "run", "command")}
    return [lasting(v) for v in value] if isinstance(value, list) else value


def outcome(folder) -> dict:
    return json.loads((folder / "comparison.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a comparison that nothing disturbed; not to be changed."""
    return run_tiny(tmp_path_factory.mktemp("results"))


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished.parent, tmp_path / "results")
    return tmp_path / "results" / finished.name


@pytest.fixture
def trained(monkeypatch):
    """Names of the cells that have been trained since."""
    names, original = [], run.run_cell

    def count(cell, market):
        names.append((cell.model, cell.recipe))
        return original(cell, market)

    monkeypatch.setattr(run, "run_cell", count)
    return names


class TestWhatItLeaves:
    def test_the_folder(self, finished):
        names = {p.name for p in finished.iterdir()}
        assert names == {"plan.json", "cells.jsonl", "sums", "comparison.json", "report.md", "plots"}
        assert {p.name for p in (finished / "plots").iterdir()} == {"coverage_sim.png", "recipes.png", "cost.png"}
        kinds = [e["kind"] for e in lines(finished)]
        assert kinds == ["baseline"] * 6 + ["market"] + ["cell"] * 4
        assert not list(finished.rglob("*.part"))

    def test_every_row_has_its_numbers(self, finished):
        (market,) = outcome(finished)["markets"]
        assert [r["model"] for r in market["rows"][:6]][-1] == "gradient-boosted trees"
        assert [(r["model"], r["recipe"]) for r in market["rows"][6:]] == [
            (m, r) for m in ("wavenet", "tcn") for r in ("plain", "focal")
        ]
        for row in market["rows"][6:]:
            assert set(row["accuracy"]) == {"open_to_open", "close_to_close"}
            assert [r["target"] for r in row["accuracy"]["close_to_close"]] == [1.0, 0.25, 0.1, 0.05]
            assert set(row["scores"]) == set(row["intervals"]) == set(cell.SCORES)
            low, high = row["intervals"]["log_loss"]
            assert low < row["scores"]["log_loss"] < high
            assert set(row["trading"]) == set(cell.EARNED)
            assert len(row["members"]) == 2 and row["parameters"] > 100 and row["steps"] == 10
            assert set(row["trees"]) == {"1", "0.1"}
            assert ("plain" in row) == (row["recipe"] == "focal") == ("plain" in row["nats"])
            trees = next(r for r in market["rows"] if r["model"] == statistics.TREES)
            gained = trees["scores"]["log_loss"] - row["scores"]["log_loss"]
            assert row["nats"]["trees"]["value"] == pytest.approx(gained, abs=1e-9)
        assert outcome(finished)["goal"]["comparisons"] == 8
        assert [(e["recipe"], e["markets"]["sim"]["1"]["models"]) for e in outcome(finished)["recipes"]] == [
            ("focal", 2)
        ]

    def test_every_cell_is_a_trial(self, finished):
        entries = read(finished.parent)
        assert [e["run"] for e in entries] == [
            f"tiny/sim-{m}-{r}"
            for m, r in (("wavenet", "plain"), ("tcn", "plain"), ("wavenet", "focal"), ("tcn", "focal"))
        ]
        assert len({e["config_hash"] for e in entries}) == 4
        assert all(np.isfinite([e["accuracy"], e["accuracy_top_10"], e["daily_sharpe"]]).all() for e in entries)

    def test_a_cell_by_hand(self, finished, tiny_setting):
        """Trained and scored over all of history by the parts that a single run uses."""
        cell = grid.cells(config(), {"sim": 2})[0]
        done = training.train(cell.stages[0], tiny_setting.training)
        own = members.unstack(done.fit.params, 2)
        made = mixture.mixture([predict.score(done.model, one, tiny_setting.data.features) for one in own])
        split, labels = tiny_setting.data.split, tiny_setting.data.labels
        table = accuracy.coverage_table(
            baselines.decide(made),
            labels,
            split.valid,
            split.test,
            tiny_setting.data.panel.times,
            cell.stages[0].report,
            0,
        )
        kept = cells(finished)["wavenet", "plain"]
        assert kept["accuracy"]["open_to_open"] == json.loads(json.dumps(table))
        assert kept["scores"]["log_loss"] == pytest.approx(
            accuracy.scores(made, labels, split.test)["log_loss"], rel=1e-5
        )
        for i, alone in enumerate(kept["members"]):
            one = predict.score(done.model, own[i], tiny_setting.data.features)
            right = (one.prob.argmax(-1) == labels.y)[one.ok & (labels.y >= 0) & split.test[:, None]]
            assert alone["accuracy"]["open_to_open"][0] == pytest.approx(right.mean(), abs=1e-12)

    def test_paired_differences_row_by_row(self, finished, tiny_setting):
        """Of the accuracies, from the table; its interval and p-value, from days resampled and counted here."""
        kept = cells(finished)
        (rows,) = [m["rows"] for m in outcome(finished)["markets"]]
        row = next(r for r in rows if (r["model"], r["recipe"]) == ("tcn", "focal"))
        for place, key in ((0, "1"), (2, "0.1")):
            own, plain = (kept["tcn", r]["accuracy"]["open_to_open"][place]["accuracy"] for r in ("focal", "plain"))
            assert row["plain"][key]["value"] == pytest.approx(own - plain, abs=1e-12)
        trees = baselines.decide(baselines.boosted_trees(tiny_setting.data, 2, 0))
        labels, test = tiny_setting.data.labels, tiny_setting.data.split.test
        counted = trees.ok & (labels.y >= 0) & test[:, None]
        day = tiny_setting.data.panel.times // (86_400 * 10**9)
        right = (trees.y == labels.y) & counted
        theirs = np.array([[right[day == d].sum(), counted[day == d].sum()] for d in np.unique(day[test])])
        with np.load(finished / "sums" / f"{row['hash']}.npz") as f:
            ours = np.stack([f["right"][0, 0], f["count"][0, 0]], 1)
        assert row["trees"]["1"]["value"] == pytest.approx(
            ours[:, 0].sum() / ours[:, 1].sum() - theirs[:, 0].sum() / theirs[:, 1].sum(), abs=1e-12
        )
        drawn = np.random.default_rng(9).integers(len(ours), size=(4_000, len(ours)))
        gaps = np.subtract(*(s[drawn, 0].sum(1) / s[drawn, 1].sum(1) for s in (ours, theirs)))
        low, high = np.quantile(gaps, [0.025, 0.975])
        assert (row["trees"]["1"]["low"], row["trees"]["1"]["high"]) == pytest.approx(
            (low, high), abs=0.15 * (high - low)
        )


class TestAgain:
    def test_nothing_is_trained_twice(self, copy, trained):
        before = {p: (copy / p).read_bytes() for p in ("cells.jsonl", "comparison.json", "report.md")}
        run_tiny(copy.parent)
        assert trained == []
        assert (copy / "cells.jsonl").read_bytes() == before["cells.jsonl"]
        assert lasting(outcome(copy)) == lasting(json.loads(before["comparison.json"]))
        assert len(read(copy.parent)) == 4

    def test_stopped_and_resumed_it_ends_with_the_same_numbers(self, finished, tmp_path, trained, monkeypatch):
        counted = run.run_cell

        def stop_in_the_third(cell, market):
            if len(trained) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return counted(cell, market)

        with monkeypatch.context() as patch:
            patch.setattr(run, "run_cell", stop_in_the_third)
            with pytest.raises(run.Stopped, match="stopped with 2 of 4 cells done, .*the same command goes on") as e:
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

        def dropping(cell, market):
            with contextlib.suppress(KeyboardInterrupt):  # as Python does with what is raised in the garbage collector
                os.kill(os.getpid(), signal.SIGTERM)
            return counted(cell, market)

        monkeypatch.setattr(run, "run_cell", dropping)
        with pytest.raises(run.Stopped, match="stopped with 1 of 4 cells done"):
            run_tiny(tmp_path)
        assert len(trained) == len(cells(tmp_path / "tiny")) == 1

    def test_shares_side_by_side_are_the_whole(self, finished, tmp_path, trained, monkeypatch):
        counted = run.run_cell

        def while_the_other_share_is_done(cell, market):
            if len(trained) == 1:
                monkeypatch.setattr(run, "run_cell", counted)
                run_tiny(tmp_path, share=(1, 2))
                assert outcome(tmp_path / "tiny")["run"]["done"] == 3
            return counted(cell, market)

        monkeypatch.setattr(run, "run_cell", while_the_other_share_is_done)
        folder = run_tiny(tmp_path, share=(2, 2))
        assert trained == [("tcn", "plain"), ("wavenet", "plain"), ("wavenet", "focal"), ("tcn", "focal")]
        assert lasting(outcome(folder)) == lasting(outcome(finished))
        assert outcome(folder)["run"]["done"] == len(read(tmp_path)) == 4

    @pytest.mark.parametrize("cut", [1, 40])
    def test_a_line_cut_short_is_done_anew(self, copy, finished, trained, cut):
        path = copy / "cells.jsonl"
        path.write_bytes(path.read_bytes()[:-cut])
        left = path.read_bytes()
        run.table(copy, Console(quiet=True))
        assert path.read_bytes() == left and outcome(copy)["run"]["done"] == 3
        run_tiny(copy.parent)
        assert trained == [("tcn", "focal")]
        assert lasting(lines(copy)) == lasting(lines(finished))

    def test_a_changed_recipe_does_its_own_cells_anew(self, copy, trained):
        run_tiny(copy.parent, {"recipe_changes": {"focal": {"loss": {"name": "focal", "options": {"gamma": 1.0}}}}})
        assert trained == [("wavenet", "focal"), ("tcn", "focal")]
        (market,) = outcome(copy)["markets"]
        assert len(market["rows"]) == 6 + 4 and len(lines(copy)) == 11 + 2

    def test_fewer_recipes_are_reported_without_the_others(self, copy, trained):
        run_tiny(copy.parent, {"recipes": ("plain",)})
        assert trained == [] and outcome(copy)["recipes"] == []
        assert not (copy / "plots" / "x").exists() and outcome(copy)["run"]["planned"] == 2

    def test_the_table_needs_neither_data_nor_training(self, copy, monkeypatch, finished):
        for name in ("report.md", "comparison.json"):
            (copy / name).unlink()
        shutil.rmtree(copy / "plots")
        monkeypatch.setattr(dataset, "load", None)
        run.table(copy, Console(quiet=True))
        assert outcome(copy) == outcome(finished)
        assert (copy / "report.md").read_text() == (finished / "report.md").read_text()


class TestMistakes:
    def test_no_comparison(self, tmp_path):
        with pytest.raises(FxtradeError, match="is no comparison: .*plan.json is missing or damaged"):
            run.table(tmp_path, Console(quiet=True))

    def test_a_damaged_line_in_the_middle(self, copy):
        path = copy / "cells.jsonl"
        path.write_text("{" + path.read_text())
        with pytest.raises(FxtradeError, match="cells.jsonl, line 1 is damaged; delete it"):
            run.table(copy, Console(quiet=True))

    def test_sums_that_are_gone(self, copy):
        shutil.rmtree(copy / "sums")
        with pytest.raises(FxtradeError, match=r"sums/.*\.npz cannot be read"):
            run.table(copy, Console(quiet=True))

    def test_what_no_cell_can_do_is_found_before_the_first(self, tmp_path, trained):
        with pytest.raises(FxtradeError, match="loss 'focal' has no option 'gama'; did you mean 'gamma'"):
            own = {"focal": {"loss": {"name": "focal", "options": {"gama": 1.0}}}}
            run_tiny(tmp_path / "results", {"recipe_changes": own})
        assert trained == [] and not (tmp_path / "results").exists()

    def test_training_that_diverges_is_a_result(self, tmp_path, trained, monkeypatch):
        original = training.train

        def diverge(config, *rest, **options):
            if config.loss.name == "focal":
                raise TrainingError("the loss is not finite at step 3")
            return original(config, *rest, **options)

        monkeypatch.setattr(training, "train", diverge)
        folder = run_tiny(tmp_path, {"models": ("tcn",)})
        assert cells(folder)["tcn", "focal"]["error"] == "the loss is not finite at step 3"
        assert "tcn, focal: the loss is not finite at step 3" in (folder / "report.md").read_text()
        assert outcome(folder)["recipes"] == [] and len(read(tmp_path)) == 1
        trained.clear()
        run_tiny(tmp_path, {"models": ("tcn",)})
        assert trained == []

    def test_on_the_command_line(self):
        process = tiny.python("scripts/experiment.py", "--config=configs/comparison.py:sim", "--config.budgt=1")
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "")
        assert err == f"error: config has no key 'budgt'{grid.nearest('budgt', grid.to_dict(config()))}\n"


def test_a_stage_starts_where_the_last_one_ended(tiny_setting, monkeypatch):
    own = {"recipe_changes": {"focal": ({}, {"loss": {"name": "focal"}})}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    calls, original = [], training.train

    def watch(config, data, start):
        done = original(config, data, start)
        calls.append((config.loss.name, start, done.fit.params))
        return done

    monkeypatch.setattr(training, "train", watch)
    entry, _ = run.run_cell(cell, tiny_setting)
    assert [c[0] for c in calls] == ["cross_entropy", "focal"]
    assert calls[0][1] is None and calls[1][1] is calls[0][2]
    assert entry["stages"] == 2 and entry["steps"] == 2 * 4  # five each, of which two evaluations see four


def test_further_horizons_are_learnt_where_a_recipe_wants_them(tmp_path):
    own = {"focal": {"auxiliary": {"horizons": (2,), "volatility": 0.1}}}
    folder = run_tiny(tmp_path, {"recipe_changes": own, "models": ("tcn",)})
    assert set(cells(folder)) == {("tcn", "plain"), ("tcn", "focal")}
    plain, more = (cells(folder)["tcn", r]["parameters"] for r in ("plain", "focal"))
    assert more > plain


def test_pre_training_comes_first(tiny_setting, monkeypatch):
    own = {"recipe_changes": {"focal": {"pretrain": {"name": "simclr"}}}, "models": ("tcn",), "recipes": ("focal",)}
    (cell,) = grid.cells(config(own), {"sim": 2})
    given_start, original = [], training.train

    def watch(config, data, start):
        given_start.append(start)
        return original(config, data, start)

    monkeypatch.setattr(training, "train", watch)
    entry, _ = run.run_cell(cell, tiny_setting)
    assert given_start[0] is not None and entry["steps"] == 4
