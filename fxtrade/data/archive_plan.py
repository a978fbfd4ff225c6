"""The zips of Binance's public archive that cover a span: `plan_bars`, `plan_funding`."""

from __future__ import annotations

import calendar
import contextlib
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from fxtrade.core.errors import ConfigError

ROOTS = {"spot": "data/spot", "um": "data/futures/um"}
SECONDS = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400,
    "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": 86_400,
}  # fmt: skip
DAY = timedelta(days=1)


class Remote(NamedTuple):
    """One zip of the archive. `replacements` are the daily zips in the place of a monthly one that does not exist."""

    path: str  # relative to the base URL
    days: tuple[date, ...]  # that it covers, of those asked for
    replacements: tuple[Remote, ...] = ()


def parse_day(text: str, last: bool = False) -> date:
    """Convert '2024-01-15' to that day, '2024-01' to the first (or last) day of the month; else raise ConfigError."""
    month = re.fullmatch(r"\d{4}-\d\d", text)
    if month or re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(f"{text}-01" if month else text)
            return _month_end(day) if month and last else day
    raise ConfigError(f"'{text}' is not a month or a day; write it like 2024-01 or 2024-01-15")


def plan_bars(symbol: str, interval: str, start: date, end: date, market: str = "spot") -> list[Remote]:
    """Return the zips that cover start to end (inclusive) in order: monthly ones for whole months, else daily ones."""

    def path(period: str, stamp: str) -> str:
        return f"{ROOTS[market]}/{period}/klines/{symbol}/{interval}/{symbol}-{interval}-{stamp}.zip"

    remotes = []
    for days in _months(start, end):
        daily = tuple(Remote(path("daily", f"{day}"), (day,)) for day in days)
        whole = days[0].day == 1 and days[-1] == _month_end(days[0])
        remotes += [Remote(path("monthly", f"{days[0]:%Y-%m}"), days, daily)] if whole else daily
    return remotes


def plan_funding(symbol: str, start: date, end: date) -> list[Remote]:
    """Return the zips of funding rates that cover start to end (inclusive) in order: there are monthly ones only."""
    folder = f"{ROOTS['um']}/monthly/fundingRate/{symbol}"
    return [Remote(f"{folder}/{symbol}-fundingRate-{days[0]:%Y-%m}.zip", days) for days in _months(start, end)]


def _months(start: date, end: date) -> Iterator[tuple[date, ...]]:
    """Yield the days from start to end (inclusive), month by month."""
    while start <= end:
        last = min(_month_end(start), end)
        yield tuple(start + n * DAY for n in range((last - start).days + 1))
        start = last + DAY


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
