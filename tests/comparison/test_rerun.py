"""A comparison that is run again, resumed, shared by processes, or repaired: nothing is trained twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal

import pytest

from fxtrade.comparison import run
from fxtrade.comparison.store import CELLS, CellStore
from fxtrade.core.errors import Interrupted
from fxtrade.pipeline import dataset
from fxtrade.pipeline.learned_baselines import LEARNED
from fxtrade.report.progress import Console
from fxtrade.runs.ledger import read
from tests.helpers.tiny_comparison import TINY, cells, lasting, outcome, run_tiny

pytestmark = pytest.mark.slow


def lines(folder) -> int:
    return len((folder / CELLS).read_text().splitlines())


def test_nothing_is_trained_twice(copy, trained):
    before = (copy / CELLS).read_bytes(), lasting(outcome(copy))
    run_tiny(copy.parent)
    assert trained == []
    assert ((copy / CELLS).read_bytes(), lasting(outcome(copy))) == before
    assert len(read(copy.parent)) == 4


def test_a_baseline_that_was_not_there_is_added_and_nothing_trained(copy, trained, monkeypatch):
    twin = LEARNED["mlp"]._replace(fit=LEARNED["logistic_regression"].fit)
    monkeypatch.setitem(LEARNED, "mlp", twin)
    report = TINY["changes"]["report"] | {"baselines": ("logistic_regression", "boosted_trees", "mlp")}
    before = cells(copy)
    run_tiny(copy.parent, {"changes": TINY["changes"] | {"report": report}})
    assert trained == [] and repr(cells(copy)) == repr(before)
    rows = {row.result.model: row.result for row in outcome(copy).markets[0].rows}
    assert rows["MLP, last row"].scores == rows["logistic regression"].scores


def test_stopped_and_resumed_it_ends_with_the_same_numbers(finished, tmp_path, trained, monkeypatch):
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


def test_a_request_to_stop_that_a_callback_dropped_is_met_after_the_cell(tmp_path, trained, monkeypatch):
    counted = run.run_cell

    def dropping(*arguments):
        with contextlib.suppress(KeyboardInterrupt):  # as Python does with what is raised in the garbage collector
            os.kill(os.getpid(), signal.SIGTERM)
        return counted(*arguments)

    monkeypatch.setattr(run, "run_cell", dropping)
    with pytest.raises(Interrupted, match="stopped with 1 of 4 cells done"):
        run_tiny(tmp_path)
    assert len(trained) == len(cells(tmp_path / "tiny")) == 1


def test_shards_side_by_side_are_the_whole(finished, tmp_path, trained, monkeypatch):
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


def test_a_line_cut_short_is_recomputed(copy, finished, trained):
    path = copy / CELLS
    path.write_bytes(path.read_bytes()[:-40])
    left = path.read_bytes()
    run.table(copy, Console(quiet=True))
    assert path.read_bytes() == left and outcome(copy).done == 3
    run_tiny(copy.parent)
    assert trained == [("tcn", "focal")]
    assert lasting(outcome(copy)) == lasting(outcome(finished))


def test_damaged_files_are_recomputed_and_nothing_else(copy, finished, trained):
    store = CellStore(copy)
    baseline = next(key for key, result in store.results.items() if result.is_baseline)
    for key in (cells(copy)["tcn", "focal"].hash, baseline):
        (copy / "sums" / f"{key}.npz").write_bytes(b"PK")
    run.table(copy, Console(quiet=True))
    assert outcome(copy).done == 3
    run_tiny(copy.parent)
    assert trained == [("tcn", "focal")]
    assert lasting(outcome(copy)) == lasting(outcome(finished))


def test_a_changed_recipe_recomputes_its_own_cells(copy, trained):
    run_tiny(copy.parent, {"recipe_changes": {"focal": {"loss": {"name": "focal", "options": {"gamma": 1.0}}}}})
    assert trained == [("wavenet", "focal"), ("tcn", "focal")]
    (market,) = outcome(copy).markets
    assert len(market.rows) == 6 + 4 and lines(copy) == 11 + 2


def test_fewer_recipes_are_reported_without_the_others(copy, trained):
    run_tiny(copy.parent, {"recipes": ("plain",)})
    assert trained == [] and outcome(copy).recipes == () and outcome(copy).planned == 2


def test_the_table_needs_neither_data_nor_training(copy, monkeypatch, finished):
    for name in ("report.md", "comparison.json"):
        (copy / name).unlink()
    shutil.rmtree(copy / "plots")
    monkeypatch.setattr(dataset, "load", None)
    run.table(copy, Console(quiet=True))
    assert repr(outcome(copy)) == repr(outcome(finished))
    assert (copy / "report.md").read_text() == (finished / "report.md").read_text()
