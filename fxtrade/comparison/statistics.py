"""Build the report of a comparison from its finished cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fxtrade.comparison.grid import PLAIN, ComparisonConfig, budget
from fxtrade.comparison.store import PLAN, CellStore, Plan
from fxtrade.core.errors import FxtradeError
from fxtrade.evaluate.accuracy import DailySums
from fxtrade.evaluate.paired import accuracy_difference, corrected, log_loss_difference
from fxtrade.evaluate.results import FALSE_DISCOVERY_RATE, Differences
from fxtrade.pipeline import baselines
from fxtrade.pipeline.learned_baselines import LEARNED
from fxtrade.report.comparison_schema import (
    COMPARED,
    BaselineSummary,
    CellResult,
    ComparisonReport,
    ComparisonRow,
    MarketReport,
    NamedTest,
    RecipeEffect,
    RecipeReport,
)

BASELINE = baselines.BOOSTED_TREES  # that all cells are compared with
LEARNED_BASELINES = tuple(entry.title for entry in LEARNED.values())  # that plain cells are compared with
Pair = tuple[str, str]  # hashes of a cell and of what it is compared with


class MarketCells(NamedTuple):
    """The finished baselines and cells of a market, without those whose training failed, and their sums by hash."""

    name: str
    coverages: tuple[float, ...]
    results: list[CellResult]
    sums: dict[str, DailySums]

    def compared(self, coverages: Sequence[float] = COMPARED) -> list[float]:
        return [c for c in coverages if c in self.coverages]

    def baseline_pairs(self) -> list[Pair]:
        """Return every cell beside the baseline."""
        baseline = [r.hash for r in self.results if r.is_baseline and r.model == BASELINE]
        return [(r.hash, baseline[0]) for r in self.results if baseline and not r.is_baseline]

    def plain_pairs(self) -> list[Pair]:
        """Return the cells of every other recipe beside plain training of their model."""
        plain = {r.model: r.hash for r in self.results if r.recipe == PLAIN}
        cells = (r for r in self.results if not r.is_baseline and r.recipe != PLAIN)
        return [(r.hash, plain[r.model]) for r in cells if r.model in plain]

    def learned_pairs(self) -> list[Pair]:
        """Return every plain cell beside every learned baseline."""
        learned = [r.hash for r in self.results if r.is_baseline and r.model in LEARNED_BASELINES]
        return [(r.hash, theirs) for r in self.results if r.recipe == PLAIN for theirs in learned]


def assemble(store: CellStore) -> ComparisonReport:
    """Return the report on the finished cells of the plan.

    Raises:
        FxtradeError: the folder holds no plan, or a file is damaged.
    """
    try:
        plan = Plan.read(store.folder / PLAN)
    except FxtradeError as e:
        raise FxtradeError(f"{store.folder} is not a comparison: {e}") from e
    config = plan.config
    order = {(m, r): (i, j) for i, m in enumerate(config.models) for j, r in enumerate(config.recipes)}
    cells = [store.results[h] for h in plan.cells if h in store.results]
    cells.sort(key=lambda r: order[r.model, r.recipe])
    rows = {
        name: [
            *(r for r in store.results.values() if r.is_baseline and r.setting == setting),
            *(r for r in cells if r.market == name),
        ]
        for name, setting in plan.settings.items()
        if setting in store.settings
    }
    markets = [_market(store, name, plan.settings[name], results) for name, results in rows.items()]
    from_baseline, from_plain = (
        {ours: made for (ours, _), made in differences(markets, pairs, config.seed).items()}
        for pairs in (MarketCells.baseline_pairs, MarketCells.plain_pairs)
    )
    from_learned = against_learned(markets, config.seed)
    reports = tuple(
        MarketReport(
            name=name,
            budget=budget(config, name),
            data=(setting := store.settings[plan.settings[name]]).data,
            labels=setting.labels,
            coverages=setting.coverages,
            rows=tuple(
                ComparisonRow(r, from_baseline.get(r.hash), from_plain.get(r.hash), from_learned.get(r.hash, {}))
                for r in results
            ),
        )
        for name, results in rows.items()
    )
    return ComparisonReport(
        folder=store.folder.name,
        environment=plan.environment,
        models=config.models,
        recipe_names=config.recipes,
        market_names=config.markets,
        seeds=config.seeds,
        done=len(cells),
        planned=len(plan.cells),
        seconds=sum(r.seconds for r in cells),
        baseline=BASELINE,
        plain=PLAIN,
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        markets=reports,
        recipes=recipe_reports(config, markets, from_plain),
        summary=summarize(reports),
    )


def differences(
    markets: Sequence[MarketCells],
    pairs: Callable[[MarketCells], list[Pair]],
    seed: int,
    coverages: Sequence[float] = COMPARED,
) -> dict[Pair, Differences]:
    """Return the paired differences of the pairs of all markets; q-values are among all of a kind jointly."""
    accuracy, log_loss, compared = {}, {}, {}
    for market in markets:
        for pair in pairs(market):
            sides = [market.sums[pair[0]]], [market.sums[pair[1]]]
            compared[pair] = market.compared(coverages)
            for c in compared[pair]:
                accuracy[pair, c] = accuracy_difference(*sides, market.coverages.index(c), seed)
            if test := log_loss_difference(*sides, seed):
                log_loss[pair] = test
    accuracy, log_loss = corrected(accuracy), corrected(log_loss)
    return {
        pair: Differences({c: accuracy[pair, c] for c in targets}, log_loss.get(pair))
        for pair, targets in compared.items()
    }


def against_learned(markets: Sequence[MarketCells], seed: int) -> dict[str, dict[str, Differences]]:
    """Return the paired differences of plain cells from the learned baselines on all bars, by hash and name."""
    names = {r.hash: r.model for market in markets for r in market.results}
    found: dict[str, dict[str, Differences]] = {}
    for (ours, theirs), made in differences(markets, MarketCells.learned_pairs, seed, (1.0,)).items():
        found.setdefault(ours, {})[names[theirs]] = made
    return found


def recipe_reports(
    config: ComparisonConfig, markets: Sequence[MarketCells], from_plain: Mapping[str, Differences]
) -> tuple[RecipeReport, ...]:
    """Return the effect of each recipe against plain training, on average over the models that have both."""
    accuracy, log_loss, hashes = {}, {}, {}
    for market in markets:
        plain = dict(market.plain_pairs())
        for recipe in config.recipes:
            ours = [r.hash for r in market.results if r.recipe == recipe and r.hash in plain]
            if not ours:
                continue
            hashes[recipe, market.name] = ours
            pair = [market.sums[h] for h in ours], [market.sums[plain[h]] for h in ours]
            for c in market.compared():
                accuracy[recipe, market.name, c] = accuracy_difference(*pair, market.coverages.index(c), config.seed)
            if test := log_loss_difference(*pair, config.seed):
                log_loss[recipe, market.name] = test
    accuracy, log_loss = corrected(accuracy), corrected(log_loss)
    found: dict[str, dict[str, RecipeEffect]] = {}
    for (recipe, name), ours in sorted(hashes.items(), key=lambda item: config.recipes.index(item[0][0])):
        tests = {c: test for (r, n, c), test in accuracy.items() if (r, n) == (recipe, name)}
        improved = {c: sum(from_plain[h].accuracy[c].value > 0 for h in ours) for c in tests}
        differences = Differences(tests, log_loss.get((recipe, name)))
        found.setdefault(recipe, {})[name] = RecipeEffect(len(ours), improved, differences)
    return tuple(
        RecipeReport(recipe, float(np.mean([e.differences.accuracy[1.0].value for e in effects.values()])), effects)
        for recipe, effects in found.items()
    )


def summarize(markets: Sequence[MarketReport]) -> BaselineSummary:
    """Return the numbers of cells that are significantly above and below the baseline."""
    tests = [test for test in _named_tests(markets) if not np.isnan(test.test.p)]
    losses = [row.from_baseline.log_loss for market in markets for row in market.rows if row.from_baseline]
    losses = [test for test in losses if test]
    return BaselineSummary(
        tests=len(tests),
        above=tuple(sorted((t for t in tests if t.test.direction(FALSE_DISCOVERY_RATE) > 0), key=lambda t: t.test.q)),
        below=sum(t.test.direction(FALSE_DISCOVERY_RATE) < 0 for t in tests),
        nearest=max(tests, key=lambda t: t.test.low, default=None),
        log_loss_tests=len(losses),
        log_loss_better=sum(t.direction(FALSE_DISCOVERY_RATE) > 0 for t in losses),
        log_loss_worse=sum(t.direction(FALSE_DISCOVERY_RATE) < 0 for t in losses),
    )


def _market(store: CellStore, name: str, setting: str, results: list[CellResult]) -> MarketCells:
    good = [r for r in results if not r.error]
    return MarketCells(name, store.settings[setting].coverages, good, {r.hash: store.sums(r) for r in good})


def _named_tests(markets: Sequence[MarketReport]) -> Iterator[NamedTest]:
    for market in markets:
        for row in market.rows:
            for c, test in row.from_baseline.accuracy.items() if row.from_baseline else ():
                yield NamedTest(market.name, row.result.model, row.result.recipe, c, test)
