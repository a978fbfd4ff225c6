"""The section of a report that says what trading the forecasts would have earned."""

from __future__ import annotations

from fxtrade.report import summary
from fxtrade.report.formatting import count, fixed, gain, interval, number, percent, probability
from fxtrade.report.tables import grid


def ratio(x: float | None) -> str:
    return fixed(x, 2)


METRICS = {  # name and form of each metric of a backtest
    "total_return": ("total return", gain),
    "annual_return": ("return a year, compounded", gain),
    "sharpe": ("Sharpe ratio (a year, from daily returns)", ratio),
    "psr": ("probability that the true Sharpe ratio is above 0 (PSR)", probability),
    "dsr": ("the same, deflated: above the luck of all trials (DSR)", probability),
    "trials": ("trials that the DSR counts", count),
    "sortino": ("Sortino ratio (a year)", number),
    "calmar": ("Calmar ratio", number),
    "max_drawdown": ("maximum drawdown", percent),
    "max_drawdown_days": ("longest drawdown (days)", number),
    "win_rate_trade": ("trades that win", percent),
    "win_rate_day": ("days that win", percent),
    "win_rate_week": ("weeks that win", percent),
    "win_rate_month": ("months that win", percent),
    "trades": ("trades", count),
    "turnover_a_year": ("turnover a year (times equity, buys plus sells)", number),
    "exposure": ("mean gross exposure", percent),
    "cost": ("costs paid (times the starting capital)", number),
    "alpha": ("alpha a year to buy and hold", gain),
    "alpha_t": ("t statistic of alpha (HAC errors)", ratio),
    "beta": ("beta to buy and hold", number),
}


def trading(outcome: dict, equity: str, costs: str) -> list[str]:
    """Strategy and buy and hold, and the strategy at other costs; nothing where the label cannot be traded."""
    t = outcome.get("trading")
    if not t:
        return []
    who = ("strategy", "buy_and_hold")
    rows = [[name, *(_metric(t[side], key, form) for side in who)] for key, (name, form) in METRICS.items()]
    fees, latencies = (sorted({cell[key] for cell in t["grid"]}) for key in ("fee_bps", "latency"))
    cells = {(c["fee_bps"], c["latency"]): f"{ratio(c['sharpe'])} ({gain(c['total_return'])})" for c in t["grid"]}
    return [
        "## What it would have earned",
        _rule(t, outcome["run"]["config"]),
        equity,
        "Net of costs; in brackets the 95 % interval. A year has 365 days.",
        grid(["", "strategy", "buy and hold"], rows),
        "### If costs or speed were different",
        "Sharpe ratio a year (total return) by fee and by how late orders fill; the fee is all that is paid here.",
        costs,
        grid(
            ["fee (bps a side)", *(f"{summary.bars(late)} late" for late in latencies)],
            [[f"{fee:g}", *(cells[fee, late] for late in latencies)] for fee in fees],
        ),
    ]


def _metric(metrics: dict, key: str, form) -> str:
    if key == "sharpe":
        return interval(metrics["sharpe"], metrics["sharpe_low"], metrics["sharpe_high"], 1, 2)
    return form(metrics.get(key))


def _rule(trading: dict, config: dict) -> str:
    trade = config["trade"]
    sides = "long and short" if trade["allow_short"] else "long only"
    late = f", {summary.bars(trade['latency'])} late" if trade["latency"] else ""
    held = summary.bars(config["label"]["horizon"])
    if trade.get("sizing") == "proportional":
        chosen = "All forecasts are traded, each in proportion to its edge, p(up) - p(down)"
        threshold = ""
    else:
        chosen = f"The most confident {percent(trade['coverage'], 0)} of the forecasts are traded"
        threshold = (
            f"The threshold of confidence (up against down, 0 to 1) is {fixed(trading['threshold'], 3)}, fixed on the "
            "validation span. "
        )
    return (
        f"{chosen}, {sides}, each held for "
        f"{held}, with at most {percent(trade['max_gross_exposure'], 0)} of the equity at stake. "
        f"{threshold}What is decided at a bar's close fills at the next open{late}, and pays a fee of "
        f"{trade['fee_bps']:g} bps and a half-spread of {trade['half_spread_bps']:g} bps a side (1 bps is 0.01 %)."
    )
