from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.data import bars
from fxtrade.data.panel import Panel
from fxtrade.data.resample import SUMS, resample
from fxtrade.data.times import second_of_week
from tests.helpers import markets

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
MONDAY = 1_704_067_200 * SECOND  # 2024-01-01


def panel(n=100, assets=2, seed=0, start=MONDAY, interval=MINUTE, missing=0.0):
    market = markets.bars(n, assets, seed)
    holes = np.random.default_rng(seed).random(market.ok.shape) < missing
    for a in range(assets):
        market = markets.gap(market, np.flatnonzero(holes[:, a]), a)
    times = start + interval * np.arange(n, dtype=np.int64)
    market = dataclasses.replace(market, second_of_week=second_of_week(times))
    return Panel(market, times, tuple("ABC"[:assets]), interval, "test", np.full((n, assets), 0.5))


def expected_bars(fine: Panel, opens: np.ndarray, coarse: int) -> dict[str, np.ndarray]:
    """Compute bar by bar and asset by asset in float64."""
    names = ("open", "high", "low", "close", *SUMS)
    out = {name: np.full((len(opens), len(fine.symbols)), np.nan) for name in names}
    for i, first in enumerate(opens):
        for a in range(len(fine.symbols)):
            inside = (fine.times >= first) & (fine.times < first + coarse)
            if inside.sum() * fine.interval < coarse or not fine.bars.ok[inside, a].all():
                continue
            part = {name: np.asarray(getattr(fine.bars, name)[inside, a], np.float64) for name in names}
            whole = {name: part[name].sum() for name in SUMS}
            whole |= {"open": part["open"][0], "close": part["close"][-1]}
            whole |= {"high": part["high"].max(), "low": part["low"].min()}
            for name in names:
                out[name][i, a] = whole[name]
    return out


