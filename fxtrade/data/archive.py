"""Klines of Binance's public archive to one Parquet file a symbol: `plan`, `download`, `read_klines`, `merge`, `fetch`.

The archive (layout: https://github.com/binance/binance-public-data) holds one zip a month and one a day, each with one
CSV inside and a `.CHECKSUM` file (`<sha256>  <name>`) beside it. A zip is verified before it gets its name, and is kept
under `<out>/.archive`, so that a second run downloads only what is not there yet.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import http.client
import itertools
import os
import re
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import polars as pl

from fxtrade.core.errors import ConfigError, DataError

BASE_URL = "https://data.binance.vision"
ROOTS = {"spot": "data/spot", "um": "data/futures/um"}
SECONDS = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400,
           "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": 86_400}
CSV = ("timestamp", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
       "taker_buy_base", "taker_buy_quote", "ignore")
CLOCK = pl.Datetime("ns", "UTC")
COLUMNS = {name: pl.Float32 for name in CSV if name not in ("close_time", "ignore")}
COLUMNS |= {"timestamp": CLOCK, "trades": pl.Int32}
DAY = timedelta(days=1)
LONGEST_WAIT = 300.0  # seconds; a server that asks for more is reported instead of waited for
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP errors that another attempt may mend
UNREACHABLE = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)


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
            (self.base_url.startswith(("http://", "https://")), f"base URL '{self.base_url}' lacks http:// or https://"),
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
    absent: tuple[date, ...]  # days that the archive does not have


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


def download(url: str, path: Path, timeout: float = 30.0, attempts: int = 5, sleep: Callable = time.sleep,
             on_bytes: Callable[[int], object] = lambda n: None) -> bool:
    """Put the zip at `url` and its checksum file at `path`, verified; False where the archive has none (404).

    Lost connections, time-outs, answers of an overloaded server, short bodies and wrong checksums are tried again after
    1, 2, 4... seconds, or later where the server says so (Retry-After). `path` appears complete or not at all. Raises
    DataError with the URL after the last attempt, or at once where another attempt cannot help.
    """
    for attempt in itertools.count(1):
        pause, final = 2.0 ** (attempt - 1), attempt >= attempts
        try:
            return _transfer(url, path, timeout, on_bytes)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return False
            problem, pause = f"HTTP {error.code} {error.reason}", max(pause, _retry_after(error.headers))
            final |= error.code not in PASSING
            if pause > LONGEST_WAIT:
                problem, final = f"{problem}, asks to wait {pause:.0f} s", True
        except (DataError, *UNREACHABLE) as error:
            problem = str(error) or type(error).__name__
        if final:
            raise DataError(f"{url}: {problem} (attempt {attempt} of {attempts}); check the network and the base URL, "
                            "or leave that period out")
        sleep(pause)


def is_complete(path: Path) -> bool:
    """Whether `path` is there and still has the SHA-256 of the checksum file beside it."""
    checksum = _checksum_path(path)
    if not path.exists() or not checksum.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _parse_checksum(checksum.read_bytes(), path.name)


def read_klines(path: Path) -> pl.DataFrame:
    """The bars of one zip as they stand there, with the columns and types of `COLUMNS`; a header line is skipped.

    timestamp is the OPEN time (milliseconds and microseconds are told apart by their size), prices are in quote per
    base, volume and taker_buy_base in base units. Raises DataError, naming file, line and column, for anything but
    finite numbers: no value is ever null or NaN.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            text = archive.read(name)
        header = text.startswith(b"open_time,open,high,low,close,volume,close_time,")
        text = text.partition(b"\n")[2] if header else text
        if not text:
            return pl.DataFrame(schema=COLUMNS)
        table = pl.read_csv(text, has_header=False, schema=dict.fromkeys(CSV, pl.String))
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not a zip with one CSV of {len(CSV)} columns: {error}; delete and rerun") from error
    kinds = COLUMNS | {"timestamp": pl.Int64}
    frame = table.select(pl.col(name).cast(kind, strict=False) for name, kind in kinds.items())
    for column in frame:
        bad = (~column.is_finite().fill_null(False)).arg_true()
        if len(bad):
            line, value = bad[0] + 1 + header, table[column.name][bad[0]]
            raise DataError(f"{path}: line {line}, {column.name}: {value!r} is not a finite number that fits")
    low, high = frame["timestamp"].min(), frame["timestamp"].max()
    for scale, floor in ((1_000_000, 10**11), (1_000, 10**14)):  # ms, us: from 1973 to 2255
        if floor <= low and high < 90 * floor:
            return frame.with_columns((pl.col("timestamp") * scale).cast(CLOCK))
    raise DataError(f"{path}: timestamps {low} to {high} are neither all milliseconds nor all microseconds since 1970")


