"""Download klines of Binance's public archive into one Parquet file per symbol: `FetchSpec`, `plan`, `fetch`.

The archive (layout: https://github.com/binance/binance-public-data) has one zip per month and one per day, each with
one CSV inside and a `.CHECKSUM` file (`<sha256>  <name>`) beside it. Verified zips are kept under `<out>/.archive`, so
that a second run downloads only what is missing.
"""

from __future__ import annotations

import calendar
import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import polars as pl

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.files import atomic_path
from fxtrade.data.download import download, is_complete, is_replaced
from fxtrade.data.klines import merge

BASE_URL = "https://data.binance.vision"
ROOTS = {"spot": "data/spot", "um": "data/futures/um"}
SECONDS = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400,
    "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": 86_400,
}  # fmt: skip
DAY = timedelta(days=1)
Zips = dict[date, Path | None]  # local zips by their first day; None if the archive does not have that day


@dataclass(frozen=True)
class FetchSpec:
    """What to download and where to store it; raises ConfigError for values that the archive cannot serve."""

    symbols: tuple[str, ...]  # as the exchange writes them, such as BTCUSDT
    interval: str  # a key of SECONDS
    start: date  # first and last day, both inclusive
    end: date
    out: Path  # folder of <SYMBOL>.parquet; use one folder per market and interval
    market: str = "spot"  # or um, USDT-margined futures
    base_url: str = BASE_URL  # or a mirror with the same layout
    timeout: float = 30.0  # seconds without a byte after which an attempt fails
    attempts: int = 5  # per file
    refresh: bool = False  # ask for the checksums of zips that are here already, and download those that differ

    def __post_init__(self):
        named = self.symbols and all(re.fullmatch(r"\w+", s) for s in self.symbols)
        for ok, problem in (
            (named, f"symbols {list(self.symbols)}: write one or more, like BTCUSDT,ETHUSDT"),
            (len(set(self.symbols)) == len(self.symbols), f"symbols {list(self.symbols)}: write each once"),
            (self.market in ROOTS, f"market '{self.market}': choose one of {', '.join(ROOTS)}"),
            (self.interval in SECONDS, f"interval '{self.interval}': choose one of {', '.join(SECONDS)}"),
            ((self.market, self.interval) != ("um", "1s"), "interval '1s' exists in market 'spot' only; choose 1m"),
            (self.start <= self.end, f"end {self.end} lies before start {self.start}"),
            (re.match("https?://", self.base_url), f"base URL '{self.base_url}' lacks http:// or https://"),
            (self.timeout > 0, f"timeout {self.timeout} must be above 0 seconds"),
            (self.attempts >= 1, f"attempts {self.attempts} must be at least 1"),
        ):
            if not ok:
                raise ConfigError(problem)


class Remote(NamedTuple):
    """One zip of the archive. `days` are the daily zips that replace a monthly one that does not exist."""

    symbol: str
    day: date  # first day of the zip
    path: str  # relative to the base URL
    days: tuple[Remote, ...] = ()


class FetchResult(NamedTuple):
    """Bars stored for one symbol; gaps are counted between the first and the last bar."""

    symbol: str
    path: Path
    rows: int
    first: datetime  # OPEN time of the first bar
    last: datetime  # and of the last
    gaps: int  # runs of missing bars
    missing_bars: int
    off_grid: int  # bars left out because they do not open at a multiple of the interval
    missing_days: tuple[date, ...]  # days without a zip in the archive, including those before the listing


def parse_day(text: str, last: bool = False) -> date:
    """Convert '2024-01-15' to that day, '2024-01' to the first (or last) day of the month; else raise ConfigError."""
    month = re.fullmatch(r"\d{4}-\d\d", text)
    if month or re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(f"{text}-01" if month else text)
            return _month_end(day) if month and last else day
    raise ConfigError(f"'{text}' is not a month or a day; write it like 2024-01 or 2024-01-15")


def plan(symbols: Sequence[str], interval: str, start: date, end: date, market: str = "spot") -> list[Remote]:
    """Return the zips that cover start to end (inclusive) in order: monthly ones for whole months, else daily ones."""

    def remote(symbol: str, day: date, period: str, stamp: str, days: tuple[Remote, ...] = ()) -> Remote:
        folder = f"{ROOTS[market]}/{period}/klines/{symbol}/{interval}"
        return Remote(symbol, day, f"{folder}/{symbol}-{interval}-{stamp}.zip", days)

    remotes = []
    for symbol in symbols:
        first = start
        while first <= end:
            last = min(_month_end(first), end)
            span = (first + n * DAY for n in range((last - first).days + 1))
            days = tuple(remote(symbol, day, "daily", f"{day}") for day in span)
            whole = first.day == 1 and last == _month_end(first)
            remotes += [remote(symbol, first, "monthly", f"{first:%Y-%m}", days)] if whole else days
            first = last + DAY
    return remotes


