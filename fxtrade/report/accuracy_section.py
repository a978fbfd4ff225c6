"""The sections of a report on accuracy and scores."""

from __future__ import annotations

import math

from fxtrade.core.text import plural
from fxtrade.evaluate.results import NAN, CoverageRow, Estimate, GroupRow
from fxtrade.report.coverage_rows import at, coverage_name, target_coverages
from fxtrade.report.formatting import DASH, count, estimate, fixed, interval, missing, nats, percent, points
from fxtrade.report.rivals import NO_RANDOM_WALK, null_baselines
from fxtrade.report.schema import RunReport
from fxtrade.report.tables import grid

UNKNOWN = Estimate(NAN)


def accuracy(report: RunReport, picture: str) -> list[str]:
    """Return the section on accuracy: model, baselines and null baselines at every coverage, and other labels."""
    targets, nulls, own = target_coverages(report), null_baselines(report), f"**{report.training.model}**"
    tables = {own: report.accuracy, **report.baselines}
    tables |= {f"null baseline: {name}": table for name, table in nulls.items()}
    header = ["", *(coverage_name(t) for t in targets)]
    losses = {own: report.scores.log_loss} | {name: b.log_loss for name, b in report.learned_baselines.items()}
    accuracies = [
        [name, *(_accuracy(at(table, t)) for t in targets), estimate(losses.get(name, UNKNOWN), 4)]
        for name, table in tables.items()
    ]
    coverages = [[name, *(_coverage(at(table, t)) for t in targets)] for name, table in tables.items()]
    best = report.data.best_accuracy
    if not missing(best):
        accuracies.append(["best possible", *(fixed(100 * best, 1) if t == 1 else DASH for t in targets), DASH])
    blocks = [
        "## Accuracy",
        "A forecast counts where its confidence reaches a threshold. **Thresholds are fixed on the validation span**, "
        "so the coverage of the test span differs a little from its target. In brackets the "
        f"{_resampling(report)}. With two classes, rows whose price does not move have no label and do not count.",
        picture,
        "Accuracy (%), and the log loss in nats where there are probabilities:",
        grid([*header, "log loss"], accuracies),
        "Coverage of the labelled test rows, and number of forecasts:",
        grid(header, coverages),
        *_differences(report, header),
    ]
    if nulls:
        blocks.append(_null_baselines(report))
    if report.other_labels:
        labels = [(report.label, report.accuracy), *((other.label, other.accuracy) for other in report.other_labels)]
        rows = [
            [label.title, *(_accuracy(at(table, t)) for t in targets)]
            for label, table in sorted(labels, key=lambda pair: not pair[0].tradable)
        ]
        blocks += [
            "### The same forecasts on both labels",
            "Accuracy close to close that is lost from the next open on is bid-ask bounce, which cannot be traded by "
            "taking prices. Accuracy (%):",
            grid(["label", *header[1:]], rows),
        ]
    return blocks


def _null_baselines(report: RunReport) -> str:
    """Return what the null baselines of this label are, and what they can predict after all."""
    text = "Null baseline: the same pipeline, trained on data without anything to predict."
    if not report.label.directional:
        return f"{text} Shuffled: bars in random order. {NO_RANDOM_WALK}"
    blocks = f"blocks of {plural(report.label.horizon, 'bar')} in random order"
    return f"{text} Random walk: every bar mirrored or not by a fair coin. Shuffled: {blocks}."


def _differences(report: RunReport, header: list[str]) -> list[str]:
    """Return the table of the model's differences from the learned baselines."""
    rows = [
        [name, *(points(b.differences.accuracy.get(t)) for t in target_coverages(report)), nats(b.differences.log_loss)]
        for name, b in report.learned_baselines.items()
    ]
    if not rows:
        return []
    return [
        "The model against each learned baseline: accuracy in percentage points, and reduction of the log loss in "
        "thousandths of a nat; blocks drawn for both together. Positive is better.",
        grid([*header, "log loss"], rows),
    ]


