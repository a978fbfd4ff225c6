"""What a comparison leaves: two models, two recipes, two seeds on a small simulated market, in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.comparison import grid, statistics
from fxtrade.comparison.store import CellStore
from fxtrade.ensemble import mixture
from fxtrade.evaluate import accuracy
from fxtrade.pipeline import baselines, predict, training
from fxtrade.runs.ledger import read
from fxtrade.train import members
from tests.helpers.tiny_comparison import cells, config, outcome


def test_the_folder(finished):
    names = {p.name for p in finished.iterdir()}
    assert names == {".lock-1-of-1", "plan.json", "cells.jsonl", "sums", "comparison.json", "report.md", "plots"}
    assert {p.name for p in (finished / "plots").iterdir()} == {"coverage_sim.png", "recipes.png", "cost.png"}
    store = CellStore(finished)
    assert [r.is_baseline for r in store.results.values()] == [True] * 6 + [False] * 4
    assert [setting.market for setting in store.settings.values()] == ["sim"]
    assert not list(finished.rglob("*.part"))


def test_every_row_has_its_numbers(finished):
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


def test_every_cell_is_a_trial(finished):
    trials = read(finished.parent)
    assert [trial.run for trial in trials] == [
        f"tiny/sim-{m}-{r}" for m, r in (("wavenet", "plain"), ("tcn", "plain"), ("wavenet", "focal"), ("tcn", "focal"))
    ]
    assert len({trial.config_hash for trial in trials}) == 4
    for trial in trials:
        assert np.isfinite([trial.metrics["accuracy"], trial.metrics["accuracy_top_10"], trial.daily_sharpe]).all()
        assert trial.symbols == ("SIM0", "SIM1") and trial.simulated and trial.test[0].first < trial.test[0].last


def test_a_cell_by_hand(finished, tiny_setting):
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


def test_paired_differences_row_by_row(finished, tiny_setting):
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