def merge(paths: Sequence[Path], start: date, end: date) -> pl.DataFrame:
    """The bars of start to end (inclusive) of all zips, sorted by time, repeated rows dropped.

    Raises DataError where two different bars have one timestamp; it names the files and the time.
    """
    frames = [read_klines(path).with_columns(file=pl.lit(i, pl.UInt32)) for i, path in enumerate(paths)]
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (start, end + DAY))
    frame = pl.concat(frames).filter(pl.col("timestamp").is_between(low, high, closed="left"))
    frame = frame.unique(subset=list(COLUMNS), keep="first").sort("timestamp", "file")
    clash = frame.filter(pl.col("timestamp").is_duplicated()).head(2)
    if len(clash):
        files = " and ".join(dict.fromkeys(str(paths[i]) for i in clash["file"]))
        raise DataError(f"{files}: different bars at {clash['timestamp'][0]}; leave that period out")
    return frame.drop("file")


def fetch(spec: FetchSpec, progress: Callable[[int, int, int], object] = lambda done, total, received: None,
          sleep: Callable = time.sleep) -> list[Fetched]:
    """Download what is missing and write `<out>/<SYMBOL>.parquet` with exactly the bars of the span, anew on each run.

    Bars that the exchange does not have stay missing; `Fetched` counts them. `progress` is called with files done,
    files planned and bytes received. Raises DataError where a file cannot be had whole, is damaged or contradicts
    another, and for a symbol without a single bar.
    """
    remotes = plan(spec.symbols, spec.interval, spec.start, spec.end, spec.market)
    done = received = 0

    def on_bytes(n: int) -> None:
        nonlocal received
        received += n
        progress(done, len(remotes), received)

    get = partial(download, timeout=spec.timeout, attempts=spec.attempts, sleep=sleep, on_bytes=on_bytes)
    fetched = []
    for symbol, group in itertools.groupby(remotes, key=lambda remote: remote.symbol):
        found: dict[date, Path | None] = {}
        for remote in group:
            found |= _obtain(remote, spec, get)
            done += 1
            on_bytes(0)
        paths = [path for path in found.values() if path]
        frame = merge(paths, spec.start, spec.end) if paths else pl.DataFrame(schema=COLUMNS)
        if frame.is_empty():
            raise DataError(f"{symbol}: no {spec.interval} bars in market '{spec.market}', {spec.start} to {spec.end}, "
                            f"at {spec.base_url}; check the spelling, the market (spot, um) and the listing date")
        target = spec.out / f"{symbol}.parquet"
        with _atomic(target) as part:
            frame.write_parquet(part, compression="zstd")
        clock = frame["timestamp"]
        holes = (clock.diff().drop_nulls().dt.total_seconds() // SECONDS[spec.interval] - 1).clip(lower_bound=0)
        absent = tuple(day for day, path in found.items() if not path)
        fetched.append(Fetched(symbol, target, len(frame), clock[0], clock[-1], (holes > 0).sum(), holes.sum(), absent))
    return fetched


def _obtain(remote: Remote, spec: FetchSpec, get: Callable[[str, Path], bool]) -> dict[date, Path | None]:
    """Local zips of a month or a day, by their first day; None where the archive has no such day."""
    folder = spec.out / ".archive"
    path = folder / remote.path
    here = is_complete(path)
    if not here and not (remote.days and all(is_complete(folder / day.path) for day in remote.days)):
        here = get(f"{spec.base_url.rstrip('/')}/{quote(remote.path)}", path)
    if here or not remote.days:
        return {remote.day: path if here else None}
    return {day: path for each in remote.days for day, path in _obtain(each, spec, get).items()}


def _transfer(url: str, path: Path, timeout: float, on_bytes: Callable[[int], object]) -> bool:
    """One attempt of `download`; HTTPError, UNREACHABLE or DataError where it fails."""
    digest, size = hashlib.sha256(), 0
    with _atomic(path) as part:
        with urllib.request.urlopen(url, timeout=timeout) as response, part.open("wb") as file:
            length = response.headers["Content-Length"]
            while chunk := response.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                on_bytes(len(chunk))
        if length is not None and size != int(length):
            raise DataError(f"truncated, expected {length} bytes, got {size}")
        try:
            with urllib.request.urlopen(f"{url}.CHECKSUM", timeout=timeout) as response:
                text = response.read(1 << 10)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                error.close()
                raise DataError("cannot be verified, its .CHECKSUM file does not exist") from error
            raise
        expected = _parse_checksum(text, path.name)
        if digest.hexdigest() != expected:
            raise DataError(f"SHA-256 differs, expected {expected or repr(text[:80])}, got {digest.hexdigest()}")
        with _atomic(_checksum_path(path)) as checksum:
            checksum.write_bytes(text)
    return True


def _checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.CHECKSUM")


def _parse_checksum(text: bytes, name: str) -> str | None:
    """The digest that a checksum file states for `name`; None where it states none."""
    match = re.match(rb"([0-9a-fA-F]{64})\s+\*?(\S+)\s*$", text)
    return match[1].decode().lower() if match and match[2] == name.encode() else None


def _retry_after(headers: http.client.HTTPMessage) -> float:
    """Seconds that a Retry-After header (a number or a date, RFC 9110 10.2.3) asks for; 0 without a usable one."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(TypeError, ValueError):
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return 0.0


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A file to write to that takes the name `path` if the block succeeds and vanishes if it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
