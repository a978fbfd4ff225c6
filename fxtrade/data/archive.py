"""Klines of Binance's public archive to one Parquet file a symbol: `FetchSpec`, `plan`, `fetch`.

The archive (layout: https://github.com/binance/binance-public-data) holds one zip a month and one a day, each with one
CSV inside and a `.CHECKSUM` file (`<sha256>  <name>`) beside it. A zip is verified before it gets its name, and is kept
under `<out>/.archive`, so that a second run downloads only what is not there yet.
"""

from __future__ import annotations

import calendar
import contextlib
import itertools
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
from fxtrade.data.download import download, is_complete
from fxtrade.data.klines import COLUMNS, merge

BASE_URL = "https://data.binance.vision"
ROOTS = {"spot": "data/spot", "um": "data/futures/um"}
SECONDS = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
}
DAY = timedelta(days=1)
Zips = dict[date, Path | None]  # local zips by their first day; None where the archive has no such day


@dataclass(frozen=True)
class FetchSpec:
    """What to download and where to put it; raises ConfigError for what the archive cannot have."""

    symbols: tuple[str, ...]  # as the exchange writes them, such as BTCUSDT
    interval: str  # a key of SECONDS
    start: date  # first and last day, both inclusive
    end: date
    out: Path  # gets <SYMBOL>.parquet; one folder is for one market and interval
    market: str = "spot"  # or um, USDT-margined futures
    base_url: str = BASE_URL  # or a mirror with the same layout
    timeout: float = 30.0  # seconds without a byte after which a connection is given up
    attempts: int = 5  # how often a file is asked for before that is an error

    def __post_init__(self):
        named = self.symbols and all(re.fullmatch(r"\w+", s) for s in self.symbols)
        for ok, problem in (
            (named, f"symbols {list(self.symbols)}: write one or more, like BTCUSDT,ETHUSDT"),
            (len(set(self.symbols)) == len(self.symbols), f"symbols {list(self.symbols)}: write each once"),
            (self.market in ROOTS, f"market '{self.market}': take one of {', '.join(ROOTS)}"),
            (self.interval in SECONDS, f"interval '{self.interval}': take one of {', '.join(SECONDS)}"),
            ((self.market, self.interval) != ("um", "1s"), "interval '1s' exists in market 'spot' only; take 1m"),
            (self.start <= self.end, f"end {self.end} lies before start {self.start}"),
            (
                self.base_url.startswith(("http://", "https://")),
                f"base URL '{self.base_url}' lacks http:// or https://",
            ),
            (self.timeout > 0, f"timeout {self.timeout} must be above 0 seconds"),
            (self.attempts >= 1, f"attempts {self.attempts} must be at least 1"),
        ):
            if not ok:
                raise ConfigError(problem)


class Remote(NamedTuple):
    """One zip of the archive, by its path under the base URL; `days` stand in for a month that is not there."""

    symbol: str
    day: date
    path: str
    days: tuple[Remote, ...] = ()


class Fetched(NamedTuple):
    """The outcome for one symbol; first and last are OPEN times, holes are counted between these two."""

    symbol: str
    path: Path
    rows: int
    first: datetime
    last: datetime
    gaps: int  # runs of missing bars
    missing: int  # bars
    absent: tuple[date, ...]  # days that the archive does not have, those before the listing among them


def parse_day(text: str, last: bool = False) -> date:
    """'2024-01-15' to that day, '2024-01' to the first (or last) day of the month; ConfigError for anything else."""
    month = re.fullmatch(r"\d{4}-\d\d", text)
    if month or re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(f"{text}-01" if month else text)
            return _month_end(day) if month and last else day
    raise ConfigError(f"'{text}' is not a month or a day; write it like 2024-01 or 2024-01-15")


def plan(symbols: Sequence[str], interval: str, start: date, end: date, market: str = "spot") -> list[Remote]:
    """Files that cover start to end (inclusive), in order: whole months by monthly zips, the rest by daily ones."""

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
    progress: Callable[[int, int, int, str], object] = lambda done, total, received, name: None,
    sleep: Callable = time.sleep,
) -> list[Fetched]:
    """Download what is missing and write `<out>/<SYMBOL>.parquet` with exactly the bars of the span, anew on each run.

    Bars that the exchange does not have stay missing; `Fetched` counts them. `progress` is called with files done,
    files planned, bytes received and the name of the current file. Raises DataError where a file cannot be had whole,
    is damaged or contradicts another, and for a symbol without a single bar.
    """
    remotes = plan(spec.symbols, spec.interval, spec.start, spec.end, spec.market)
    done, received, name = 0, 0, ""

    def report(n: int = 0) -> None:
        nonlocal received
        received += n
        progress(done, len(remotes), received, name)

    def get(remote: Remote, ask: bool) -> Path | None:
        nonlocal name
        if ask:
            name = remote.path.rpartition("/")[2]
            report()
        url, path = f"{spec.base_url.rstrip('/')}/{quote(remote.path)}", spec.out / ".archive" / remote.path
        here = is_complete(path) or (ask and download(url, path, spec.timeout, spec.attempts, sleep, report))
        return path if here else None

    fetched = []
    for symbol, group in itertools.groupby(remotes, key=lambda remote: remote.symbol):
        found: Zips = {}
        for files in _collect(group, get):
            found |= files
            done += 1
            report()
        fetched.append(_store(symbol, found, spec))
    return fetched


def _collect(remotes: Iterable[Remote], get: Callable[[Remote, bool], Path | None]) -> Iterator[Zips]:
    """For each of a symbol's remotes its local zips; `get` takes a remote and whether the archive may be asked for it.

    A month that has no zip is asked for day by day: its zip may still be to come (that takes weeks at times) or be
    lost. Not so before the first month that has one, unless bars were found even earlier: there the symbol was not
    listed yet, for the month of the listing has its zip, and zips come out in order.
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


def _store(symbol: str, found: Zips, spec: FetchSpec) -> Fetched:
    """Write the bars of the zips in `found`, and say what there is and what is missing."""
    paths = [path for path in found.values() if path]
    frame = merge(paths, spec.start, spec.end) if paths else pl.DataFrame(schema=COLUMNS)
    if frame.is_empty():
        raise DataError(
            f"{symbol}: no {spec.interval} bars in market '{spec.market}', {spec.start} to {spec.end}, "
            f"at {spec.base_url}; check the spelling, the market (spot, um) and the listing date"
        )
    target = spec.out / f"{symbol}.parquet"
    with atomic_path(target) as part:
        frame.write_parquet(part, compression="zstd")
    clock = frame["timestamp"]
    holes = (clock.diff().drop_nulls().dt.total_seconds() // SECONDS[spec.interval] - 1).clip(lower_bound=0)
    absent = tuple(day for day, path in found.items() if not path)
    return Fetched(symbol, target, len(frame), clock[0], clock[-1], (holes > 0).sum(), holes.sum(), absent)


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
