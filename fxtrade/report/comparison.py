"""The report of a comparison: `report.md` with its plots, and a short table on the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from fxtrade.core.files import write_text
from fxtrade.core.text import between, plural
from fxtrade.evaluate.results import Differences, PairedTest, Scores
from fxtrade.report import comparison_plots, comparison_summary
from fxtrade.report.comparison_schema import (
    COMPARED,
    CellTraining,
    ComparisonReport,
    ComparisonRow,
    MarketReport,
)
from fxtrade.report.comparison_summary import baseline_summary, below_baselines, recipe_summary
from fxtrade.report.coverage_rows import at, coverage_name
from fxtrade.report.formatting import (
    DASH,
    count,
    estimate,
    fixed,
    interval,
    missing,
    nats,
    percent,
    points,
    q_value,
    with_times,
)
from fxtrade.report.plotting import write_plots
from fxtrade.report.progress import Console
from fxtrade.report.tables import commands, facts, grid, machine
from fxtrade.report.terminal import coverage_columns, plain_table

WIDE = 100  # columns of a terminal, from which tables show intervals
WIDEST = 3  # times the target coverage: beyond, most forecasts have the same confidence
CAPTIONS = {"coverage": "Accuracy by coverage", "recipes": "Effect of each recipe", "cost": "Accuracy and speed"}
NATS = "Reduction of the log loss against the baseline or plain training in thousandths of a nat; positive is better."
READING = """\
* **Accuracy** in % of the forecasts whose confidence reaches a threshold that was fixed on the validation span, on \
the test span, of the mean probabilities of all seeds; in brackets the 95 % interval, whole days resampled. **Seeds**: \
accuracy of each seed alone, lowest to highest.
* **Differences** in percentage points between two accuracies on the label trained for, each at its own threshold, \
days resampled for both together. **q**: the smallest false discovery rate at which a difference is significant \
(Benjamini & Hochberg), among all differences of its kind in this report: from the baseline, or of recipes from plain.
* **A baseline is better**: a network in plain training is significantly below one of the learned baselines of its \
market on all bars, among all such differences.
* **Plain**: cross-entropy, without any other change. Every cell is trained on as many bars, stages and pre-training \
included, and keeps the weights of the lowest validation loss. No options were tuned for single cells. \
**Fine-tuned at**: the learning rate of each seed's online fine-tuning, chosen on the validation span.
* **Trees, logistic regression and MLP, last row** read the features of the bar itself; networks also those of the \
bars before it. **HAR** reads past volatility alone.
* **Sharpe**: annual ratio of trading the most confident tenth net of costs."""


def write(folder: Path, report: ComparisonReport) -> None:
    """Write `report.md` and `plots/*.png`, each atomically. Raises FxtradeError if the folder cannot be written."""
    pictures = write_plots(folder, comparison_plots.figures(report))
    write_text(folder / "report.md", document(report, tuple(pictures)))


def document(report: ComparisonReport, pictures: tuple[str, ...]) -> str:
    """Return the whole report; `pictures` names the plots that exist as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name.split('_')[0]]}](plots/{name}.png)" for name in pictures}
    blocks = [
        f"# Comparison `{report.folder}`",
        facts(comparison_summary.rows(report)),
        f"**{baseline_summary(report)}**",
        *(f"> **{text}**" for text in below_baselines(report)),
        comparison_summary.progress(report),
        "## Recipes",
        *recipes(report, shown.get("recipes", "")),
        "## Architectures",
        *architectures(report, shown.get("cost", "")),
    ]
    for market in report.markets:
        blocks += [f"## {market.name}", *_market(report, market, shown.get(f"coverage_{market.name}", ""))]
    blocks += ["## How to read it", READING, "## Provenance", *_provenance(report)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def recipes(report: ComparisonReport, picture: str) -> list[str]:
    """Return the section on recipes: differences from plain training, the best first."""
    if not report.recipes:
        return ["No recipe has been trained beside the plain one yet."]
    rows = []
    for recipe in sorted(report.recipes, key=lambda r: -r.mean):
        for name, effect in recipe.markets.items():
            cells = []
            for c in COMPARED:
                test = effect.differences.accuracy.get(c)
                improved = f"{effect.improved[c]} of {effect.models}" if test else DASH
                cells += [points(test), q_value(test), improved]
            loss = effect.differences.log_loss
            rows.append([recipe.recipe, name, *cells, nats(loss), q_value(loss)])
    header = ["recipe", "data", "all bars", "q", "better", "top 10 %", "q", "better", "log loss", "q"]
    return [
        recipe_summary(report),
        "Difference from plain training in percentage points, on average over the models [95 %]; better: number of "
        "models with a higher accuracy. Log loss: its reduction in thousandths of a nat.",
        grid(header, rows, (0, 1)),
        picture,
    ]


def architectures(report: ComparisonReport, picture: str) -> list[str]:
    """Return the section on the models in plain training."""
    rows = []
    for market in report.markets:
        for row in market.of_recipe(report.plain):
            t = row.result.training
            if t is None:
                continue
            numbers = [count(x) for x in (t.parameters, t.receptive_field, t.labels_per_second)]
            accuracies = [_accuracy(row, market.labels[0].name, c) for c in COMPARED]
            gains = [points(_difference(row.from_baseline, c)) for c in COMPARED]
            rows.append([row.result.model, market.name, *numbers, *accuracies, *gains])
    header = ["model", "data", "parameters", "receptive field", "samples/s", "all bars", "top 10 %"]
    header += ["above baseline, all bars", "top 10 %"]
    about = (
        "Plain training. Samples/s: in training, one seed after the other. Accuracy (%), and points above the "
        f"baseline, {report.baseline}."
    )
    return [about, grid(header, rows, (0, 1)), picture] if rows else []


def table(console: Console, report: ComparisonReport, folder: Path) -> None:
    """Print the baselines and the models in plain training, the summaries, and where the report is."""
    for market in report.markets:
        label = market.labels[0].name
        made = coverage_columns(plain_table(f"{market.name}: test accuracy (%), label {label}"), market.coverages)
        made.add_column("above baseline", justify="right")
        brief = console.rich.width < WIDE
        for row in [*(r for r in market.rows if r.result.is_baseline), *market.of_recipe(report.plain)]:
            accuracies = [_accuracy(row, label, c, bracket=False) for c in market.coverages]
            difference = points(_difference(row.from_baseline, 1.0), bracket=not brief)
            made.add_row(row.result.model, *accuracies, Text(difference))
        for best in _best_possible(market):
            made.add_row(*best)
        console.rich.print(made, soft_wrap=False)
    if report.recipes:
        console.say(recipe_summary(report).replace("`", ""))
    console.say(baseline_summary(report))
    for text in below_baselines(report):
        console.rich.print(Text(text, style="bold red"), soft_wrap=False)
    console.say(f"report: {folder / 'report.md'}")


def _market(report: ComparisonReport, market: MarketReport, picture: str) -> list[str]:
    d = market.data
    rows = [("source", f"{d.source}: {plural(len(d.symbols), 'symbol')}, bars of {d.interval}")]
    rows += [
        ("the models predict", with_times(market.labels[0].question, d.interval)),
        ("features", str(len(d.columns))),
    ]
    rows += [
        (f"{k} span", f"{s.start[:10]} to {s.end[:10]}{between(s.blocks)}, {plural(s.labels, 'label')}")
        for k, s in d.spans.items()
    ]
    rows += [("test rows whose price does not move", percent(d.zero_moves, 1))]
    if not missing(d.best_accuracy):
        rows += [("best possible accuracy, all bars", percent(d.best_accuracy))]
    blocks = [facts(rows), picture]
    good = [row for row in market.rows if not row.result.error]
    names = [coverage_name(c) for c in market.coverages]
    for i, label in enumerate(market.labels):
        extra = ["seeds", "above baseline", "q", "top 10 %", "q"] if i == 0 else []
        lines = []
        for row in good:
            lines.append([_cell_name(row, report), *(_accuracy(row, label.name, c) for c in market.coverages)])
            if i == 0:
                tests = [_difference(row.from_baseline, c) for c in COMPARED]
                lines[-1] += [_seeds(row, label.name), *(text for t in tests for text in (points(t), q_value(t)))]
        if i == 0:
            lines += [best + [DASH] * len(extra) for best in _best_possible(market)]
        blocks += [f"### Accuracy, {label.title}", grid(["", *names, *extra], lines)]
    header = ["", "log loss", "below baseline", "q", "below plain", "q", "Brier", "ECE (%)", "MCC", "IC", "Sharpe"]
    uniform = fixed(math.log(market.labels[0].classes), 4)
    about = f"In brackets 95 % intervals, days resampled. The log loss of the uniform forecast is {uniform}. {NATS}"
    blocks += ["### Scores", about, grid(header, [_scores(row, s, report) for row in good if (s := row.result.scores)])]
    header = ["", "parameters", "samples/s", "seconds", "validation loss", "best step", "fine-tuned at"]
    efforts = [_effort(row, t, report) for row in good if row.result.scores and (t := row.result.training)]
    blocks += ["### Effort", grid(header, efforts)]
    failed = [f"* {_cell_name(row, report)}: {row.result.error}" for row in market.rows if row.result.error]
    return [*blocks, "Training that failed:\n\n" + "\n".join(failed) if failed else ""]


def _best_possible(market: MarketReport) -> list[list[str]]:
    """Return the row of the best possible accuracy, if it is known."""
    best = market.data.best_accuracy
    if missing(best):
        return []
    return [["best possible", *(interval(best) if c == 1 else DASH for c in market.coverages)]]


def _scores(row: ComparisonRow, s: Scores, report: ComparisonReport) -> list[str]:
    trading = row.result.trading
    tests = [d and d.log_loss for d in (row.from_baseline, row.from_plain)]
    differences = [text for test in tests for text in (nats(test), q_value(test))]
    scores = estimate(s.brier, 4), estimate(s.ece, 2, 100), estimate(s.mcc, 3), estimate(s.ic, 3)
    sharpe = fixed(trading.sharpe.value, 1) if trading else DASH
    return [_cell_name(row, report), estimate(s.log_loss, 4), *differences, *scores, sharpe]


def _effort(row: ComparisonRow, t: CellTraining, report: ComparisonReport) -> list[str]:
    ended = f"{t.best_step} of {t.steps}" if t.stages == 1 else DASH
    rates = ", ".join(f"{m.learning_rate:g}" for m in t.members if m.learning_rate is not None)
    numbers = (count(x) for x in (t.parameters, t.labels_per_second, row.result.seconds))
    return [_cell_name(row, report), *numbers, fixed(t.best_loss, 4), ended, rates or DASH]


def _cell_name(row: ComparisonRow, report: ComparisonReport) -> str:
    """Return the name of a cell, bold where it is significantly above the baseline."""
    result = row.result
    if result.is_baseline:
        return result.model
    tests = row.from_baseline.accuracy.values() if row.from_baseline else ()
    above = any(test.direction(report.false_discovery_rate) > 0 for test in tests)
    return f"**{result.model}, {result.recipe}**" if above else f"{result.model}, {result.recipe}"


def _accuracy(row: ComparisonRow, label: str, target: float, bracket: bool = True) -> str:
    r = at(row.result.accuracy[label], target)
    if r.coverage > WIDEST * target:
        return DASH
    return interval(r.accuracy, r.low, r.high) if bracket else interval(r.accuracy)


def _seeds(row: ComparisonRow, label: str) -> str:
    members = row.result.training.members if row.result.training else ()
    values = [m.accuracy[label][0] for m in members]
    return f"{100 * min(values):.1f} .. {100 * max(values):.1f}" if values else DASH


def _difference(differences: Differences | None, coverage: float) -> PairedTest | None:
    accuracy: Mapping[float, PairedTest] = differences.accuracy if differences else {}
    return accuracy.get(coverage)


def _provenance(report: ComparisonReport) -> list[str]:
    rows = [
        ("code", f"`{report.environment.code}`"),
        ("config", "in full in [plan.json](plan.json); cells in [cells.jsonl](cells.jsonl)"),
        ("numbers", "all of them in comparison.json, which `scripts/comparison.py --table` makes from the cells"),
        *machine(report.environment),
    ]
    return [facts(rows), commands(report.environment)]
