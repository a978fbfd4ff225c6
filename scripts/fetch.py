"""Download bars from Binance's public archive, one Parquet file per symbol; run it again to resume or to extend.

    python scripts/fetch.py --symbols BTCUSDT,ETHUSDT --interval 1m --start 2024-01 --end 2024-06 --out data/
    python scripts/fetch.py --symbols BTCUSDT,ETHUSDT --funding --start 2024-01 --end 2024-06

With --funding: the funding rates of USDT-margined perpetual futures.

Exit code: 0 done, 1 data or network, 2 arguments, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fxtrade.cli import process
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.text import plural
from fxtrade.data.archive import BASE_URL, FetchResult, FetchSpec, fetch
from fxtrade.data.archive_plan import ROOTS, SECONDS, parse_day


def parse(argv: list[str] | None = None) -> FetchSpec:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", required=True, help="comma-separated, such as BTCUSDT,ETHUSDT")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--interval", default="1m", help=", ".join(SECONDS))
    rows.add_argument("--funding", action="store_true", help="funding rates instead of bars")
    parser.add_argument("--start", required=True, help="first month or day, inclusive: 2024-01 or 2024-01-15")
    parser.add_argument("--end", required=True, help="last month or day, inclusive")
    parser.add_argument("--out", type=Path, help="output folder; data, or data/funding with --funding")
    parser.add_argument("--market", help=f"{', '.join(ROOTS)} (USDT-margined futures); spot, or um with --funding")
    parser.add_argument("--base-url", default=BASE_URL, help="a mirror with the archive's layout")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds without a byte before a retry")
    parser.add_argument("--refresh", action="store_true", help="download zips again that the archive has replaced")
    a = parser.parse_args(argv)
    symbols = tuple(s.strip().upper() for s in a.symbols.split(","))
    start, end = parse_day(a.start), parse_day(a.end, last=True)
    interval, market, out = (None, "um", Path("data/funding")) if a.funding else (a.interval, "spot", Path("data"))
    return FetchSpec(
        symbols, interval, start, end, a.out or out, a.market or market, a.base_url, a.timeout, refresh=a.refresh
    )


def run(spec: FetchSpec, console: Console) -> list[FetchResult]:
    rate = TextColumn("{task.fields[megabytes]:.1f} MB, {task.fields[rate]:.1f} MB/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("fetch", total=None, megabytes=0.0, rate=0.0)

        def on_progress(done: int, total: int, received: int, name: str) -> None:
            megabytes = received / 1e6
            seconds = max(bar.tasks[0].elapsed or 0.0, 1e-3)
            bar.update(
                task, description=name, completed=done, total=total, megabytes=megabytes, rate=megabytes / seconds
            )

        return fetch(spec, on_progress)


def describe(result: FetchResult, row: str) -> str:
    text = f"{result.symbol}: {plural(result.rows, row)}, {result.first:%Y-%m-%d %H:%M} to "
    text += f"{result.last:%Y-%m-%d %H:%M} UTC, missing: {result.missing} -> {result.path}"
    if result.off_grid:
        text += f"\n  left out, because they open off the grid: {result.off_grid}"
    for _, run in itertools.groupby(enumerate(result.missing_days), key=lambda item: item[1].toordinal() - item[0]):
        days = [day for _, day in run]
        text += f"\n  not in the archive: {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")
    return text


def main() -> int:
    console = Console(stderr=True)
    try:
        spec = parse()
        results = run(spec, console)
    except KeyboardInterrupt:
        print("stopped; run the same command again to resume", file=sys.stderr)
        return 130
    except (FxtradeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    for result in results:
        print(describe(result, "bar" if spec.interval else "funding rate"))
    return 0


if __name__ == "__main__":
    process.leave(main)
