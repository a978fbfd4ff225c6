"""Headline numbers of a run or cell, for the ledger and TensorBoard."""

from __future__ import annotations

from fxtrade.evaluate.results import CoverageTable, EquityMetrics, Scores


def headline(table: CoverageTable, scores: Scores, trading: EquityMetrics | None) -> dict[str, float]:
    """Return the headline numbers of a forecast by name."""
    values = {"accuracy": table[0].accuracy, "log_loss": scores.log_loss.value}
    values |= {f"accuracy_top_{100 * row.target:g}": row.accuracy for row in table[1:]}
    return values | (trading_headline(trading) if trading else {})


def trading_headline(trading: EquityMetrics) -> dict[str, float]:
    """Return the headline numbers of a backtest by name."""
    names = ("daily_sharpe", "max_drawdown", "total_return", "win_rate_week")
    return {"sharpe": trading.sharpe.value} | {name: getattr(trading, name) for name in names}
