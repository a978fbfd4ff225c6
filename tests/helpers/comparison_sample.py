"""Reports of comparisons that were never made, from baselines alone to everything at once."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from fxtrade import labels as label_registry
from fxtrade.core.config import LabelConfig
from fxtrade.evaluate.results import Differences, Estimate, PairedTest, Scores
from fxtrade.report.comparison_schema import (
    BaselineSummary,
    CellResult,
    CellTraining,
    ComparisonReport,
    ComparisonRow,
    MarketReport,
    MemberResult,
    NamedTest,
    RecipeEffect,
    RecipeReport,
)
from tests.helpers import report_sample

TARGETS = (1.0, 0.25, 0.1, 0.05)
MODELS = ("wavenet", "tcn", "attention_tcn", "transformer", "gnn", "cnn_lstm", "lru")
LABELS = tuple(label_registry.spec(LabelConfig(name, 1, 2)) for name in ("open_to_open", "close_to_close"))
NAN, TREES = math.nan, "gradient-boosted trees"


def difference(value: float, half: float = 0.004, q: float = 0.4) -> PairedTest:
    return PairedTest(value, value - half, value + half, q / 3, q)


def differences(value: float, top: float, log_loss: PairedTest, half: float = 0.004, q: float = 0.4) -> Differences:
    return Differences({1.0: difference(value, half, q), 0.1: difference(top, 0.02)}, log_loss)


def scores() -> Scores:
    values = {"log_loss": 0.6921, "brier": 0.249, "ece": 0.011, "mcc": 0.03, "ic": 0.02}
    return report_sample.replace(
        report_sample.scores(), **{k: Estimate(v, 0.9 * v, 1.1 * v) for k, v in values.items()}
    )


def result(model: str, recipe: str, accuracy: float, learned: bool = True) -> CellResult:
    tables = {"open_to_open": report_sample.table(accuracy, targets=TARGETS)}
    tables["close_to_close"] = report_sample.table(accuracy + 0.02, targets=TARGETS)
    if not learned:  # has no confidence
        tables = {k: tuple(dataclasses.replace(r, coverage=0.98) for r in rows) for k, rows in tables.items()}
    made = CellResult("h", "s", "m", model, recipe, "", "0.1.0", 12.3, tables)
    if learned:
        made = dataclasses.replace(made, scores=scores(), trading=report_sample.backtest(0.1, 0.3))
    if recipe:
        seeds = tuple(MemberResult({"open_to_open": (a,) * 4}, 0.69, None) for a in (accuracy - 0.01, accuracy))
        training = CellTraining(1, 100, 12_850, 64, 1e5 * (1 + len(model)), 0.69, 80, seeds)
        made = dataclasses.replace(made, training=training)
    return made


def cell(model: str, recipe: str, accuracy: float, q: float = 0.4) -> ComparisonRow:
    trees = differences(accuracy - 0.525, accuracy - 0.52, difference(0.0012, 0.0005, q), q=q)
    plain = None if recipe == "plain" else differences(0.001, -0.001, difference(-0.0002, 0.0003))
    return ComparisonRow(result(model, recipe, accuracy), trees, plain)


def report(
    models: int = 2, recipes: int = 2, markets: tuple[str, ...] = ("hourly", "flow"), won: bool = False
) -> ComparisonReport:
    rng, names = np.random.default_rng(0), ("plain", *(f"recipe_{i}" for i in range(recipes - 1)))
    made, effects = [], []
    for name in markets:
        rows = [ComparisonRow(result("majority", "", 0.5, learned=False))]
        rows += [ComparisonRow(result(m, "", a)) for m, a in (("logistic regression", 0.52), (TREES, 0.525))]
        rows += [cell(m, r, 0.52 + 0.005 * rng.standard_normal()) for m in MODELS[:models] for r in names]
        if won:
            rows[3] = cell(MODELS[0], "plain", 0.56, q=0.001)
        made.append(MarketReport(name, 500_000, report_sample.data(f"data/{name}"), LABELS, TARGETS, tuple(rows)))
    for i, recipe in enumerate(names[1:]):
        value = 0.004 * rng.standard_normal()
        tests = differences(value, 2 * value, difference(-0.001 * value, q=0.5), q=0.01 if i == 0 else 0.5)
        effect = RecipeEffect(models, {1.0: 1, 0.1: 1}, tests)
        effects.append(RecipeReport(recipe, value, dict.fromkeys(markets, effect)))
    best = NamedTest(markets[0], MODELS[0], "plain", 1.0, difference(0.035, q=0.001))
    return ComparisonReport(
        folder="comparison-small",
        environment=report_sample.ENVIRONMENT,
        models=MODELS[:models],
        recipe_names=names,
        market_names=markets,
        seeds=2,
        done=7,
        planned=8,
        seconds=4_000.0,
        baseline=TREES,
        plain="plain",
        false_discovery_rate=0.05,
        markets=tuple(made),
        recipes=tuple(effects),
        summary=BaselineSummary(28, (best,) if won else (), 3, best, 14, 5, 1),
    )


def with_rows(made: ComparisonReport, change) -> ComparisonReport:
    """Every market's rows after a change."""
    return dataclasses.replace(
        made, markets=tuple(dataclasses.replace(m, rows=tuple(change(list(m.rows)))) for m in made.markets)
    )


