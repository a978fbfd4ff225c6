"""The summary of a run in words. Claims are based on intervals, not on point estimates alone."""

from __future__ import annotations

from fxtrade.core.text import plural
from fxtrade.core.trade_config import TradeConfig
from fxtrade.evaluate.results import CoverageRow, CoverageTable, TradingResult
from fxtrade.report.coverage_rows import at, coverage_name, target_coverages
from fxtrade.report.formatting import (
    DASH,
    describe_costs,
    estimate,
    fixed,
    gain,
    known,
    missing,
    number,
    percent,
    probability,
    with_times,
)
from fxtrade.report.rivals import best_baseline, best_null_baseline, null_baselines, verdict
from fxtrade.report.schema import RunReport


def tradable(report: RunReport) -> CoverageTable | None:
    """Return the accuracy on a tradable label, if there is one."""
    if report.label.tradable:
        return report.accuracy
    return next((other.accuracy for other in report.other_labels if other.label.tradable), None)


def times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def configurations(n: int) -> str:
    return plural(n, "other configuration") if n else "no other configuration"


def rows(report: RunReport) -> list[tuple[str, str]]:
    """Return the five numbers that a reader looks for first, and what they mean."""
    wide, trading = target_coverages(report)[0], report.trading
    own = at(report.accuracy, wide)
    rivals = {"best baseline": best_baseline(report, wide), "best null baseline": best_null_baseline(report, wide)}
    lines = [(f"accuracy, {coverage_name(wide)}", bracketed(own))]
    for name, rival in rivals.items():
        if rival is None:
            lines.append((name, DASH))
            continue
        about = f" ({rival.difference})" if rival.difference else ""
        text = f"{percent(rival.accuracy)}, {rival.name}: the model is {rival.position.value} it{about}"
        lines.append((name, text))
    if not trading:
        untraded = "not traded, since the label has no direction"
        return [*lines, ("return net of costs", untraded), ("Sharpe ratio net of costs", untraded)]
    net, held = trading.strategy, trading.buy_and_hold
    return [
        *lines,
        ("return net of costs", f"{gain(net.total_return)} (buy and hold: {gain(held.total_return)})"),
        ("Sharpe ratio net of costs", f"{estimate(net.sharpe, 2)} (buy and hold: {fixed(held.sharpe.value, 2)})"),
    ]


def paragraph(report: RunReport) -> str:
    """Return the summary of a run, from its accuracy to its return after costs."""
    wide, tight = target_coverages(report)[0], target_coverages(report)[-1]
    own = at(report.accuracy, wide)
    question = with_times(report.label.question, report.data.interval)
    sentences = [
        f"The {report.training.model} predicts {question}. On the test span ({coverage_name(wide)}, "
        f"{plural(own.rows, 'forecast')}) its accuracy is **{bracketed(own)}**.",
        verdict(report, wide),
    ]
    if tight != wide:
        sentences.append(
            f"Of its most confident forecasts ({coverage_name(tight)}, threshold fixed on the validation span) the "
            f"accuracy is {bracketed(at(report.accuracy, tight))}. {verdict(report, tight)}"
        )
    if report.data.simulated:
        sentences.append(_simulated(report, own))
    elif not report.label.tradable and (other := tradable(report)):
        sentences.append(f"On the tradable label the accuracy of the same forecasts is {bracketed(at(other, wide))}.")
    if report.trading:
        sentences.append(_trading(report.trading, report.config.trade))
    if not null_baselines(report):
        sentences.append("No null baseline was run: what this pipeline finds in data without an edge is unknown.")
    used = []
    if report.opened_before:
        used.append(f"this configuration was evaluated on it {times(report.opened_before)} before")
    if report.trials_before:
        used.append(f"{configurations(report.trials_before)} had been tried on these data")
    if used:
        sentences.append(f"The test span is not fresh: {' and '.join(used)}.")
    return " ".join(sentences)


def survival(trading: TradingResult) -> str:
    """Return in words whether the strategy is profitable after costs."""
    net = trading.strategy
    if not net.trades:
        return "did not trade, so there is nothing to evaluate"
    if missing(net.sharpe.value):
        made = plural(round(net.trades), "trade")
        return f"made {made}, but has no Sharpe ratio: there are too few days, or their returns do not vary"
    if over(net.total_return, 0) and over(net.sharpe.low, 0):
        return "survives these costs"
    if over(net.total_return, 0):
        return "ends above its start, but the interval of its Sharpe ratio includes zero: no evidence of profit"
    free = next((c for c in trading.grid if c.fee_bps == 0 and c.latency == 0), None)
    if free and over(free.total_return, 0):
        return f"does not survive these costs; without costs its return is {gain(free.total_return)}"
    return "does not survive these costs, and loses even without costs" if free else "does not survive these costs"


def bracketed(row: CoverageRow) -> str:
    """Format an accuracy with its interval, if it has one."""
    if missing(row.low) or missing(row.high):
        return percent(row.accuracy)
    return f"{percent(row.accuracy)} (95 % interval {100 * row.low:.1f} to {100 * row.high:.1f} %)"


def _simulated(report: RunReport, own: CoverageRow) -> str:
    if not report.data.planted_edge:
        return "The market is simulated without an edge; an accuracy that differs from 50 % beyond chance is a bug."
    text = (
        "The market is simulated with a planted edge: this shows that the pipeline learns, not that real markets can "
        "be predicted."
    )
    top = report.data.best_accuracy
    if missing(top) or missing(own.accuracy) or top <= 0.5:
        return text
    share = percent((own.accuracy - 0.5) / (top - 0.5), 0)
    return (
        f"{text} The best possible accuracy on all bars is {percent(top)}; the model gets {share} of the way from 50 %."
    )


def _trading(trading: TradingResult, config: TradeConfig) -> str:
    net, held = trading.strategy, trading.buy_and_hold
    bounds = f" (95 % interval {fixed(net.sharpe.low, 2)} to {fixed(net.sharpe.high, 2)})"
    ratio = fixed(net.sharpe.value, 2) + ("" if missing(net.sharpe.low) else bounds)
    own = "without a Sharpe ratio" if missing(net.sharpe.value) else f"with a Sharpe ratio of {ratio}"
    other = "no Sharpe ratio" if missing(held.sharpe.value) else number(held.sharpe.value)
    paid = describe_costs(config.costs, config.fee_schedule)
    text = (
        f"Traded at {paid} a side, its return is {gain(net.total_return)}, {own} and with a "
        f"maximum drawdown of {percent(net.max_drawdown)} (buy and hold: {gain(held.total_return)}, {other}, "
        f"{percent(held.max_drawdown)}): **it {survival(trading)}**."
    )
    if missing(net.dsr):
        return text
    bound = (
        "zero" if net.trials == 1 else f"the best Sharpe ratio to expect of {plural(net.trials, 'trial')} without skill"
    )
    return f"{text} The probability that its true Sharpe ratio lies above {bound} is {probability(net.dsr)}."


def over(value: float | None, bound: float) -> bool:
    """Return whether a number is known and above a bound."""
    return known(value) and value > bound
