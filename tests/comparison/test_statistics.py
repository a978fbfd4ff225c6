from __future__ import annotations

import numpy as np
import pytest

from fxtrade.comparison import statistics
from fxtrade.comparison.store import PLAN, CellStore, Plan, SettingResult
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.report.comparison_schema import CellResult, ComparisonReport
from fxtrade.report.comparison_summary import below_baselines
from tests.helpers import comparison_sample, report_sample
from tests.helpers.tiny_comparison import TINY, config


def sums(share: float, days: int = 200, seed: int = 0, probable: bool = True) -> DailySums:
    rng = np.random.default_rng(seed)
    count = np.full((1, 2, days), 50)
    correct = rng.binomial(count, share)
    return DailySums(correct, count, *((0.7 * count[0, 0] - 0.01 * correct[0, 0], count[0, 0]) if probable else ()))


def assembled(
    tmp_path,
    shares: dict[tuple[str, str], float],
    trees: float = 0.55,
    probable: bool = True,
    others: dict[str, float] | None = None,
) -> ComparisonReport:
    """The report on cells with these accuracies, beside the trees and other baselines."""
    models = tuple(dict.fromkeys(m for m, _ in shares))
    names = tuple(dict.fromkeys(r for _, r in shares))
    own = {"models": models, "recipes": names, "recipe_changes": {r: {} for r in names}}
    own["runs"] = {m: TINY["runs"]["tcn"] for m in models}
    store = CellStore(tmp_path)
    store.add(CellResult("m-t", "m", "sim", statistics.BASELINE, "", "", ""), sums(trees, probable=probable))
    for i, (name, share) in enumerate((others or {}).items(), 1_000):
        store.add(CellResult(f"m-{name}", "m", "sim", name, "", "", ""), sums(share, seed=i, probable=probable))
    store.add_setting(SettingResult("m", "sim", report_sample.data(), comparison_sample.LABELS[:1], (1.0, 0.1)))
    hashes = []
    for i, ((model, recipe), share) in enumerate(shares.items(), 1):
        hashes.append(f"c{i}")
        store.add(CellResult(f"c{i}", "m", "sim", model, recipe, "", ""), sums(share, seed=i, probable=probable))
    Plan(config(own), {"sim": "m"}, tuple(hashes), report_sample.ENVIRONMENT).write(tmp_path / PLAN)
    return statistics.assemble(CellStore(tmp_path))


def test_what_helps_is_found_and_what_does_not_is_not(tmp_path):
    shares = {("tcn", "plain"): 0.55, ("gnn", "plain"): 0.55}
    shares |= {(m, "good"): 0.6 for m in ("tcn", "gnn")} | {(m, "idle"): 0.55 for m in ("tcn", "gnn")}
    made = assembled(tmp_path, shares)
    effects = [recipe.markets["sim"] for recipe in made.recipes]
    good, idle = (effect.differences.accuracy[1.0] for effect in effects)
    assert good.low > 0 and good.q < 1e-6 and (effects[0].improved[1.0], effects[0].models) == (2, 2)
    assert good.value == pytest.approx(0.05, abs=0.01)
    assert idle.low < 0 < idle.high and idle.q > 0.05
    assert made.summary.tests == 12
    assert {(t.model, t.recipe) for t in made.summary.above} == {("tcn", "good"), ("gnn", "good")}


@pytest.mark.slow
def test_many_comparisons_want_more_of_each(tmp_path):
    """A difference that would pass alone is not taken for one among many without any."""
    alone = assembled(tmp_path / "alone", {("tcn", "plain"): 0.561})
    (row,) = alone.markets[0].rows[1:]
    single = row.from_baseline.accuracy[1.0]
    assert single.q < 0.05
    others = {("tcn", f"r{i}"): 0.55 for i in range(60)}
    many = assembled(tmp_path / "many", {("tcn", "plain"): 0.561} | others)
    (same,) = many.markets[0].of_recipe("plain")
    test = same.from_baseline.accuracy[1.0]
    assert test.p == single.p and test.q > 0.05
    assert many.summary.tests == 122


def test_without_a_plain_cell_a_recipe_has_no_effect_yet(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.5, ("gnn", "good"): 0.6})
    assert made.recipes == ()


def test_log_loss_is_compared_where_both_have_it(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.55, ("tcn", "good"): 0.6})
    (good,) = made.markets[0].of_recipe("good")
    for differences in (good.from_baseline, good.from_plain):
        loss, accuracy = differences.log_loss, differences.accuracy[1.0]
        for key in ("value", "low", "high"):  # a hundredth of a nat less for each correct forecast
            assert getattr(loss, key) == pytest.approx(0.01 * getattr(accuracy, key), rel=1e-9), key
        assert loss.q < 0.05
    effect = made.recipes[0].markets["sim"].differences
    assert effect.log_loss.value == pytest.approx(good.from_plain.log_loss.value)
    summary = made.summary
    assert (summary.log_loss_tests, summary.log_loss_better, summary.log_loss_worse) == (2, 1, 0)


def test_without_probabilities_there_is_no_log_loss_to_compare(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.55, ("tcn", "good"): 0.6}, probable=False)
    (good,) = made.markets[0].of_recipe("good")
    assert good.from_baseline.log_loss is None and made.recipes[0].markets["sim"].differences.log_loss is None
    assert made.summary.log_loss_tests == 0 and made.summary.tests == 4


def test_plain_cells_are_compared_with_every_learned_baseline(tmp_path):
    shares = {("tcn", "plain"): 0.55, ("gnn", "plain"): 0.6, ("tcn", "good"): 0.6}
    made = assembled(tmp_path, shares, others={"reversal": 0.7, "HAR": 0.6, "logistic regression": 0.5})
    tcn, gnn = made.markets[0].of_recipe("plain")
    (good,) = made.markets[0].of_recipe("good")
    assert not good.from_learned and not made.markets[0].rows[0].from_learned
    assert set(tcn.from_learned) == set(gnn.from_learned) == {statistics.BASELINE, "HAR", "logistic regression"}
    har = tcn.from_learned["HAR"]
    assert list(har.accuracy) == [1.0]
    assert har.accuracy[1.0].value == pytest.approx(-0.05, abs=0.02) and har.accuracy[1.0].q < 1e-6
    assert har.log_loss.value == pytest.approx(0.01 * har.accuracy[1.0].value) and har.log_loss.q < 1e-6
    trees = tcn.from_learned[statistics.BASELINE].accuracy[1.0]
    assert trees.p == tcn.from_baseline.accuracy[1.0].p
    tests = [d.accuracy[1.0] for row in (tcn, gnn) for d in row.from_learned.values()]
    worst = max(tests, key=lambda t: t.p)
    assert worst.q == pytest.approx(worst.p) and len({t.q / t.p for t in tests if t.p > 0}) > 1  # corrected jointly
    assert len(below_baselines(made)) == 1 and "tcn on sim" in below_baselines(made)[0]
