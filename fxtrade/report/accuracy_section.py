"""The sections of a report that say how good the forecasts are."""

from __future__ import annotations

import math
from functools import partial

from fxtrade.report import summary
from fxtrade.report.formatting import DASH, count, fixed, interval, missing, percent, score
from fxtrade.report.tables import grid

LABELS = {"open_to_open": "next open to a later open (tradable)", "close_to_close": "close to close"}


def accuracy(outcome: dict, picture: str) -> list[str]:
    """Accuracy at every coverage of model, baselines and null floors, and on the other label."""
    run, targets, floors = outcome["run"], summary.targets(outcome), outcome["null"]
    tables = {f"**{run['model']}**": outcome["accuracy"][run["model"]], **summary.rivals(outcome)}
    tables |= {f"null floor: {name}": rows for name, rows in floors.items()}
    header = ["", *(summary.coverage_name(t) for t in targets)]
    right = [[name, *(_hit(summary.at(rows, t)) for t in targets)] for name, rows in tables.items()]
    share = [[name, *(_share(summary.at(rows, t)) for t in targets)] for name, rows in tables.items()]
    best = outcome["data"]["best_accuracy"]
    if not missing(best):
        right.append(["best possible", *(fixed(100 * best, 1) if t == 1 else DASH for t in targets)])
    blocks = [
        "## How often it is right",
        "A forecast counts where its confidence reaches a threshold. **Thresholds were fixed on the validation span**, "
        "so the share that they cover on the test span differs a little from the one aimed at. In brackets the "
        f"{_resampling(outcome)}. With two classes, rows whose price does not move have no label and do not count.",
        picture,
        "Accuracy in % of the forecasts that count:",
        grid(header, right),
        "Share of the labelled test rows that is really covered, and their number:",
        grid(header, share),
    ]
    if floors:
        blocks.append(
            "Null floor: the same pipeline, trained where nothing is there to find. Random walk: every bar mirrored "
            "or not by a fair coin. Shuffled: blocks of bars in random order."
        )
    if floors.keys() != summary.floors(outcome).keys():
        blocks.append("Mirrored bars keep their volatility, so for this label the random walk is no floor.")
    if outcome["labels"]:
        rows = [[LABELS[k], *(_hit(summary.at(v, t)) for t in targets)] for k, v in outcome["labels"].items()]
        blocks += [
            "### The same forecasts on both labels",
            "What is right close to close, but not from the next open on, is the last trade bouncing from bid to ask: "
            "true, and worth nothing to someone who takes prices. Accuracy in %:",
            grid(["label", *header[1:]], rows),
        ]
    return blocks


def scores(outcome: dict, picture: str) -> list[str]:
    """Scores of all forecasts, beside those of a forecast that gives every class the same probability."""
    s, label = outcome["scores"], outcome["run"]["config"]["label"]
    k, shown = label["classes"], partial(score, s, s.get("intervals", {}))
    brier, log_loss = fixed((k - 1) / (2 * k), 4), fixed(math.log(k), 4)
    rows = [
        ["accuracy (%)", shown("accuracy", 1, 100), DASH, "share of right decisions"],
        ["balanced accuracy (%)", shown("balanced_accuracy", 1, 100), fixed(100 / k, 1), "recall, mean of the classes"],
        ["Matthews correlation (MCC)", shown("mcc", 3), "0", "of decisions and truth, from -1 to 1"],
        ["Brier score", shown("brier", 4), brier, "half the squared error of the probabilities; less is better"],
        ["log loss (nats)", shown("log_loss", 4), log_loss, "surprise at the truth; less is better"],
        ["calibration error (ECE, %)", shown("ece", 2, 100), "0", "gap of confidence and frequency; less is better"],
    ]
    if label["name"] != "volatility_direction":
        rows += [
            ["information coefficient (IC)", shown("ic", 3), "0", "correlation of p(up) - p(down) with the return"],
            ["rank IC", shown("rank_ic", 3), "0", "the same of their ranks"],
        ]
    header = ["score", "value", "no opinion", "meaning"]
    return [
        "## Scores",
        f"On all {count(s['rows'])} labelled test rows, without a threshold; in brackets the {_resampling(outcome)}. "
        f"No opinion is 1/{k} for every class. A calibration error within noise has an interval that begins at 0.",
        grid(header, rows, (0, 3)),
        picture,
    ]


def tasks(outcome: dict) -> list[str]:
    """Further horizons, and mean and volatility of the return, of a model that says them."""
    blocks, targets = [], summary.targets(outcome)
    if tables := outcome.get("horizons"):
        rows = [[f"{bars} bars", *(_hit(summary.at(t, target)) for target in targets)] for bars, t in tables.items()]
        header = ["horizon", *(summary.coverage_name(t) for t in targets)]
        blocks += ["### Further horizons", "The same label further ahead, accuracy in %:", grid(header, rows)]
    if found := outcome.get("returns"):
        names = {
            "model": f"**{outcome['run']['model']}**",
            "trailing": "trailing volatility",
            "constant": "constant volatility",
        }
        rows = [
            [names[name], fixed(s["log_score"], 3), percent(s["inside_90"]), fixed(s["rank_correlation"], 3)]
            for name, s in found["forecasts"].items()
        ]
        header = ["forecast", "log score (nats)", "inside the 90 % interval", "rank correlation with |return|"]
        blocks += [
            "### Mean and volatility of the return",
            f"As a normal distribution, on {count(found['rows'])} test rows; a lower log score is better. Trailing: "
            "exponentially weighted, up to the bar itself. Constant: of the training rows. Rank correlation of the "
            f"forecast mean with the return: {fixed(found['rank_ic'], 3)}.",
            grid(header, rows),
        ]
    return blocks


def groups(outcome: dict, picture: str) -> list[str]:
    """Accuracy by symbol and by month."""
    tables = [
        grid([name, "accuracy (%)", "forecasts"], [[e["name"], _hit(e), count(e["rows"])] for e in entries])
        for name, entries in outcome["groups"].items()
        if entries
    ]
    intro = f"All bars; in brackets the {_resampling(outcome)}."
    return ["## By symbol and by month", intro, picture, *tables] if tables else []


def _hit(row: dict) -> str:
    return interval(row["accuracy"], row["low"], row["high"])


def _share(row: dict) -> str:
    return f"{percent(row['coverage'])} ({row['rows']:,})"


def _resampling(outcome: dict) -> str:
    options = outcome["run"]["config"]["report"]
    blocks = f"blocks of {options['bootstrap_block']}, all symbols of a block together"
    return f"95 % interval from {options['bootstrap_samples']:,} resamples of {blocks}"
