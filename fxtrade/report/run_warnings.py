"""Warnings of a run: implausible results, a short test span, and a network that a simpler model beats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from fxtrade.core.text import plural
from fxtrade.evaluate.results import Differences
from fxtrade.report.coverage_rows import at, target_coverages
from fxtrade.report.formatting import missing, nats, number, percent, points
from fxtrade.report.rivals import Position, paired_position
from fxtrade.report.schema import RunReport
from fxtrade.report.summary import bracketed, over, tradable
from fxtrade.validate.surrogates import Surrogate

LEAK_ACCURACY, LEAK_SHARPE = 0.56, 4.0  # above these, on real bars, a leak is the likeliest explanation
FEW_DAYS = 20  # percentile intervals from fewer blocks are too narrow
ENCODING = "piecewise_linear"  # with which networks cut columns as trees do


def warnings(report: RunReport) -> list[str]:
    """Return warnings about implausible results, simpler models that are better, and short test spans."""
    found = [*_leaks(report), *_below_baseline(report)]
    span = report.data.spans["test"]
    days = (dt.datetime.fromisoformat(span.end) - dt.datetime.fromisoformat(span.start)).days + 1
    if days < FEW_DAYS:
        found.append(
            f"The test span has {plural(days, 'day')} only: intervals are too narrow, and yearly figures mean little."
        )
    return found


def _leaks(report: RunReport) -> Iterator[str]:
    """Yield a warning for each result that is more likely a leak than skill."""
    label, wide = report.label, target_coverages(report)[0]
    real, two_directions = not report.data.planted_edge, label.directional and label.classes == 2
    table = tradable(report)
    if real and two_directions and wide == 1 and table and over(accuracy := at(table, wide).accuracy, LEAK_ACCURACY):
        yield (
            f"Leak? An accuracy of {percent(accuracy)} on all bars of a tradable label is more than real markets give "
            f"({percent(LEAK_ACCURACY, 0)}). Check features, labels and splits for future data."
        )
    sharpe = report.trading.strategy.sharpe.value if report.trading else None
    if real and over(sharpe, LEAK_SHARPE):
        yield (
            f"Leak? A net Sharpe ratio of {number(sharpe)} is more than real markets give ({LEAK_SHARPE:g}). Check for "
            "fills at past prices, missing costs and future data in features."
        )
    if two_directions and Surrogate.RANDOM_WALK in report.null_baselines:
        walk = at(report.null_baselines[Surrogate.RANDOM_WALK], wide)
        if over(walk.low, 0.5):
            yield (
                f"Leak? On a random walk, which cannot be predicted, the accuracy of the same pipeline is "
                f"{bracketed(walk)}. Chance alone does this in one run of 40: try another seed, then check for leaks."
            )
    own, top = at(report.accuracy, wide), report.data.best_accuracy
    if not missing(top) and over(own.low, max(top, 0.5)):
        yield (
            f"Leak? {bracketed(own)} is more than the best possible accuracy of this simulated market, {percent(top)}."
        )


def _below_baseline(report: RunReport) -> Iterator[str]:
    """Yield a warning if the network is significantly below learned baselines on all bars or in its log loss."""
    below = [f"{name} ({worse})" for name, b in report.learned_baselines.items() if (worse := _worse(b.differences))]
    if not below:
        return
    advice = ["more train.steps", "less optim.weight_decay"]
    if report.label.directional and report.config.model.encoding.name != ENCODING:  # columns of volatility are smooth
        advice.insert(0, f"config.model.encoding.name={ENCODING}")
    yield (
        f"A simpler model is significantly better than this {report.training.model}: {'; '.join(below)}. "
        f"Try {', '.join(advice[:-1])} or {advice[-1]}."
    )


def _worse(found: Differences) -> str:
    """Return in words the measures in which a model is significantly worse, "" if there are none."""
    accuracy, loss, parts = found.accuracy.get(1.0), found.log_loss, []
    if paired_position(accuracy) is Position.BELOW:
        parts.append(f"accuracy, all bars, {points(accuracy)} percentage points")
    if paired_position(loss) is Position.BELOW:
        parts.append(f"reduction of the log loss {nats(loss)} thousandths of a nat")
    return ", ".join(parts)
