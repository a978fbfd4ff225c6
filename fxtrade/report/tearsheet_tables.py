"""The words and tables of a tear sheet, as text for HTML and for Markdown."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from fxtrade.backtest.trade_table import Trades
from fxtrade.core.text import plural
from fxtrade.data.times import format_interval, format_time
from fxtrade.evaluate.tearsheet import VOLATILITY_BARS, VOLATILITY_DAYS, TearSheet
from fxtrade.report import rules_table
from fxtrade.report.formatting import DASH, count, fixed, gain, number, percent, probability, signed_percent

LISTED = 10  # best and worst trades
SHARE = "(of the starting capital)"


def whole_days(x: float) -> str:
    """Format a number of days without digits after the point."""
    return "< 1" if 0 < x < 1 else count(x)


EQUITY = {  # name and form of each metric of an equity curve
    "total_return": ("total return", gain),
    "annual_return": ("annual return, compounded", gain),
    "annual_volatility": ("annual volatility", percent),
    "sharpe": ("Sharpe ratio (annual)", lambda x: fixed(x.value, 2)),
    "sortino": ("Sortino ratio (annual)", number),
    "calmar": ("Calmar ratio", number),
    "max_drawdown": ("maximum drawdown", percent),
    "max_drawdown_days": ("longest drawdown (days)", whole_days),
    "win_rate_day": ("winning days", percent),
    "win_rate_week": ("winning weeks", percent),
    "win_rate_month": ("winning months", percent),
}
TRADING = {  # likewise of trades and account
    "trades": ("trades", count),
    "open_trades": ("open at the end", count),
    "win_rate": ("winning trades", percent),
    "profit_factor": ("profit factor of the trades", number),
    "mean_return": ("mean return of a trade", gain),
    "mean_bars": ("mean bars held", number),
    "turnover_a_year": ("annual turnover (times equity, buys plus sells)", number),
    "exposure": ("mean gross exposure", percent),
    "psr": ("probability that the true Sharpe ratio is above 0", probability),
    "dsr": ("the same, deflated for the number of trials", probability),
    "trials": ("trials", count),
    "alpha": ("annual alpha to the benchmark", gain),
    "alpha_t": ("t statistic of alpha (HAC errors)", partial(fixed, digits=2)),
    "beta": ("beta to the benchmark", number),
}
TRIALS, BENCHMARK = {"dsr", "trials"}, {"alpha", "alpha_t", "beta"}  # rows that need them


CONVENTIONS = (
    "Times are UTC; a close at midnight belongs to the day that it ends. Profits are net of costs, in percent of the "
    "starting capital; by side, those of the trades, without funding and interest. Volatility is that of each asset's "
    f"own bars in the {VOLATILITY_DAYS} days before, at least {VOLATILITY_BARS} bars: low, medium or high by the third "
    "into which it falls of all values so far, and unknown until there are enough. A year has 365 days. Ratios are of "
    "daily returns, and the interval of the Sharpe ratio is from resampled blocks of ten days. MAE and MFE are the "
    "worst and the best move of the price against the mean entry price while the position was held: the bar of an "
    "entry at the open counts whole, that of a later entry from its close on, and the bar of the exit with its open "
    "and the price of the exit. Long lines are thinned such that their extremes stay."
)


class Table(NamedTuple):
    """A titled table of text; the columns `words` are words, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)


def describe(sheet: TearSheet) -> str:
    """Return the span, the bars, the assets and the terms of trade in words."""
    panel, shown = sheet.panel, ", ".join(sheet.panel.symbols[:12])
    more = f" and {len(panel.symbols) - 12} more" if len(panel.symbols) > 12 else ""
    span = f"{_date(sheet, sheet.closes[0])} to {_date(sheet, sheet.closes[-1])}"
    made = " of a simulated market" if panel.simulated else ""
    terms = f". {sheet.terms}" if sheet.terms else ""
    return f"{span}, {plural(len(panel.times), 'bar')} of {format_interval(panel.interval)}{made}: {shown}{more}{terms}"


def headline(sheet: TearSheet) -> tuple[tuple[str, str], ...]:
    """Return the name and text of the few numbers on top."""
    equity, trading = sheet.strategy_metrics, sheet.trading_metrics
    return (
        ("total return", gain(equity.total_return)),
        ("annual return", gain(equity.annual_return)),
        ("Sharpe ratio", fixed(equity.sharpe.value, 2)),
        ("maximum drawdown", percent(equity.max_drawdown)),
        ("trades", count(trading.trades)),
        _paid("costs", sum(trading.costs.values())),
    )


def _paid(name: str, share: float) -> tuple[str, str]:
    """Return the name and text of a cost, which is received where it is negative."""
    return f"{name} {'received' if share < 0 else 'paid'} {SHARE}", percent(abs(share))


def notes(sheet: TearSheet) -> tuple[str, ...]:
    """Return the notes at the end, sentences without a full stop."""
    return (*sheet.notes, *([rules_table.NOTE] if sheet.bindings else ()))


