"""The table of the rules of a backtest: how often and how much each bound."""

from __future__ import annotations

from collections.abc import Sequence

from fxtrade.data.times import format_time
from fxtrade.evaluate.bindings import Binding
from fxtrade.report.formatting import DASH, count, percent

HEADER = ("rule", "bars", "episodes", "longest (bars)", "first", "last", "gross before", "gross after")
WORDS = (0, 4, 5)  # columns of words
NOTE = (
    "A rule binds at the close of a bar where it changes the target of any asset. Gross exposure before and after is "
    "the sum of absolute weights of its input and of its target, as a mean over these bars. Exits that a rule attaches "
    "to its orders show in the trades"
)


def rows(rules: Sequence[Binding]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each rule; a close at midnight belongs to the day that it ends."""
    return tuple(
        (
            *(rule.name, percent(rule.share), count(rule.episodes), count(rule.longest)),
            *(DASH if close is None else format_time(close - 1, "D") for close in (rule.first, rule.last)),
            *(percent(gross) for gross in (rule.gross_before, rule.gross_after)),
        )
        for rule in rules
    )
