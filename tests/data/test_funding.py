"""Funding rates of perpetual contracts, aligned with bars: sums by a loop, errors of invalid files, real rates."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.core.types import Bars
from fxtrade.data import bars, funding
from fxtrade.data.panel import Panel
from fxtrade.data.times import second_of_week
from tests.helpers.bar_files import START, write

SECOND, HOUR = 10**9, 3600 * 10**9
OPEN = START * SECOND  # Monday 2024-01-01 00:00


def panel_of(n: int = 48, symbols=("BTC",), interval: int = HOUR, ok: np.ndarray | None = None) -> Panel:
    """Bars of price 1, with gaps where not `ok`."""
    ok = np.ones((n, len(symbols)), bool) if ok is None else ok
    price = np.where(ok, np.float32(1), np.float32(np.nan))
    times = OPEN + interval * np.arange(n)
    return Panel(Bars(*[price] * 5, ok=ok, second_of_week=second_of_week(times)), times, symbols, interval, "test")


def table(hours, rate=0.0001, late_ms=0) -> dict[str, np.ndarray]:
    """Rates by hours after the first bar."""
    hours = np.asarray(hours, float)
    ms = START * 1000 + np.round(hours * 3_600_000).astype(np.int64) + late_ms
    return {"timestamp": ms, "funding_rate": np.broadcast_to(rate, hours.shape)}


def every(step: float, stop: float = 48, start: float = 0):
    return np.arange(start, stop, step)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "BTC.parquet", table(every(8), rate=np.arange(1, 7) * 1e-4))
    write(tmp_path / "TON.csv", table(every(4), rate=1e-4))
    return tmp_path


def test_rates_stand_in_the_row_and_asset_at_whose_open_they_settle(folder):
    read = funding.read(folder, panel_of(symbols=("SPOT", "BTC", "TON")))
    assert read.symbols == ("BTC", "TON") and read.gaps == read.outside == (0, 0)
    expected = np.zeros((48, 3))
    expected[::8, 1] = np.arange(1, 7) * 1e-4
    expected[::4, 2] = 1e-4
    np.testing.assert_array_equal(read.rates.at_open, expected)
    np.testing.assert_array_equal(read.rates.within, 0)
    assert read.rates.at_open.dtype == read.rates.within.dtype == np.float64
    assert read.source == str(folder)


def test_settlements_within_a_bar_are_summed(folder):
    """A day has three settlements of 8 hours, six of 4: the first at the open, the others within."""
    read = funding.read(folder, panel_of(2, ("BTC", "TON"), 24 * HOUR))
    np.testing.assert_allclose(read.rates.at_open, [[1e-4, 1e-4], [4e-4, 1e-4]], rtol=1e-15)
    np.testing.assert_allclose(read.rates.within, [[5e-4, 5e-4], [11e-4, 5e-4]], rtol=1e-15)


@given(
    st.lists(st.tuples(st.integers(-20, 80), st.integers(0, 3599), st.integers(0, 47)), min_size=1, max_size=40),
    st.sampled_from([15 * 60, 3600, 3 * 3600, 86_400]),
    st.data(),
)
def test_sums_equal_those_of_a_loop(tmp_path_factory, settlements, interval, data):
    """Settlements on and off the hour, stamped up to 47 ms late, against a comparison of each with each bar."""
    stamps = {START + 3600 * hour + (second if second > 1800 else 0): ms for hour, second, ms in settlements}
    seconds = sorted(stamps.items())
    rates = [data.draw(st.floats(-0.02, 0.02)) for _ in seconds]
    panel = panel_of(20, interval=interval * SECOND)
    expected, outside = np.zeros((2, 20)), 0
    for (second, _), rate in zip(seconds, rates, strict=True):
        inside = [t for t in range(20) if START + t * interval <= second < START + (t + 1) * interval]
        outside += not inside
        for t in inside:
            expected[int(second != START + t * interval), t] += rate
    times = [1000 * second + ms for second, ms in seconds]
    path = write(tmp_path_factory.mktemp("f") / "BTC.parquet", {"timestamp": times, "funding_rate": rates})
    if outside == len(seconds):
        with pytest.raises(DataError, match="no rates in the time of the bars"):
            funding.read(path, panel)
        return
    read = funding.read(path, panel)
    np.testing.assert_allclose([x[:, 0] for x in read.rates], expected, rtol=1e-12, atol=1e-18)
    assert read.outside == (outside,)
    assert bool(outside) == ("outside the time of the bars: BTC" in read.source)


@pytest.mark.parametrize(
    "columns",
    [
        {"timestamp": "calc_time", "funding_rate": "last_funding_rate"},
        {"timestamp": "fundingTime", "funding_rate": "fundingRate"},
        {"timestamp": "Date", "funding_rate": "Funding Rate"},
    ],
    ids=["archive", "api", "spaces"],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_column_names(tmp_path, folder, columns, suffix):
    other = {columns[k]: v for k, v in table(every(8), np.arange(1, 7) * 1e-4, late_ms=47).items()}
    path = write(tmp_path / "other" / f"BTC.{suffix}", other | {"funding_interval_hours": np.full(6, 8)})
    for got, expected in zip(funding.read(path, panel_of()).rates, funding.read(folder, panel_of()).rates, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_months_of_the_archive_are_joined(tmp_path):
    for month, hours in (("2024-01", every(8, 24)), ("2024-02", every(8, 48, 24))):
        write(tmp_path / f"BTC-fundingRate-{month}.csv", table(hours))
    assert funding.read(tmp_path, panel_of()).rates.at_open.sum() == pytest.approx(6e-4)
    write(tmp_path / "BTC-fundingRate-2024-03.csv", table([16]))
    with pytest.raises(DataError, match="both have rates at 2024-01-01T16:00:00"):
        funding.read(tmp_path, panel_of())


def test_a_settlement_in_a_row_without_a_bar_is_kept(folder):
    ok = np.ones((48, 1), bool)
    ok[6:20] = False
    np.testing.assert_array_equal(
        funding.read(folder, panel_of(ok=ok)).rates.at_open, funding.read(folder, panel_of()).rates.at_open
    )


def test_gaps_are_counted_between_the_first_and_the_last_bar(tmp_path):
    write(tmp_path / "LATE.csv", table([10, 18, 26, 40]))  # 10 hours before the first, 14 between, 8 after the last
    write(tmp_path / "FULL.csv", table(every(2)))
    ok = np.ones((48, 2), bool)
    ok[:4, 0] = ok[44:, 0] = False
    read = funding.read(tmp_path, panel_of(symbols=("LATE", "FULL")))
    assert (read.gaps, read.gap_hours) == ((2, 0), (24, 0))
    assert "hours in gaps of more than 8 hours between settlements: LATE 24)" in read.source
    assert "FULL" not in read.source
    listed_later = funding.read(tmp_path, panel_of(symbols=("LATE", "FULL"), ok=ok))
    assert (listed_later.gaps, listed_later.gap_hours) == ((1, 0), (14, 0))


def test_symbols_say_which_pay(folder):
    panel = panel_of(symbols=("BTC", "TON", "ADA"))
    read = funding.read(folder, panel, ("TON",))
    assert read.symbols == ("TON",)
    np.testing.assert_array_equal(read.rates.at_open[:, [0, 2]], 0)
    assert read.rates.at_open[:, 1].sum() == pytest.approx(12e-4)
    for symbols, message in (
        (("XRP",), "XRP pays funding but has no bars .*BTC, TON, ADA"),
        (("ADA",), "no file for symbol ADA .*BTC, TON"),
        ({"BTC": "BTC_PERP"}, "no file for symbol BTC_PERP .*BTC, TON"),
    ):
        with pytest.raises(DataError, match=message):
            funding.read(folder, panel, symbols)
    with pytest.raises(DataError, match="no rates of ADA .*BTC, TON"):
        funding.read(folder, panel_of(symbols=("ADA",)))


def test_a_mapping_names_the_file_of_each_symbol(folder):
    """Spot and perpetual of one coin in one panel."""
    read = funding.read(folder, panel_of(symbols=("BTC", "BTC_PERP")), {"BTC_PERP": "BTC"})
    assert read.symbols == ("BTC_PERP",)
    np.testing.assert_array_equal(read.rates.at_open[:, 0], 0)
    np.testing.assert_array_equal(read.rates.at_open[:, [1]], funding.read(folder, panel_of()).rates.at_open)


def replaced(column: str, row: int, value) -> dict:
    values = {k: list(v) for k, v in table(every(8)).items()}
    values[column][row] = value
    return values


@pytest.mark.parametrize(
    "bad, message",
    [
        (table([0, 8, 8, 16]), r"BTC\.csv, row 2 \(2024-01-01T08:00:00\): the same time twice"),
        (replaced("timestamp", 2, START * 1000 + 8 * 3_600_000 + 30), "row 2 .*the same time twice"),
        (table([0, 16, 8]), "row 2 .*not sorted"),
        (table([16, 8, 0]), "row 1 .*not sorted"),
        (replaced("funding_rate", 3, float("nan")), "row 3 .*funding_rate is not a finite"),
        (replaced("funding_rate", 3, None), "row 3 .*funding_rate is not a finite"),
        (replaced("funding_rate", 3, float("inf")), "row 3 .*funding_rate is not a finite"),
        (replaced("funding_rate", 3, 0.1001), r"row 3 .*beyond \+-10%; write it as a fraction"),
        (replaced("funding_rate", 3, -1.0), r"row 3 .*beyond \+-10%"),
        (replaced("funding_rate", 3, "n/a"), "row 3: 'n/a' is not a number"),
        (replaced("timestamp", 3, None), "row 3 has no time"),
        (table([48, 56]), r"no rates in the time of the bars, 2024-01-01\.\.2024-01-02 \(there are 2024-01-03"),
        (table([-16, -8]), "no rates in the time of the bars"),
        ({"timestamp": [START], "rate": [0.0]}, "no column funding_rate"),
        ({"funding_rate": [0.0], "at": [START]}, "no column timestamp"),
        (table([]), "no rows"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, bad, message):
    path = write(tmp_path / "BTC.csv", bad)
    with pytest.raises(DataError, match=message):
        funding.read(path, panel_of())


def test_rates_at_the_limit_are_read(tmp_path):
    read = funding.read(write(tmp_path / "BTC.csv", table([0, 8], rate=np.array([0.1, -0.1]))), panel_of())
    assert read.rates.at_open[[0, 8], 0].tolist() == [0.1, -0.1]


def test_nothing_to_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        funding.read(tmp_path / "missing", panel_of())
    with pytest.raises(DataError, match="no .parquet or .csv"):
        funding.read(tmp_path, panel_of())


# Real rates


@pytest.fixture(scope="module")
def real_rates(real_data):
    if not (real_data / "funding").is_dir() or not (real_data / "perp_1h").is_dir():
        pytest.skip(f"needs real funding rates: there is no folder funding or perp_1h in {real_data}")
    return functools.partial(funding.read, real_data / "funding")


def test_real_sums_equal_those_of_polars(real_data, real_rates):
    """SOL settled every two hours in November 2022; every rate of a day is in one of its bars."""
    panel = bars.read(real_data / "perp_1h", ("BTCUSDT", "SOLUSDT"), "2022-11-01", "2022-12-01")
    read = real_rates(panel)
    assert read.gaps == (0, 0)
    hours = panel.times.astype("datetime64[ns]")
    for asset, (symbol, count) in enumerate([("BTCUSDT", 90), ("SOLUSDT", 90 + 75)]):
        file = pl.read_parquet(real_data / "funding" / f"{symbol}.parquet")
        file = file.filter(pl.col("timestamp").dt.strftime("%Y-%m") == "2022-11")
        assert len(file) == count and read.outside[asset] > 1_000
        daily = file.group_by(pl.col("timestamp").dt.date()).agg(pl.col("funding_rate").sum()).sort("timestamp")
        both = read.rates.at_open[:, asset] + read.rates.within[:, asset]
        np.testing.assert_allclose(both.reshape(30, 24).sum(1), daily["funding_rate"].to_numpy(), rtol=1e-12)
        np.testing.assert_array_equal(hours[read.rates.at_open[:, asset] != 0], file["timestamp"].to_numpy())
        np.testing.assert_array_equal(read.rates.within, 0)


def test_real_rates_do_not_depend_on_the_bars(real_data, real_rates):
    """Bars of 4 hours, of which half have the settlements of 2-hourly SOL within, give the same sum."""
    if not (real_data / "perp_4h").is_dir():
        pytest.skip(f"needs bars of 4 hours: there is no folder perp_4h in {real_data}")
    span = ("2022-11-01", "2022-12-01")
    fine, coarse = (real_rates(bars.read(real_data / f, ("SOLUSDT",), *span)).rates for f in ("perp_1h", "perp_4h"))
    assert np.count_nonzero(coarse.within) > 20
    np.testing.assert_allclose(sum(fine).reshape(-1, 4, 1).sum(1), sum(coarse), rtol=1e-12, atol=1e-18)
