"""The section of a report on trading performance."""

from __future__ import annotations

from functools import partial

from fxtrade.core.text import plural
from fxtrade.core.trade_config import TradeConfig
from fxtrade.evaluate.results import TradingResult
from fxtrade.report import rules_table
from fxtrade.report.formatting import (
    count,
    describe_costs,
    describe_options,
    estimate,
    fixed,
    gain,
    number,
    percent,
    probability,
)
from fxtrade.report.schema import RunReport
from fxtrade.report.tables import grid
from fxtrade.report.trading_notes import (
    describe_delisted,
    describe_events,
    describe_first_tier,
    describe_paths,
    describe_terms,
)
from fxtrade.risk import SIZING

ratio = partial(fixed, digits=2)

METRICS = {  # name and form of each metric of a backtest
    "total_return": ("total return", gain),
    "annual_return": ("annual return, compounded", gain),
    "sharpe": ("Sharpe ratio (annual, from daily returns)", partial(estimate, digits=2)),
    "psr": ("probability that the true Sharpe ratio is above 0 (PSR)", probability),
    "dsr": ("the same, deflated for the number of trials (DSR)", probability),
    "trials": ("trials that the DSR counts", count),
    "sortino": ("Sortino ratio (annual)", number),
    "calmar": ("Calmar ratio", number),
    "max_drawdown": ("maximum drawdown", percent),
    "max_drawdown_days": ("longest drawdown (days)", number),
    "win_rate_trade": ("winning trades", percent),
    "win_rate_day": ("winning days", percent),
    "win_rate_week": ("winning weeks", percent),
    "win_rate_month": ("winning months", percent),
    "trades": ("trades", count),
    "turnover_a_year": ("annual turnover (times equity, buys plus sells)", number),
    "exposure": ("mean gross exposure", percent),
    "cost": ("costs paid (times the starting capital)", number),
    "delisted": ("positions in assets whose bars ended", count),
    "alpha": ("annual alpha to buy and hold", gain),
    "alpha_t": ("t statistic of alpha (HAC errors)", ratio),
    "beta": ("beta to buy and hold", number),
}


def trading(report: RunReport, equity: str, costs: str) -> list[str]:
    """Return the section on strategy, buy and hold, and other costs; empty where the label is not traded."""
    t = report.trading
    if not t:
        return []
    rows = [
        [name, *(form(getattr(m, key)) for m in (t.strategy, t.buy_and_hold))] for key, (name, form) in METRICS.items()
    ]
    fees, latencies = sorted({c.fee_bps for c in t.grid}), sorted({c.latency for c in t.grid})
    cells = {(c.fee_bps, c.latency): f"{ratio(c.sharpe)} ({gain(c.total_return)})" for c in t.grid}
    return [
        "## Trading performance",
        _rule(t, report),
        equity,
        "Net of costs; in brackets the 95 % interval. A year has 365 days.",
        grid(["", "strategy", "buy and hold"], rows),
        *_notes(t, report.config.trade),
        *_bindings(t),
        "### Sensitivity to costs and latency",
        "Annual Sharpe ratio (total return) by fee and by latency of the fills, without a spread.",
        costs,
        grid(
            ["fee (bps a side)", *(f"{plural(latency, 'bar')} late" for latency in latencies)],
            [[f"{fee:g}", *(cells[fee, latency] for latency in latencies)] for fee in fees],
        ),
    ]


def _notes(t: TradingResult, trade: TradeConfig) -> list[str]:
    """Return the range over paths, the events of the strategy, the tier and the source of funding, as lines."""
    funding = f"Funding rates: {t.funding}" if t.funding else ""
    lines = [describe_paths(t.paths), *describe_events(t.strategy), describe_first_tier(trade), funding]
    listed = "\n".join(f"* {line}." for line in lines if line)
    return [listed] if listed else []


def _bindings(t: TradingResult) -> list[str]:
    """Return when each rule bound; empty without rules."""
    if not t.rules:
        return []
    return ["### Rules", f"{rules_table.NOTE}.", grid(rules_table.HEADER, rules_table.rows(t.rules), rules_table.WORDS)]


def _rule(trading: TradingResult, report: RunReport) -> str:
    trade = report.config.trade
    held = trade.sizing.options.get("horizon", report.label.horizon)
    sides = "long and short" if trade.allow_short else "long only"
    wait = " of a bar with trades" if trade.zero_volume == "wait" else ""
    late = f", {plural(trade.latency, 'bar')} late" if trade.latency else ""
    names = ", ".join(describe_options(rule.name, rule.options) for rule in trade.rules or ())
    rules = "" if trade.rules == TradeConfig().rules else f" Rules after the sizing: {names or 'none'}."
    ended, terms = "", "".join(f" {sentence}" for sentence in describe_terms(trade))
    if trading.strategy.delisted or trading.buy_and_hold.delisted:
        ended = f" A position in an asset whose bars end before the data {describe_delisted(trade)}."
    entry, threshold = SIZING[trade.sizing.name], ""
    chosen = entry.description.format(coverage=percent(trade.coverage, 0))
    if entry.has_threshold:
        threshold = (
            f"The threshold of confidence (up against down, 0 to 1) is {fixed(trading.threshold, 3)}, fixed on the "
            "validation span. "
        )
    return (
        f"{chosen}, {sides}, each held for {plural(held, 'bar')}, with at most "
        f"{percent(trade.max_gross_exposure, 0)} of the equity invested. {threshold}"
        f"A decision at the close of a bar fills at the "
        f"next open{wait}{late}, at {describe_costs(trade.costs, trade.fee_schedule)} a side (1 bps is 0.01 %)."
        f"{rules}{ended}{terms}"
    )
