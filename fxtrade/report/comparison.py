"""The report of a comparison: `report.md` with its plots, and a short table on the screen."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import write_atomic
from fxtrade.report import comparison_plots, summary
from fxtrade.report.formatting import DASH, count, duration, fixed, interval, missing, percent, score
from fxtrade.report.plotting import pixels, save_png
from fxtrade.report.progress import Console
from fxtrade.report.tables import facts, grid

PLAIN, TREES = "plain", "gradient-boosted trees"
RATE = 0.05  # of false discoveries
WIDER = 3  # times the coverage aimed at: who says everything with the same confidence has no top
LABELS = {"open_to_open": "next open to a later open (tradable)", "close_to_close": "close to close"}
CAPTIONS = {"coverage": "Accuracy by coverage", "recipes": "What each recipe adds", "cost": "Accuracy and speed"}
NATS = "Less log loss than trees or plain in thousandths of a nat, positive where it is better."
READING = """\
* **Accuracy** in % of the forecasts whose confidence reaches a threshold that was fixed on the validation span, on \
the test span, of the mean probabilities of all seeds; in brackets the 95 % interval, whole days resampled. **Seeds**: \
accuracy of each seed alone, lowest to highest.
* **Differences** in percentage points between two accuracies on the label trained for, each at its own threshold, \
days resampled for both together. **q**: the smallest false discovery rate at which a difference is a discovery \
(Benjamini & Hochberg), among all differences of its kind in this report: from the trees, or of recipes from plain.
* **Plain**: cross-entropy, and nothing else changed. Every cell sees as many bars, stages and pre-training included, \
and keeps the weights of the lowest validation loss. No options were tuned for single cells. \
**Adapts at**: the rate of each seed's steps, chosen on the validation span.
* **Trees and logistic regression** see the features of the bar itself; networks also those of the bars before it.
* **Sharpe**: a year, of trading the most confident tenth net of costs."""


def write(folder: Path, outcome: dict[str, Any]) -> None:
    """Write `report.md` and `plots/*.png`; every file is either whole or not there.

    Args:
        outcome: of `comparison.statistics.assemble`, None where there is no number.

    Raises:
        FxtradeError: the folder cannot be written.
    """
    figures = comparison_plots.figures(outcome)
    for name, figure in figures.items():
        save_png(folder / "plots" / f"{name}.png", pixels(figure))
    try:
        write_atomic(folder / "report.md", document(outcome, tuple(figures)))
    except OSError as e:
        raise FxtradeError(f"the report in {folder} cannot be written: {e.strerror}; mend that and run again") from e


def document(outcome: dict[str, Any], pictures: tuple[str, ...]) -> str:
    """The whole report; `pictures` names the plots that stand as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name.split('_')[0]]}](plots/{name}.png)" for name in pictures}
    run = outcome["run"]
    blocks = [
        f"# Comparison `{run['folder']}`",
        f"**{verdict_on(outcome['goal'])}**",
        _progress(run),
        "## Which ideas helped",
        *ideas(outcome, shown.get("recipes", "")),
        "## Architectures",
        *architectures(outcome, shown.get("cost", "")),
    ]
    for market in outcome["markets"]:
        blocks += [f"## {market['name']}", *_market(market, shown.get(f"coverage_{market['name']}", ""))]
    blocks += ["## How to read it", READING, "## Where it comes from", *_provenance(run)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def verdict_on(goal: dict) -> str:
    """Whether anything beats the trees, in plain words, with the number of comparisons that were made."""
    n = goal["comparisons"]
    if not n:
        return "Nothing has been compared with the gradient-boosted trees yet."
    made = f"{n} comparison{'s' if n > 1 else ''} with {TREES} on the same features at the same coverage"
    if not goal["beaten"]:
        best = goal["best"]
        nearest = f"; the nearest is {_where(best)}: {_gap(best)} points" if best else ""
        text = f"None of {made} is won beyond luck at a false discovery rate of {percent(RATE, 0)}{nearest}."
    else:
        first = goal["beaten"][0]
        text = (
            f"{len(goal['beaten'])} of {made} are won beyond luck at a false discovery rate of {percent(RATE, 0)}; "
            f"the clearest is {_where(first)}: {_gap(first)} points."
        )
    nats = goal["nats"]
    also = f" In log loss {nats['better']} of {nats['comparisons']} are better beyond luck, {nats['worse']} worse."
    return f"{text} {goal['below']} are lost beyond luck.{also if nats['comparisons'] else ''}"


def ideas(outcome: dict, picture: str) -> list[str]:
    """What each recipe adds to plain training, the best first."""
    found = sorted(outcome["recipes"], key=lambda e: -e["mean"])
    if not found:
        return ["No recipe has been trained beside the plain one yet."]
    rows = []
    for effect in found:
        for name, part in effect["markets"].items():
            cells = [_effect(part.get(key)) for key in ("1", "0.1")]
            nats = effect["nats"].get(name)
            rows.append([effect["recipe"], name, *(text for pair in cells for text in pair), _nats(nats), _q(nats)])
    header = ["recipe", "data", "all bars", "q", "better", "top 10 %", "q", "better", "log loss", "q"]
    return [
        _summary(found),
        "Difference from plain training in percentage points, on average over the models [95 %]; better: in how many. "
        "Log loss: how much less, in thousandths of a nat.",
        grid(header, rows, (0, 1)),
        picture,
    ]


def architectures(outcome: dict, picture: str) -> list[str]:
    """The models in plain training, side by side."""
    rows = []
    for market in outcome["markets"]:
        for row in plain(market):
            numbers = [count(row[k]) for k in ("parameters", "receptive_field", "labels_per_second")]
            right = [_hit(row, market["labels"][0], c) for c in (1.0, 0.1)]
            gaps = [_gap(row.get("trees", {}).get(key)) for key in ("1", "0.1")]
            rows.append([row["model"], market["name"], *numbers, *right, *gaps])
    header = ["model", "data", "parameters", "bars seen", "samples/s", "all bars", "top 10 %"]
    about = "Plain training. Samples/s: in training, one seed after the other. Accuracy in %, and points above trees."
    return [about, grid([*header, "above trees, all", "top 10 %"], rows, (0, 1)), picture] if rows else []


def plain(market: dict) -> list[dict]:
    return [row for row in market["rows"] if row["recipe"] == PLAIN and "error" not in row]


def table(console: Console, outcome: dict[str, Any], folder: Path) -> None:
    """Print the baselines and the models in plain training, the recipes, the verdict, and where the report is."""
    for market in outcome["markets"]:
        label = market["labels"][0]
        title = f"{market['name']}: right on the test span (%), label {label}"
        made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        made.add_column("", no_wrap=True)
        for target in market["coverages"]:
            made.add_column("all bars" if target == 1 else f"{100 * target:g} %", justify="right")
        made.add_column("above trees", justify="right")
        for row in [*(r for r in market["rows"] if r["kind"] == "baseline"), *plain(market)]:
            right = [_hit(row, label, c, False) for c in market["coverages"]]
            made.add_row(row["model"], *right, Text(_gap(row.get("trees", {}).get("1"))))
        console.rich.print(made, soft_wrap=False)
    if outcome["recipes"]:
        console.say(_summary(outcome["recipes"]).replace("`", ""))
    console.say(verdict_on(outcome["goal"]))
    console.say(f"report: {folder / 'report.md'}")


def _market(market: dict, picture: str) -> list[str]:
    rows = [("source", f"{market['source']}: {len(market['symbols'])} symbols, bars of {market['interval']}")]
    rows += [("the models say", summary.question(market["label"])), ("features", str(len(market["columns"])))]
    spans = {k: (s["from"][:10], s["to"][:10], f"{s['labels']:,} labels") for k, s in market["spans"].items()}
    rows += [(f"{k} span", f"{a} to {b}, {n}") for k, (a, b, n) in spans.items()]
    rows += [("test rows whose price does not move", percent(market["zero_moves"], 1))]
    blocks = [facts(rows), picture]
    good = [row for row in market["rows"] if "error" not in row]
    names = [summary.coverage_name(c) for c in market["coverages"]]
    for kind in market["labels"]:
        first = kind == market["labels"][0]
        extra = ["seeds", "above trees", "q", "top 10 %", "q"] if first else []
        lines = []
        for row in good:
            lines.append([_name(row), *(_hit(row, kind, c) for c in market["coverages"])])
            if first:
                tests = [row.get("trees", {}).get(key) for key in ("1", "0.1")]
                lines[-1] += [_seeds(row, kind), *(text for test in tests for text in (_gap(test), _q(test)))]
        blocks += [f"### Accuracy, {LABELS.get(kind, kind)}", grid(["", *names, *extra], lines)]
    scored = [row for row in good if "scores" in row]
    header = ["", "log loss", "less than trees", "q", "less than plain", "q", "Brier", "ECE (%)", "MCC", "IC", "Sharpe"]
    silent = fixed(math.log(market["label"]["classes"]), 4)
    about = f"In brackets 95 % intervals, days resampled. Without an opinion the log loss is {silent}. {NATS}"
    blocks += ["### Scores", about, grid(header, [_scores(row) for row in scored])]
    header = ["", "parameters", "samples/s", "seconds", "best step", "adapts at"]
    blocks += ["### Effort", grid(header, [_effort(row) for row in scored if row["kind"] == "cell"])]
    failed = [f"* {_name(row)}: {row['error']}" for row in market["rows"] if "error" in row]
    return [*blocks, "Training that failed:\n\n" + "\n".join(failed) if failed else ""]


def _scores(row: dict) -> list[str]:
    nats, shown = row.get("nats", {}), partial(score, row["scores"], row.get("intervals", {}))
    tests = [text for rival in ("trees", "plain") for text in (_nats(nats.get(rival)), _q(nats.get(rival)))]
    scores = shown("brier", 4), shown("ece", 2, 100), shown("mcc", 3), shown("ic", 3)
    return [_name(row), shown("log_loss", 4), *tests, *scores, fixed(row.get("trading", {}).get("sharpe"), 1)]


def _effort(row: dict) -> list[str]:
    ended = f"{row['best_step']} of {row['steps']}" if row["stages"] == 1 else DASH
    rates = [f"{m['rate']:g}" for m in row["members"] if m.get("rate") is not None]
    numbers = (count(row[k]) for k in ("parameters", "labels_per_second", "seconds"))
    return [_name(row), *numbers, ended, ", ".join(rates) or DASH]


def _name(row: dict) -> str:
    if row["kind"] == "baseline":
        return row["model"]
    name = f"{row['model']}, {row['recipe']}"
    won = any(_won(test) for test in row.get("trees", {}).values())
    return f"**{name}**" if won else name


def _won(test: dict) -> bool:
    return not missing(test["low"]) and test["low"] > 0 and not missing(test["q"]) and test["q"] <= RATE


def _hit(row: dict, label: str, target: float, bracket: bool = True) -> str:
    r = summary.at(row["accuracy"][label], target)
    if r["coverage"] > WIDER * target:
        return DASH
    return interval(r["accuracy"], r["low"], r["high"]) if bracket else interval(r["accuracy"], None, None)


def _seeds(row: dict, label: str) -> str:
    values = [m["accuracy"][label][0] for m in row.get("members", ())]
    return f"{100 * min(values):.1f} .. {100 * max(values):.1f}" if values else DASH


def _effect(test: dict | None) -> tuple[str, str, str]:
    return (_gap(test), _q(test), f"{test['helped']} of {test['models']}") if test else (DASH, DASH, DASH)


def _gap(test: dict | None, scale: float = 100) -> str:
    """+0.31 [-0.12, +0.74], percentage points."""
    if not test or missing(test["value"]):
        return DASH
    text = f"{scale * test['value']:+.2f}"
    return text if missing(test["low"]) else f"{text} [{scale * test['low']:+.2f}, {scale * test['high']:+.2f}]"


def _nats(test: dict | None) -> str:
    """+0.31 [-0.12, +0.74], thousandths of a nat."""
    return _gap(test, 1000)


def _q(test: dict | None) -> str:
    if not test or missing(test["q"]):
        return DASH
    return "< 0.001" if test["q"] < 0.001 else f"{test['q']:.3f}"


def _where(test: dict) -> str:
    return f"{test['model']}, {test['recipe']} on {test['market']}, {summary.coverage_name(test['coverage'])}"


def _summary(found: list[dict]) -> str:
    """Which recipes help or hurt beyond luck."""
    tests = []
    for effect in found:
        for name, part in effect["markets"].items():
            tests += [(effect, name, summary.coverage_name(float(key)), _gap(t), t) for key, t in part.items()]
        tests += [(effect, name, "log loss", _nats(t), t) for name, t in effect["nats"].items()]
    whole = f"{len(tests)} differences of {len(found)} recipes"
    said = [f"Of {whole} from plain training, at a rate of {percent(RATE, 0)}:"]
    for word, sign in (("better", 1), ("Worse", -1)):
        beyond = [
            f"`{effect['recipe']}` on {name}, {where} ({text})"
            for effect, name, where, text, t in tests
            if not missing(t["q"]) and t["q"] <= RATE and sign * t["value"] > 0
        ]
        said.append(f"{word}: {'; '.join(beyond) or 'none'}.")
    return " ".join(said)


def _progress(run: dict) -> str:
    c = run["config"]
    seeds = f"{c['seeds']} seed{'s' if c['seeds'] > 1 else ''}"
    partly = f"{run['done']} of {run['planned']}" if run["done"] < run["planned"] else f"All {run['done']}"
    return (
        f"{partly} cells: {len(c['models'])} models, {len(c['recipes'])} recipes, {len(c['markets'])} markets, {seeds} "
        f"each, every seed trained on {c['budget']:,} bars of single symbols; {duration(run['seconds'])} of training."
    )


def _provenance(run: dict) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in run["packages"].items())
    rows = [
        ("code", f"`{run['code']}`"),
        ("config", "in full in [plan.json](plan.json); cells in [cells.jsonl](cells.jsonl)"),
        ("numbers", "all of them in comparison.json, which `scripts/experiment.py --table` makes of the cells"),
        ("machine", f"{', '.join(run['devices'])} ({run['backend']}), {run['cores']} cores, Python {run['python']}"),
        ("packages", packages),
    ]
    return [facts(rows), f"```\n{run['command']}\n```"]