def scores(report: RunReport, picture: str) -> list[str]:
    """Return the section on scores of all forecasts, beside those of a uniform forecast."""
    s, k = report.scores, report.label.classes
    brier, log_loss = fixed((k - 1) / (2 * k), 4), fixed(math.log(k), 4)
    rows = [
        ["accuracy (%)", estimate(s.accuracy, 1, 100), DASH, "share of correct decisions"],
        [
            "balanced accuracy (%)",
            estimate(s.balanced_accuracy, 1, 100),
            fixed(100 / k, 1),
            "mean recall of the classes",
        ],
        ["Matthews correlation (MCC)", estimate(s.mcc, 3), "0", "of decisions and classes, from -1 to 1"],
        ["Brier score", estimate(s.brier, 4), brier, "half the squared error of the probabilities; lower is better"],
        ["log loss (nats)", estimate(s.log_loss, 4), log_loss, "-log p of the class; lower is better"],
        ["calibration error (ECE, %)", estimate(s.ece, 2, 100), "0", "gap of confidence and accuracy; lower is better"],
    ]
    if report.label.directional:
        rows += [
            ["information coefficient (IC)", estimate(s.ic, 3), "0", "correlation of p(up) - p(down) with the return"],
            ["rank IC", estimate(s.rank_ic, 3), "0", "the same of their ranks"],
        ]
    return [
        "## Scores",
        f"On all {count(s.rows)} labelled test rows, without a threshold; in brackets the {_resampling(report)}. The "
        f"uniform forecast gives every class the probability 1/{k}. Noise makes the "
        "calibration error larger; its interval is corrected for that, may lie below the value, and begins at 0 where "
        "the error is within noise.",
        grid(["score", "value", "uniform forecast", "meaning"], rows, (0, 3)),
        picture,
    ]


def auxiliary(report: RunReport) -> list[str]:
    """Return the sections on auxiliary heads: further horizons, and mean and volatility of the return."""
    blocks, targets = [], target_coverages(report)
    if tables := report.auxiliary.horizons:
        rows = [[plural(bars, "bar"), *(_accuracy(at(t, target)) for target in targets)] for bars, t in tables.items()]
        header = ["horizon", *(coverage_name(t) for t in targets)]
        blocks += ["### Further horizons", "The same label at longer horizons, accuracy (%):", grid(header, rows)]
    if found := report.auxiliary.returns:
        forecasts = {
            f"**{report.training.model}**": found.model,
            "trailing volatility": found.trailing,
            "constant volatility": found.constant,
        }
        rows = [
            [name, fixed(s.log_score, 3), percent(s.inside_90), fixed(s.rank_correlation, 3)]
            for name, s in forecasts.items()
        ]
        header = ["forecast", "log score (nats)", "inside the 90 % interval", "rank correlation with |return|"]
        blocks += [
            "### Mean and volatility of the return",
            f"As a normal distribution, on {count(found.rows)} test rows; a lower log score is better. Trailing: "
            "exponentially weighted, up to the bar itself. Constant: of the training rows. Rank correlation of the "
            f"forecast mean with the return: {fixed(found.rank_ic, 3)}.",
            grid(header, rows),
        ]
    return blocks


def groups(report: RunReport, picture: str) -> list[str]:
    """Return the section on accuracy by symbol and by month."""
    tables = [
        grid([name, "accuracy (%)", "forecasts"], [[row.name, _accuracy(row), count(row.rows)] for row in rows])
        for name, rows in (("symbol", report.symbols), ("month", report.months))
        if rows
    ]
    intro = f"All bars; in brackets the {_resampling(report)}."
    return ["## By symbol and by month", intro, picture, *tables] if tables else []


def _accuracy(row: CoverageRow | GroupRow) -> str:
    return interval(row.accuracy, row.low, row.high)


def _coverage(row: CoverageRow) -> str:
    return f"{percent(row.coverage)} ({row.rows:,})"


def _resampling(report: RunReport) -> str:
    options = report.config.report
    blocks = f"blocks of {options.bootstrap_block}, all symbols of a block together"
    return f"95 % interval from {options.bootstrap_samples:,} resamples of {blocks}"