@given(
    n=st.integers(40, 120),
    offset=st.integers(0, 2_000),
    minutes=st.sampled_from([2, 5, 15]),
    missing=st.sampled_from([0.0, 0.02, 0.3]),
    seed=st.integers(0, 100),
)
def test_against_loops(n, offset, minutes, missing, seed):
    fine = panel(n, seed=seed, start=MONDAY + offset * MINUTE, missing=missing)
    coarse = resample(fine, f"{minutes}m")
    opens = np.arange(-(-fine.times[0] // (minutes * MINUTE)), (fine.times[-1] + MINUTE) // (minutes * MINUTE))
    np.testing.assert_array_equal(coarse.times, opens * minutes * MINUTE)
    expected = expected_bars(fine, coarse.times, minutes * MINUTE)
    np.testing.assert_array_equal(coarse.bars.ok, np.isfinite(expected["close"]))
    for name, values in expected.items():
        np.testing.assert_array_equal(getattr(coarse.bars, name), values.astype(np.float32), err_msg=name)
    np.testing.assert_array_equal(coarse.bars.second_of_week, second_of_week(coarse.times))
    assert coarse.interval == minutes * MINUTE and coarse.symbols == fine.symbols
    assert coarse.edge is None  # it belongs to the fine bars


def test_incomplete_bars_at_both_ends_are_left_out():
    coarse = resample(panel(32, start=MONDAY + 7 * MINUTE), "10m")  # 00:07 .. 00:38
    np.testing.assert_array_equal(coarse.times, MONDAY + 10 * MINUTE * np.array([1, 2]))
    one_more = resample(panel(33, start=MONDAY + 7 * MINUTE), "10m")
    np.testing.assert_array_equal(one_more.times, MONDAY + 10 * MINUTE * np.array([1, 2, 3]))


def test_one_missing_minute_makes_its_bar_missing_for_that_asset_only():
    fine = panel(40)
    fine = Panel(markets.gap(fine.bars, 12, 1), fine.times, fine.symbols, fine.interval, "test")
    coarse = resample(fine, "10m").bars
    np.testing.assert_array_equal(coarse.ok, [[True, True], [True, False], [True, True], [True, True]])
    assert np.isnan(coarse.close[1, 1]) and np.isnan(coarse.volume[1, 1])


def test_the_own_interval_is_the_identity():
    fine = panel(50, missing=0.1)
    same = resample(fine, "1m")
    for name in (*markets.COLUMNS, "ok", "second_of_week"):
        np.testing.assert_array_equal(getattr(same.bars, name), getattr(fine.bars, name))


def test_weeks_begin_on_monday():
    fine = panel(24 * 7 * 3, start=MONDAY + 30 * 3_600 * SECOND, interval=3_600 * SECOND)
    weeks = resample(fine, "1w")
    np.testing.assert_array_equal(weeks.times, MONDAY + 7 * 86_400 * SECOND * np.array([1, 2]))
    np.testing.assert_array_equal(weeks.bars.second_of_week, 0)


def test_missing_columns_stay_missing():
    fine = panel(30)
    lacking = dataclasses.replace(fine.bars, quote_volume=None, trades=None, taker_buy=None)
    coarse = resample(Panel(lacking, fine.times, fine.symbols, fine.interval, "test"), "5m")
    assert coarse.bars.taker_buy is None and coarse.bars.trades is None and coarse.bars.quote_volume is None
    assert coarse.bars.ok.all()


def test_the_book_is_that_of_the_last_fine_bar():
    fine = panel(47, start=MONDAY + 3 * MINUTE, missing=0.05, seed=4)
    coarse = resample(fine, "5m").bars
    assert 0 < coarse.ok.sum() < coarse.ok.size
    last = np.searchsorted(fine.times, resample(fine, "5m").times) + 4
    for name, side in vars(coarse.book).items():
        expected = np.where(coarse.ok[..., None], getattr(fine.bars.book, name)[last], np.float32(np.nan))
        np.testing.assert_array_equal(side, expected, err_msg=name)
        assert side.dtype == np.float32
    without = dataclasses.replace(fine, bars=dataclasses.replace(fine.bars, book=None))
    assert resample(without, "5m").bars.book is None


def test_updates_of_a_book_cannot_be_resampled():
    fine = panel(40)
    times = fine.times + np.arange(40) ** 2
    with pytest.raises(DataError, match="no regular clock to resample; set data.clock = '5m'"):
        resample(dataclasses.replace(fine, times=times), "5m")


@pytest.mark.parametrize(
    "interval, n, start, message",
    [
        ("90s", 100, MONDAY, "'90s' is not a multiple of the bars' own interval, 1m"),
        ("30s", 100, MONDAY, "not a multiple"),
        ("1h", 100, MONDAY, r"too few bars \(100\) for two closed bars of 1h"),
        ("15q", 100, MONDAY, "not an interval"),
        ("15m", 100, MONDAY + 30 * SECOND, "no bar opens at a multiple of 15m"),
    ],
)
def test_errors(interval, n, start, message):
    with pytest.raises(DataError, match=message):
        resample(panel(n, start=start), interval)


def test_minutes_of_btc_give_the_published_quarter_hours(real_data):
    """Up to the rounding of float32: prices are the same, sums agree to 1e-6."""
    span = {"start": "2023-03-01", "end": "2023-05-01"}  # with the outage of 2023-03-24
    made = resample(bars.read(real_data / "bars", ("BTCUSDT",), **span), "15m")
    published = bars.read(real_data / "bars_15m", ("BTCUSDT",), **span)
    np.testing.assert_array_equal(made.times, published.times)
    ok = made.bars.ok[:, 0]
    assert 0 < (~ok).sum() < 20  # 12:40..13:59 touches six quarters, one of which the exchange has
    assert published.bars.ok[ok].all()
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(made.bars, name)[ok], getattr(published.bars, name)[ok], err_msg=name)
    np.testing.assert_allclose(made.bars.volume[ok], published.bars.volume[ok], rtol=1e-6)