def tables(sheet: TearSheet) -> tuple[Table, ...]:
    """Return every table that has rows."""
    best, worst = by_profit(sheet.trades)
    rules = sheet.bindings.rules if sheet.bindings else ()
    made = (
        _equity(sheet),
        _trading(sheet),
        _years(sheet),
        _drawdowns(sheet),
        Table("Rules: when each bound", rules_table.HEADER, rules_table.rows(rules), rules_table.WORDS),
        _trades(sheet, best, "Best trades"),
        _trades(sheet, worst, "Worst trades"),
    )
    return tuple(table for table in made if table.rows)


def _equity(sheet: TearSheet) -> Table:
    columns = [x for x in (sheet.strategy_metrics, sheet.benchmark_metrics) if x is not None]
    deepest = [x.drawdowns[0] if x.drawdowns else None for x in columns]
    details = {
        "sharpe": [["its 95 % interval", *(f"{fixed(x.sharpe.low, 2)} to {fixed(x.sharpe.high, 2)}" for x in columns)]],
        "max_drawdown": [
            ["from its peak", *(_date(sheet, x.peak) if x else DASH for x in deepest)],
            ["to its trough", *(_date(sheet, x.trough) if x else DASH for x in deepest)],
        ],
    }
    rows = []
    for key, (name, form) in EQUITY.items():
        rows += [[name, *(form(getattr(x, key)) for x in columns)], *details.get(key, [])]
    return Table(
        "Returns and risk", ("", "strategy", sheet.benchmark_name)[: 1 + len(columns)], tuple(map(tuple, rows))
    )


def _trading(sheet: TearSheet) -> Table:
    metrics = sheet.trading_metrics
    left_out = (set() if metrics.trials else TRIALS) | (set() if sheet.benchmark else BENCHMARK)
    held = "the benchmark" if sheet.benchmark_name == "benchmark" else sheet.benchmark_name
    rows = [
        (name.replace("the benchmark", held), form(getattr(metrics, key)))
        for key, (name, form) in TRADING.items()
        if key not in left_out
    ]
    costs = [_paid(name.replace("_", "-"), x) for name, x in metrics.costs.items()]
    return Table("Trading and costs", ("", "strategy"), (*rows, *costs))


def _years(sheet: TearSheet) -> Table:
    """Return the table of years; without rows where there is but one."""
    columns = [x for x in (sheet.strategy_metrics, sheet.benchmark_metrics) if x is not None]
    header, names = ["year"], ("return", "Sharpe ratio", "maximum drawdown")
    header += [*names, *(f"{sheet.benchmark_name}: {name}" for name in names)][: 3 * len(columns)]
    rows = []
    for same in zip(*(x.years for x in columns), strict=True):
        cells = ((gain(x.total_return), fixed(x.sharpe, 2), percent(x.max_drawdown)) for x in same)
        rows.append((str(same[0].year), *(text for triple in cells for text in triple)))
    return Table("Years", tuple(header), tuple(rows) if len(rows) > 1 else (), (0,))


def _drawdowns(sheet: TearSheet) -> Table:
    rows = tuple(
        (
            _date(sheet, d.peak),
            _date(sheet, d.trough),
            "not yet" if d.recovery is None else _date(sheet, d.recovery),
            percent(d.depth),
            whole_days(d.days),
        )
        for d in sheet.strategy_metrics.drawdowns
    )
    return Table("Deepest drawdowns", ("peak", "trough", "recovery", "depth", "days"), rows, (0, 1, 2))


def by_profit(trades: Trades) -> tuple[Trades, Trades]:
    """Return the trades with the highest profits, and those with the largest losses."""
    order = np.argsort(trades.net, kind="stable")
    best, worst = order[::-1][:LISTED], order[:LISTED]
    return trades.select(best[trades.net[best] > 0]), trades.select(worst[trades.net[worst] < 0])


def _trades(sheet: TearSheet, trades: Trades, title: str) -> Table:
    header = ("asset", "side", "entry", "exit", f"net profit {SHARE}", "return", "MAE", "MFE", "bars", "exit by")
    rows = tuple(
        (
            *(row["symbol"], row["side"], f"{row['entry_time']:%Y-%m-%d}", f"{row['exit_time']:%Y-%m-%d}"),
            *(
                signed_percent(row["net"] / sheet.capital, 2),
                gain(row["ret"]),
                signed_percent(row["mae"], 1),
                signed_percent(row["mfe"], 1),
            ),
            *(count(row["bars"]), row["reason"]),
        )
        for row in trades.to_frame(sheet.panel.times, sheet.panel.symbols).iter_rows(named=True)
    )
    return Table(title, header, rows, (0, 1, 2, 3, 9))


def _date(sheet: TearSheet, close: int) -> str:
    """Return the day that a close belongs to; the start of the account is on the first day."""
    return format_time(max(close - 1, sheet.closes[0]), "D")