def holes() -> ComparisonReport:
    nothing = PairedTest(NAN, NAN, NAN, NAN)

    def bore(rows: list[ComparisonRow]) -> list[ComparisonRow]:
        first = rows[3].result
        table = first.accuracy["open_to_open"]
        last = dataclasses.replace(table[3], accuracy=NAN, low=NAN, high=NAN, rows=0, coverage=0.0)
        rows[3] = report_sample.replace(
            rows[3],
            from_baseline=Differences({1.0: nothing, 0.1: nothing}, None),
            result__training__labels_per_second=NAN,
            result__training__members=(),
            result__scores__mcc=Estimate(NAN),
            result__scores__ic=Estimate(NAN),
            result__trading__sharpe=Estimate(NAN),
            result__accuracy={**first.accuracy, "open_to_open": (*table[:3], last)},
        )
        rows[4] = ComparisonRow(CellResult("h", "s", "m", "wavenet", "recipe_0", "", "", error="not finite"))
        return rows

    made = with_rows(report(), bore)
    flow = made.recipes[0].markets["flow"]
    tests = {**flow.differences.accuracy, 1.0: dataclasses.replace(difference(0.001), low=NAN, high=NAN, q=NAN)}
    flow = report_sample.replace(flow, differences__accuracy=tests)
    recipe = report_sample.replace(made.recipes[0], markets={**made.recipes[0].markets, "flow": flow})
    return dataclasses.replace(made, recipes=(recipe, *made.recipes[1:]))


def beginning() -> ComparisonReport:
    """Baselines alone, and not yet those of the second market."""
    made = with_rows(report(recipes=1, markets=("hourly",)), lambda rows: rows[:3])
    return dataclasses.replace(made, summary=BaselineSummary(0, (), 0, None, 0, 0, 0))


def all_bars_only() -> ComparisonReport:
    """A comparison with `report.coverages=(1.0,)`."""

    def narrow(found: Differences | None) -> Differences | None:
        return found and dataclasses.replace(found, accuracy={1.0: found.accuracy[1.0]})

    def change(rows: list[ComparisonRow]) -> list[ComparisonRow]:
        made = []
        for row in rows:
            differences = {"from_baseline": narrow(row.from_baseline), "from_plain": narrow(row.from_plain)}
            tables = {label: table[:1] for label, table in row.result.accuracy.items()}
            made.append(report_sample.replace(row, result__accuracy=tables, **differences))
        return made

    made = with_rows(report(), change)
    recipes = []
    for recipe in made.recipes:
        effects = {k: dataclasses.replace(e, differences=narrow(e.differences)) for k, e in recipe.markets.items()}
        recipes.append(dataclasses.replace(recipe, markets=effects))
    markets = tuple(dataclasses.replace(market, coverages=(1.0,)) for market in made.markets)
    return dataclasses.replace(made, markets=markets, recipes=tuple(recipes))


AWKWARD = {
    "usual": report(),
    "one cell": report(1, 1, ("hourly",)),
    "everything": report(7, 17),
    "won": report(won=True),
    "holes": holes(),
    "beginning": beginning(),
    "all bars only": all_bars_only(),
}
