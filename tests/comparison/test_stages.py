"""The stages of a cell: which weights each starts from, and what it learns."""

from __future__ import annotations

import pytest

from fxtrade.comparison import grid, run
from fxtrade.pipeline import training
from tests.helpers.tiny_comparison import cells, config, run_tiny


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
