"""Download bars or funding rates of Binance's public archive into one Parquet file per symbol: `FetchSpec`, `fetch`.

The archive (layout: https://github.com/binance/binance-public-data) has one zip per month and, of bars, one per day,
each with one CSV inside and a `.CHECKSUM` file (`<sha256>  <name>`) beside it. Verified zips are kept under
`<out>/.archive`, so that a second run downloads only what is missing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import polars as pl

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.files import atomic_path
from fxtrade.data.archive_plan import ROOTS, SECONDS, Remote, plan_bars, plan_funding
from fxtrade.data.download import download, is_complete, is_replaced
from fxtrade.data.zips import FUNDING, KLINES, merge

BASE_URL = "https://data.binance.vision"
FUNDING_STEP = timedelta(hours=8)  # the longest time between two settlements; many contracts settle more often
Zips = dict[Remote, Path | None]  # local zips; None if the archive does not have that one


@dataclass(frozen=True)
class FetchSpec:
    """What to download and where to store it; raises ConfigError for values that the archive cannot serve."""

    symbols: tuple[str, ...]  # as the exchange writes them, such as BTCUSDT
    interval: str | None  # of bars, a key of SECONDS; None: funding rates
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
            (self.interval in (None, *SECONDS), f"interval '{self.interval}': choose one of {', '.join(SECONDS)}"),
            ((self.market, self.interval) != ("um", "1s"), "interval '1s' exists in market 'spot' only; choose 1m"),
            ((self.market, self.interval) != ("spot", None), "funding rates exist in market 'um' only"),
            (self.start <= self.end, f"end {self.end} lies before start {self.start}"),
            (re.match("https?://", self.base_url), f"base URL '{self.base_url}' lacks http:// or https://"),
            (self.timeout > 0, f"timeout {self.timeout} must be above 0 seconds"),
            (self.attempts >= 1, f"attempts {self.attempts} must be at least 1"),
        ):
            if not ok:
                raise ConfigError(problem)

    def plan(self, symbol: str) -> list[Remote]:
        """Return the zips of a symbol that cover the span, in order."""
        if self.interval is None:
            return plan_funding(symbol, self.start, self.end)
        return plan_bars(symbol, self.interval, self.start, self.end, self.market)

    def merge(self, paths: Iterable[Path]) -> tuple[pl.DataFrame, int]:
        """Return the rows of local zips in the span, and how many were left out because they are off the grid."""
        if self.interval is None:
            return merge(list(paths), FUNDING, self.start, self.end)
        return merge(list(paths), KLINES, self.start, self.end, self.step)

    @property
    def step(self) -> timedelta:
        """Time between two rows; of funding rates, which may settle more often, the longest."""
        return FUNDING_STEP if self.interval is None else timedelta(seconds=SECONDS[self.interval])

    @property
    def content(self) -> str:
        """What is stored, for messages."""
        return FUNDING.rows if self.interval is None else f"{self.interval} {KLINES.rows}"


class FetchResult(NamedTuple):
    """Rows stored for one symbol; gaps are counted between the first and the last row."""

    symbol: str
    path: Path
    rows: int
    first: datetime  # OPEN time of the first bar, or time of the first settlement
    last: datetime  # and of the last
    gaps: int  # distances of two rows of more than `FetchSpec.step`
    missing: int  # rows that are missing in them, at least
    off_grid: int  # bars left out because they do not open at a multiple of the interval
    missing_days: tuple[date, ...]  # days without a zip in the archive, including those before the listing


def fetch(
    spec: FetchSpec,
    on_progress: Callable[[int, int, int, str], object] = lambda done, total, received, name: None,
    sleep: Callable[[float], object] = time.sleep,
) -> list[FetchResult]:
    """Download the missing zips and write `<out>/<SYMBOL>.parquet` with exactly the rows of the span.

    Days of a month's zip that lack bars are completed from their daily zips. Bars that open off the grid are left out.
    The Parquet files are written again on each run. Rows that the exchange does not have stay missing.

    Args:
        on_progress: called with files done, files planned, bytes received and the name of the current file.

    Raises:
        DataError: a file cannot be downloaded, is damaged or contradicts another, or a symbol has no row.
    """
    remotes = {symbol: spec.plan(symbol) for symbol in spec.symbols}
    total = sum(map(len, remotes.values()))
    done, received, name = 0, 0, ""

    def report(n: int = 0) -> None:
        nonlocal received
        received += n
        on_progress(done, total, received, name)

    def get(remote: Remote, ask: bool = True) -> Path | None:
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
        results.append(_store(symbol, found, spec, get))
    return results


def _collect(remotes: Iterable[Remote], get: Callable[[Remote, bool], Path | None]) -> Iterator[Zips]:
    """Yield the local zips of each of a symbol's remotes; `get(remote, ask)` asks the archive only if `ask`.

    A month without a zip is requested day by day: its zip may not be published yet (which can take weeks) or may be
    lost. Months before the first one with a zip are skipped unless bars were found even earlier: the symbol was not
    listed yet, because the month of the listing has a zip and zips are published in order.
    """
    rest, first = [], None
    for remote in remotes:
        days = remote.replacements
        path = get(remote, not all(get(day, False) for day in days)) if days else None
        if path:
            first = first or remote.days[0]
            yield {remote: path}
        else:
            rest.append(remote)
    listed = False
    for remote in rest:
        early = remote.replacements and first and remote.days[0] < first
        files: Zips = {}
        for part in remote.replacements or (remote,):
            files[part] = get(part, listed or not early)
            listed = listed or files[part] is not None
        yield files


def _store(symbol: str, found: Zips, spec: FetchSpec, get: Callable[[Remote], Path | None]) -> FetchResult:
    """Write the rows of the zips in `found`, the holes of months filled from daily zips, and count what is missing."""
    frame, off_grid = spec.merge(path for path in found.values() if path)
    if frame.is_empty():
        raise DataError(
            f"{symbol}: no {spec.content} in market '{spec.market}', {spec.start} to {spec.end}, "
            f"at {spec.base_url}; check the spelling, the market (spot, um) and the listing date"
        )
    daily = {day.days[0]: day for remote, path in found.items() if path for day in remote.replacements}
    holes = _days_with_holes(frame["timestamp"], spec.step) if daily else []
    if days := [path for day in holes if day in daily and (path := get(daily[day]))]:
        extra, _ = spec.merge(days)
        frame = pl.concat([frame, extra.join(frame, on="timestamp", how="anti")]).sort("timestamp")
    target = spec.out / f"{symbol}.parquet"
    with atomic_path(target) as part:
        frame.write_parquet(part, compression="zstd")
    clock = frame["timestamp"]
    steps = clock.diff().drop_nulls().dt.total_seconds().to_numpy() / spec.step.total_seconds()
    missing = np.maximum(np.ceil(steps).astype(int) - 1, 0)
    missing_days = tuple(day for remote, path in found.items() if not path for day in remote.days)
    gaps = int((missing > 0).sum())
    return FetchResult(
        symbol, target, len(frame), clock[0], clock[-1], gaps, int(missing.sum()), off_grid, missing_days
    )


def _days_with_holes(clock: pl.Series, interval: timedelta) -> list[date]:
    """Return the days between the first and the last bar that lack one."""
    full = pl.datetime_range(clock[0], clock[-1], interval, time_unit="ns", time_zone="UTC", eager=True)
    return full.filter(~full.is_in(clock.implode())).dt.date().unique().sort().to_list()