def fetch(
    spec: FetchSpec,
    on_progress: Callable[[int, int, int, str], object] = lambda done, total, received, name: None,
    sleep: Callable[[float], object] = time.sleep,
) -> list[FetchResult]:
    """Download the missing zips and write `<out>/<SYMBOL>.parquet` with exactly the bars of the span.

    Days of a month's zip that lack bars are completed from their daily zips. Bars that open off the grid are left out.
    The Parquet files are written again on each run. Bars that the exchange does not have stay missing.

    Args:
        on_progress: called with files done, files planned, bytes received and the name of the current file.

    Raises:
        DataError: a file cannot be downloaded, is damaged or contradicts another, or a symbol has no bar.
    """
    remotes = {s: plan((s,), spec.interval, spec.start, spec.end, spec.market) for s in spec.symbols}
    total = sum(map(len, remotes.values()))
    done, received, name = 0, 0, ""

    def report(n: int = 0) -> None:
        nonlocal received
        received += n
        on_progress(done, total, received, name)

    def get(remote: Remote, ask: bool) -> Path | None:
        nonlocal name
        if ask:
            name = remote.path.rpartition("/")[2]
            report()
        url, path = f"{spec.base_url.rstrip('/')}/{quote(remote.path)}", spec.out / ".archive" / remote.path
        kept = is_complete(path)
        if ask and kept and spec.refresh:
            kept = not is_replaced(url, path, spec.timeout, spec.attempts, sleep)
        exists = kept or (ask and download(url, path, spec.timeout, spec.attempts, sleep, report))
        return path if exists else None

    results = []
    for symbol in spec.symbols:
        found: Zips = {}
        for files in _collect(remotes[symbol], get):
            found |= files
            done += 1
            report()
        months = (remote.days for remote in remotes[symbol] if found.get(remote.day))
        daily = {day.day: day for days in months for day in days}
        results.append(
            _store(symbol, found, spec, lambda day, daily=daily: get(daily[day], True) if day in daily else None)
        )
    return results


def _collect(remotes: Iterable[Remote], get: Callable[[Remote, bool], Path | None]) -> Iterator[Zips]:
    """Yield the local zips of each of a symbol's remotes; `get(remote, ask)` asks the archive only if `ask`.

    A month without a zip is requested day by day: its zip may not be published yet (which can take weeks) or may be
    lost. Months before the first one with a zip are skipped unless bars were found even earlier: the symbol was not
    listed yet, because the month of the listing has a zip and zips are published in order.
    """
    rest, first = [], None
    for remote in remotes:
        path = get(remote, not all(get(day, False) for day in remote.days)) if remote.days else None
        if path:
            first = first or remote.day
            yield {remote.day: path}
        else:
            rest.append(remote)
    listed = False
    for remote in rest:
        early = remote.days and first and remote.day < first
        files: Zips = {}
        for day in remote.days or (remote,):
            files[day.day] = get(day, listed or not early)
            listed = listed or files[day.day] is not None
        yield files


def _store(symbol: str, found: Zips, spec: FetchSpec, get_day: Callable[[date], Path | None]) -> FetchResult:
    """Write the bars of the zips in `found`, the holes of months filled from `get_day`, and count what is missing."""
    interval = timedelta(seconds=SECONDS[spec.interval])
    paths = [path for path in found.values() if path]
    frame, off_grid = merge(paths, spec.start, spec.end, interval)
    if frame.is_empty():
        raise DataError(
            f"{symbol}: no {spec.interval} bars in market '{spec.market}', {spec.start} to {spec.end}, "
            f"at {spec.base_url}; check the spelling, the market (spot, um) and the listing date"
        )
    if days := [path for day in _days_with_holes(frame["timestamp"], interval) if (path := get_day(day))]:
        extra, _ = merge(days, spec.start, spec.end, interval)
        frame = pl.concat([frame, extra.join(frame, on="timestamp", how="anti")]).sort("timestamp")
    target = spec.out / f"{symbol}.parquet"
    with atomic_path(target) as part:
        frame.write_parquet(part, compression="zstd")
    clock = frame["timestamp"]
    missing = clock.diff().drop_nulls().dt.total_seconds().to_numpy() // SECONDS[spec.interval] - 1
    missing_days = tuple(day for day, path in found.items() if not path)
    gaps = int((missing > 0).sum())
    return FetchResult(
        symbol, target, len(frame), clock[0], clock[-1], gaps, int(missing.sum()), off_grid, missing_days
    )


def _days_with_holes(clock: pl.Series, interval: timedelta) -> list[date]:
    """Return the days between the first and the last bar that lack one."""
    full = pl.datetime_range(clock[0], clock[-1], interval, time_unit="ns", time_zone="UTC", eager=True)
    return full.filter(~full.is_in(clock.implode())).dt.date().unique().sort().to_list()


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
