from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import ConfigError
from fxtrade.data.archive import FetchSpec
from fxtrade.data.archive_plan import parse_day, plan_bars, plan_funding


def test_plan_uses_whole_months_and_days_elsewhere():
    paths = [r.path for r in plan_bars("ETHUSDT", "1m", date(2024, 1, 31), date(2024, 3, 1), "um")]
    folder = "data/futures/um/{}/klines/ETHUSDT/1m/ETHUSDT-1m-{}.zip"
    assert paths == [
        folder.format("daily", "2024-01-31"),
        folder.format("monthly", "2024-02"),
        folder.format("daily", "2024-03-01"),
    ]


@given(st.dates(date(2017, 1, 1), date(2030, 1, 1)), st.integers(0, 800))
def test_plan_covers_every_day_once_and_in_order(start, length):
    span = [start + timedelta(n) for n in range(length + 1)]
    remotes = plan_bars("A", "1d", span[0], span[-1])
    daily = [d for r in remotes for d in r.replacements or (r,)]
    assert [d.days for d in daily] == [(day,) for day in span]
    assert all(d.path == f"data/spot/daily/klines/A/1d/A-1d-{d.days[0]}.zip" for d in daily)
    for r in remotes:
        month = f"{r.days[0]:%Y-%m}"
        whole = start <= parse_day(month) and parse_day(month, last=True) <= span[-1]
        assert bool(r.replacements) == whole
        assert not whole or r.path == f"data/spot/monthly/klines/A/1d/A-1d-{month}.zip"
    assert [day for r in remotes for day in r.days] == span


@given(st.dates(date(2017, 1, 1), date(2030, 1, 1)), st.integers(0, 800))
def test_plan_of_funding_covers_every_day_by_months(start, length):
    span = [start + timedelta(n) for n in range(length + 1)]
    remotes = plan_funding("A", span[0], span[-1])
    assert [day for r in remotes for day in r.days] == span
    assert not any(r.replacements for r in remotes)
    months = list(dict.fromkeys(f"{day:%Y-%m}" for day in span))
    folder = "data/futures/um/monthly/fundingRate/A"
    assert [r.path for r in remotes] == [f"{folder}/A-fundingRate-{month}.zip" for month in months]


def test_parse_day_is_inclusive_and_strict():
    assert parse_day("2024-02") == date(2024, 2, 1)
    assert parse_day("2024-02", last=True) == date(2024, 2, 29)
    assert parse_day("2024-02-15") == parse_day("2024-02-15", last=True) == date(2024, 2, 15)
    for text in ("2024", "2024-13", "2024-02-30", "202402", "2024-W05", "2024-02-15T00", ""):
        with pytest.raises(ConfigError, match="not a month or a day"):
            parse_day(text)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"symbols": ()}, "symbols"),
        ({"symbols": ("BTCUSDT", "BTCUSDT")}, "each once"),
        ({"symbols": ("../x",)}, "x'"),
        ({"interval": "7m"}, "15m"),
        ({"interval": "1s", "market": "um"}, "only"),
        ({"market": "cm"}, "spot, um"),
        ({"interval": None, "market": "spot"}, "market 'um' only"),
        ({"end": date(2023, 1, 1)}, "before start"),
        ({"base_url": "ftp://x"}, "http"),
        ({"timeout": 0.0}, "timeout"),
        ({"attempts": 0}, "attempts"),
    ],
)
def test_invalid_spec_is_refused(change, message):
    values = {
        "symbols": ("BTCUSDT",),
        "interval": "1m",
        "start": date(2024, 1, 1),
        "end": date(2024, 2, 1),
        "out": Path("data"),
    }
    FetchSpec(**values)
    with pytest.raises(ConfigError, match=message):
        FetchSpec(**(values | change))
