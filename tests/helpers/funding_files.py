"""Funding rates as the exchange's archive writes them, and the frame that they must become."""

from __future__ import annotations

import numpy as np
import polars as pl

from fxtrade.data.archive_plan import parse_day
from tests.helpers.kline_files import HOUR

HEADER = "calc_time,funding_interval_hours,last_funding_rate\n"
DTYPES = {"timestamp": pl.Datetime("ns", "UTC"), "funding_rate": pl.Float64, "interval_hours": pl.Int32}


def rates(month: str, hours: int = 8) -> list[tuple]:
    """The settlements of a month: time in ms, up to 47 ms late, hours between them, and a rate of its own each."""
    days = (parse_day(month), parse_day(month, last=True))
    first, last = (int(np.datetime64(day, "ms").astype(int)) for day in days)
    times = range(first, last + 24 * HOUR, hours * HOUR)
    return [(t + t // HOUR % 48, hours, f"{(t // HOUR % 997 - 498) * 1e-6:.8f}") for t in times]


def rates_csv(rows: list[tuple]) -> str:
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


def expected_rates(rows: list[tuple]) -> pl.DataFrame:
    """The stored frame, made without the code under test."""
    time, hours, rate = zip(*rows, strict=True)
    columns = (np.array(time) // 1000 * 10**9, np.array(rate, np.float64), np.array(hours))
    return pl.DataFrame(dict(zip(DTYPES, columns, strict=True))).cast(DTYPES)
