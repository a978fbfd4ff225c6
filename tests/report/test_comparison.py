"""The report of a comparison, from one cell to hundreds and with every number that may be missing."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console as Rich

from fxtrade.evaluate.results import Differences
from fxtrade.report import comparison, comparison_plots, comparison_summary
from fxtrade.report.comparison_schema import (
    ComparisonReport,
    ComparisonRow,
)
from fxtrade.report.progress import Console
from tests.helpers import report_sample
from tests.helpers.comparison_sample import AWKWARD, difference, report, with_rows

awkward = pytest.mark.parametrize("name", AWKWARD)


def shown(made: ComparisonReport, tmp_path) -> str:
    console, file = Console(), io.StringIO()
    console.rich = Rich(file=file, width=100, highlight=False)
    comparison.table(console, made, tmp_path)
    return file.getvalue()


@awkward
def test_it_writes_whole_files_without_a_trace_of_missing_numbers(tmp_path, name):
    comparison.write(tmp_path, AWKWARD[name])
    text = (tmp_path / "report.md").read_text()
    assert not re.search(r"\b(None(?! of)|nan|inf)\b", text) and not list(tmp_path.rglob("*.part"))
    for picture in re.findall(r"\((plots/\w+\.png)\)", text):
        assert imread(tmp_path / picture).shape[1] == round(110 * 7.2)
    assert len(list(tmp_path.glob("plots/*"))) == len(re.findall(r"plots/\w+\.png", text))
    for table in text.split("\n\n"):  # as many cells in every line as in its header
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1
    assert not re.search(r"\b(None(?! of)|nan)\b", shown(AWKWARD[name], tmp_path))


def test_the_summary_follows_from_the_comparisons():
    lost = comparison_summary.baseline_summary(AWKWARD["usual"])
    assert "None of 28 differences from the gradient-boosted trees" in lost
    assert "3 are negative and significant at 5 % FDR" in lost
    won = comparison_summary.baseline_summary(AWKWARD["won"])
    assert won.startswith("1 of 28 differences") and "wavenet, plain on hourly, all bars: +3.50 [+3.10, +3.90]" in won
    assert "Nothing has been compared" in comparison_summary.baseline_summary(AWKWARD["beginning"])


def test_a_short_table_opens_the_report():
    text = comparison.document(AWKWARD["won"], ())
    table, prose = text.split("\n\n")[1:3]
    assert table.splitlines()[2:] == [
        "| cells done | 7 of 8 |",
        "| accuracies against the gradient-boosted trees | 1 of 28 significantly higher, 3 lower |",
        "| clearest difference | wavenet, plain on hourly, all bars: +3.50 [+3.10, +3.90] points |",
        "| log losses against the gradient-boosted trees | 5 of 14 significantly lower, 1 higher |",
        "| recipes with a significant gain over plain training | none |",
    ]
    assert prose.startswith("**1 of 28 differences")


def test_log_losses_have_a_summary_of_their_own():
    text = comparison_summary.baseline_summary(AWKWARD["usual"])
    assert "Of 14 log losses 5 are significantly lower, 1 significantly higher." in text
    assert "log loss" not in comparison_summary.baseline_summary(
        report_sample.replace(report(), summary__log_loss_tests=0)
    )


def learned(name: str, accuracy: float, log_loss: float, q: float = 0.01) -> dict[str, Differences]:
    tests = difference(accuracy, q=q), difference(log_loss, 0.0005, q)
    return {name: Differences({1.0: tests[0]}, tests[1])}


def below(**baselines: dict[str, Differences]) -> ComparisonReport:
    """The usual report, in which the plain cell of wavenet on hourly bars has differences from learned baselines."""
    made = report()
    first, *rest = made.markets
    rows = list(first.rows)
    rows[3] = dataclasses.replace(rows[3], from_learned={k: d for b in baselines.values() for k, d in b.items()})
    return dataclasses.replace(made, markets=(dataclasses.replace(first, rows=tuple(rows)), *rest))


def test_a_network_below_a_learned_baseline_is_warned_of(tmp_path):
    made = below(
        trees=learned("gradient-boosted trees", -0.007, 0.001),
        mlp=learned("MLP, last row", -0.009, -0.0015),
        har=learned("HAR", -0.02, -0.008, q=0.06),
    )
    (text,) = comparison_summary.below_baselines(made)
    assert text == (
        "A baseline is better than wavenet on hourly: accuracy, all bars, -0.90 [-1.30, -0.50] percentage points from "
        "MLP, last row; reduction of the log loss -1.50 [-2.00, -1.00] thousandths of a nat from MLP, last row."
    )
    assert f"\n\n> **{text}**\n\n" in comparison.document(made, ())
    assert text in " ".join(shown(made, tmp_path).split())


@pytest.mark.parametrize(
    "made",
    [
        report(),
        below(trees=learned("gradient-boosted trees", -0.02, -0.008, q=0.06)),
        below(trees=learned("gradient-boosted trees", 0.02, 0.008)),
        below(trees=learned("gradient-boosted trees", -0.003, -0.0004)),
        below(trees=learned("gradient-boosted trees", float("nan"), float("nan"), q=float("nan"))),
    ],
    ids=["no baseline", "not significant among all", "above", "interval with zero", "undefined"],
)
def test_no_network_is_below_a_baseline(made):
    assert comparison_summary.below_baselines(made) == []
    assert "> **" not in comparison.document(made, ())


def test_the_log_loss_alone_is_enough():
    made = below(trees=learned("gradient-boosted trees", 0.01, -0.002))
    assert comparison_summary.below_baselines(made) == [
        "A baseline is better than wavenet on hourly: reduction of the log loss -2.00 [-2.50, -1.50] thousandths of a "
        "nat from gradient-boosted trees."
    ]


def test_learning_rates_are_told_where_weights_adapt():
    def adapt(rows: list[ComparisonRow]) -> list[ComparisonRow]:
        members = zip(rows[4].result.training.members, (0.01, 0.0), strict=True)
        seeds = tuple(dataclasses.replace(m, learning_rate=rate) for m, rate in members)
        rows[4] = report_sample.replace(rows[4], result__training__members=seeds)
        return rows

    text = comparison.document(with_rows(report(), adapt), ())
    effort = text.split("### Effort")[1].split("\n## ")[0].splitlines()
    ends = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in effort if line.startswith("| ")}
    assert ends["wavenet, recipe_0"] == "0.01, 0"
    assert ends["wavenet, plain"] == "–"


def test_scores_have_their_intervals():
    text = comparison.document(AWKWARD["usual"], ())
    line = next(x for x in text.splitlines() if x.startswith("| tcn, recipe_0 |") and "0.6921" in x)
    trees, plain = "+1.20 [+0.70, +1.70]", "-0.20 [-0.50, +0.10]"
    assert line.split(" | ")[1:6] == ["0.6921 [0.6229, 0.7613]", trees, "0.400", plain, "0.400"]


def test_only_what_is_significantly_above_the_baseline_is_bold():
    text = comparison.document(AWKWARD["won"], ())
    assert set(re.findall(r"\| \*\*(.*?)\*\*", text)) == {"wavenet, plain"}
    assert "| **" not in comparison.document(AWKWARD["usual"], ())


def test_recipes_are_sorted_by_what_they_add():
    made = report(2, 6)
    text = comparison.document(made, ())
    order = re.findall(r"^\| (recipe_\d) \| hourly", text, re.M)
    expected = [r.recipe for r in sorted(made.recipes, key=lambda r: -r.mean)]
    assert order == expected and len(order) == 5


def test_a_baseline_of_constant_confidence_has_no_top():
    line = next(x for x in comparison.document(AWKWARD["usual"], ()).splitlines() if x.startswith("| majority"))
    assert line.split(" | ")[1:5] == ["50.0 [49.0, 51.0]", "–", "–", "–"]


def test_what_failed_is_named():
    text = comparison.document(AWKWARD["holes"], ())
    assert "* wavenet, recipe_0: not finite" in text


def test_the_forest_shows_every_recipe_and_market():
    made = AWKWARD["everything"]
    axes = comparison_plots.recipes(made).axes
    assert axes[0].get_yticklabels()[-1].get_text() == max(made.recipes, key=lambda r: r.mean).recipe
    for panel, c in zip(axes, (1.0, 0.1), strict=True):
        drawn = sorted(x for line in panel.lines if line.get_marker() in "os" for x in line.get_xdata())
        effects = [effect for recipe in made.recipes for effect in recipe.markets.values()]
        np.testing.assert_allclose(drawn, sorted(100 * e.differences.accuracy[c].value for e in effects))


def test_the_best_possible_accuracy_stands_below_the_others(tmp_path):
    made = report()
    market = made.markets[0]
    known = dataclasses.replace(market, data=dataclasses.replace(market.data, best_accuracy=0.649))
    made = dataclasses.replace(made, markets=(known, *made.markets[1:]))
    text = comparison.document(made, ())
    assert text.count("| best possible | 64.9 | –") == 1
    assert re.search(r"best possible +64\.9", shown(made, tmp_path))
    unknown = dataclasses.replace(known, data=dataclasses.replace(market.data, best_accuracy=float("nan")))
    assert "best possible |" not in comparison.document(dataclasses.replace(made, markets=(unknown,)), ())
