"""The summary of a comparison: a short table, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fxtrade.core.text import plural
from fxtrade.evaluate.results import PairedTest
from fxtrade.report.comparison_schema import BaselineSummary, ComparisonReport, NamedTest
from fxtrade.report.coverage_rows import coverage_name
from fxtrade.report.formatting import DASH, duration, nats, percent, points


def rows(report: ComparisonReport) -> list[tuple[str, str]]:
    """Return the five facts that a reader looks for first: what is done, and what is significant."""
    s = report.summary
    best = s.above[0] if s.above else s.nearest
    which = "clearest difference" if s.above else "difference with the highest lower end"
    tests = _recipe_differences(report)
    better = dict.fromkeys(name for name, _, test in tests if test.direction(report.false_discovery_rate) > 0)
    recipes = ", ".join(f"`{name}`" for name in better) or "none"
    accuracies = f"{len(s.above)} of {s.tests:,} significantly higher, {s.below} lower"
    losses = f"{s.log_loss_better} of {s.log_loss_tests:,} significantly lower, {s.log_loss_worse} higher"
    return [
        ("cells done", f"{report.done:,} of {report.planned:,}"),
        (f"accuracies against the {report.baseline}", accuracies if s.tests else DASH),
        (which, f"{_difference(best)} points" if best else DASH),
        (f"log losses against the {report.baseline}", losses if s.log_loss_tests else DASH),
        ("recipes with a significant gain over plain training", recipes if report.recipes else DASH),
    ]


def baseline_summary(report: ComparisonReport) -> str:
    """Return the number of significant differences from the baseline and of all, as a sentence."""
    s, rate = report.summary, f"significant at {percent(report.false_discovery_rate, 0)} FDR"
    if not s.tests:
        return f"Nothing has been compared with the {report.baseline} yet."
    made = f"{plural(s.tests, 'difference')} from the {report.baseline} on the same features at the same coverage"
    if s.above:
        first = s.above[0]
        text = (
            f"{len(s.above)} of {made} {'is' if len(s.above) == 1 else 'are'} positive and {rate}; the clearest is "
            f"{_difference(first)} points."
        )
    else:
        nearest = f"; the nearest is {_difference(s.nearest)} points" if s.nearest else ""
        text = f"None of {made} is positive and {rate}{nearest}."
    return f"{text} {s.below} {'is' if s.below == 1 else 'are'} negative and {rate}.{_log_loss_summary(s)}"


def _log_loss_summary(s: BaselineSummary) -> str:
    if not s.log_loss_tests:
        return ""
    return (
        f" Of {plural(s.log_loss_tests, 'log loss', 'log losses')} {s.log_loss_better} are significantly lower, "
        f"{s.log_loss_worse} significantly higher."
    )


def below_baselines(report: ComparisonReport) -> list[str]:
    """Return a warning for each network whose plain training is significantly below a learned baseline on all bars.

    It names for each measure the baseline that the network is furthest below.
    """
    found = []
    for market in report.markets:
        for row in market.of_recipe(report.plain):
            accuracies = {name: d.accuracy.get(1.0) for name, d in row.from_learned.items()}
            losses = {name: d.log_loss for name, d in row.from_learned.items()}
            parts = []
            if name := _furthest_below(accuracies, report):
                parts.append(f"accuracy, all bars, {points(accuracies[name])} percentage points from {name}")
            if name := _furthest_below(losses, report):
                parts.append(f"reduction of the log loss {nats(losses[name])} thousandths of a nat from {name}")
            if parts:
                found.append(f"A baseline is better than {row.result.model} on {market.name}: {'; '.join(parts)}.")
    return found


def _furthest_below(tests: Mapping[str, PairedTest | None], report: ComparisonReport) -> str | None:
    """Return the name of the significantly negative difference that is the largest, if there is one."""
    rate = report.false_discovery_rate
    below = {name: test.value for name, test in tests.items() if test and test.direction(rate) < 0}
    return min(below, key=below.__getitem__, default=None)


def recipe_summary(report: ComparisonReport) -> str:
    """Return which recipes are significantly better or worse than plain training."""
    tests = list(_recipe_differences(report))
    whole = f"{plural(len(tests), 'difference')} of {plural(len(report.recipes), 'recipe')}"
    words = [f"Of {whole} from plain training, at {percent(report.false_discovery_rate, 0)} FDR:"]
    for word, sign in (("significantly better", 1), ("Significantly worse", -1)):
        found = [text for _, text, test in tests if test.direction(report.false_discovery_rate) == sign]
        words.append(f"{word}: {'; '.join(found) or 'none'}.")
    return " ".join(words)


def _recipe_differences(report: ComparisonReport) -> Iterator[tuple[str, str, PairedTest]]:
    """Yield the recipe, a description and the test of each difference from plain training."""
    for recipe in report.recipes:
        for name, effect in recipe.markets.items():
            where = f"`{recipe.recipe}` on {name}"
            for c, test in effect.differences.accuracy.items():
                yield recipe.recipe, f"{where}, {coverage_name(c)} ({points(test)})", test
            if loss := effect.differences.log_loss:
                yield recipe.recipe, f"{where}, log loss ({nats(loss)})", loss


def _difference(t: NamedTest) -> str:
    return f"{t.model}, {t.recipe} on {t.market}, {coverage_name(t.coverage)}: {points(t.test)}"


def budgets(report: ComparisonReport) -> str:
    """Return the bars that a seed is trained on, by market where they differ."""
    by_market = {market.name: plural(market.budget, "bar") for market in report.markets}
    if len(set(by_market.values())) > 1:
        return ", ".join(f"{bars} ({name})" for name, bars in by_market.items())
    return next(iter(by_market.values()), "0 bars")


def progress(report: ComparisonReport) -> str:
    """Return the size of the comparison and how much of it is done, as a sentence."""
    cells = plural(report.planned, "cell")
    done = f"{report.done} of {cells}" if report.done < report.planned else f"All {cells}" if report.done > 1 else cells
    sizes = {"model": report.models, "recipe": report.recipe_names, "market": report.market_names}
    return (
        f"{done}: {', '.join(plural(len(names), noun) for noun, names in sizes.items())}, "
        f"{plural(report.seeds, 'seed')} each, every seed trained on {budgets(report)} of single symbols; "
        f"{duration(report.seconds)} of training."
    )
