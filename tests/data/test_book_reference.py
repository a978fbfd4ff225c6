"""Rows of order books against loops in Python and against polars on real files; causality."""

from __future__ import annotations

import bisect
import tempfile
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.errors import DataError
from fxtrade.data import bars, book
from fxtrade.data.book_files import FIELDS
from tests.helpers.bar_files import START, write
from tests.helpers.book_tables import snapshots, trades

SECOND = 1_000_000_000
FLOW = ("volume", "quote_volume", "trades", "taker_buy")


@st.composite
def sessions(draw):
    """Draw up to two symbols with updates and possibly trades on a grid of 50 ms, so that times coincide with edges."""
    made = []
    for _ in range(draw(st.integers(1, 2))):
        ms = sorted(draw(st.lists(st.integers(0, 80), min_size=2, max_size=12)))
        mids = draw(st.lists(st.integers(50, 60), min_size=len(ms), max_size=len(ms)))
        flow = draw(st.none() | st.lists(st.tuples(st.integers(0, 80), st.integers(1, 9), st.booleans()), min_size=1))
        made.append(([50 * t for t in ms], mids, flow and sorted((50 * t, q, up) for t, q, up in flow)))
    return made


def write_sessions(folder: Path, made, until=10**9) -> Path:
    for name, (ms, mids, flow) in zip("AB", made, strict=False):
        n = bisect.bisect_left(ms, until)
        write(folder / "book" / f"{name}.parquet", {k: v[:n] for k, v in snapshots(ms, mids).items()})
        if kept := [f for f in flow or () if f[0] < until]:
            t, sizes, up = zip(*kept, strict=True)
            table = trades(t, [2.0 * q for q in sizes], list(map(float, sizes)), [1 if u else -1 for u in up])
            write(folder / "trades" / f"{name}.parquet", table)
    return folder / "book"


def expected_row(t, clock, stale, ms, mids, flow) -> dict[str, float]:
    """Compute the row [t, t + clock) of one symbol, in ms; empty for a gap."""
    before = [(time, i) for i, time in enumerate(ms) if time < t + clock]
    if not before or t + clock - before[-1][0] > stale:
        return {}
    inside = [mids[i] for time, i in before if time >= t] or [mids[before[-1][1]]]
    row = {"open": inside[0], "high": max(inside), "low": min(inside), "close": inside[-1], "last": before[-1][1]}
    if flow and flow[0][0] < t + clock:
        here = [(q, up) for time, q, up in flow if t <= time < t + clock]
        row |= {"volume": sum(q for q, _ in here), "quote_volume": sum(2 * q * q for q, _ in here)}
        row |= {"trades": len(here), "taker_buy": sum(q for q, up in here if up)}
    return row


@given(sessions(), st.sampled_from([100, 250, 1000]), st.sampled_from([500, 60_000]), st.booleans())
def test_against_loops(made, clock, stale, union):
    grid = [(ms[0] // clock, ms[-1] // clock) for ms, *_ in made]
    firsts, lasts = zip(*grid, strict=True)
    first, last = (min(firsts), max(lasts)) if union else (max(firsts), min(lasts))
    options = {"clock": f"{clock}ms", "stale": f"{stale}ms", "align": "union" if union else "intersection"}
    with tempfile.TemporaryDirectory() as folder:
        path = write_sessions(Path(folder), made)
        if last <= first:
            with pytest.raises(DataError, match="no time is common|at least two"):
                book.read(path, **options)
            return
        panel = book.read(path, **options)
    clock_ms = [clock * i for i in range(first, last + 1)]
    np.testing.assert_array_equal(panel.times, [(START * 1000 + t) * 10**6 for t in clock_ms])
    rows = [[expected_row(t, clock, stale, *session) for session in made] for t in clock_ms]
    for name in ("open", "high", "low", "close", *FLOW):
        column = getattr(panel.bars, name)
        if name in FLOW[1:] and not any(flow for *_, flow in made):
            assert column is None
        else:
            expected = [[row.get(name, np.nan) for row in of_symbols] for of_symbols in rows]
            np.testing.assert_array_equal(column, np.float32(expected), err_msg=name)
    # sizes of `snapshots` identify their row of the file
    last = np.array([[row.get("last", np.nan) for row in of_symbols] for of_symbols in rows])
    np.testing.assert_array_equal(panel.bars.book.bid_size[..., 0], np.float32(last + 1))
    np.testing.assert_array_equal(panel.bars.book.ask_size[..., 1], np.float32(last + 1.625))
    np.testing.assert_array_equal(panel.bars.ok, np.isfinite(last))


@given(sessions(), st.sampled_from(["100ms", "250ms"]), st.integers(20, 80))
def test_rows_do_not_depend_on_the_future(made, clock, cut):
    """Files that end earlier give the same rows until then, those after the last trade included."""
    made = [(ms, mids, flow) for ms, mids, flow in made if ms[0] < 50 * cut]
    if not made:
        return
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        try:
            early = book.read(write_sessions(Path(a), made, 50 * cut), clock=clock, align="union")
        except DataError:  # one row or none
            return
        whole = book.read(write_sessions(Path(b), made), clock=clock, align="union")
    assert early.times[0] == whole.times[0]
    n = int((early.times + early.interval <= (START * 1000 + 50 * cut) * 10**6).sum())
    for name in ("open", "high", "low", "close", "volume", "ok", "book"):
        one, other = (jax.tree.leaves(getattr(p.bars, name)) for p in (early, whole))
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x[:n], y[:n], err_msg=name)


@pytest.fixture(scope="module", params=["20240808", "20240718"])
def session(real_data, request):
    """Seconds of two futures with trades."""
    symbols = tuple(f"binance_um_{pair}_{request.param}" for pair in ("BTCUSDT", "ETHUSDT"))
    return real_data, book.read(real_data / "book", symbols)


class TestRealData:
    def test_books_equal_an_asof_join(self, session):
        real_data, panel = session
        assert panel.bars.ok.all() and len(panel.times) > 300
        ends = pl.DataFrame({"end": panel.times + SECOND}).cast(pl.Datetime("ns", "UTC"))
        for a, symbol in enumerate(panel.symbols):
            frame = pl.read_parquet(real_data / "book" / f"{symbol}.parquet")
            joined = ends.join_asof(
                frame, left_on="end", right_on="transact_timestamp", allow_exact_matches=False, check_sortedness=False
            )
            mid = ((joined["bid_price_0"] + joined["ask_price_0"]) / 2).to_numpy()
            np.testing.assert_array_equal(panel.bars.close[:, a], mid.astype(np.float32))
            for field in FIELDS:
                expected = joined.select(f"{field}_{i}" for i in range(20)).to_numpy().astype(np.float32)
                np.testing.assert_array_equal(getattr(panel.bars.book, field)[:, a], expected, err_msg=field)

    def test_volume_equals_the_sum_of_trades(self, session):
        real_data, panel = session
        for a, symbol in enumerate(panel.symbols):
            frame = pl.read_parquet(real_data / "trades" / f"{symbol}.parquet")
            second, size = pl.col("transact_timestamp").dt.truncate("1s"), pl.col("size").cast(pl.Float64)
            sums = frame.group_by(second.alias("t")).agg(
                volume=size.sum(),
                quote_volume=(size * pl.col("price")).sum(),
                trades=pl.len(),
                taker_buy=size.filter(pl.col("side") == 1).sum(),
            )
            clock = pl.DataFrame({"t": panel.times}).cast(pl.Datetime("ns", "UTC"))
            sums = clock.join(sums, "t", "left", maintain_order="left").with_columns(pl.col(FLOW).fill_null(0))
            known = np.isfinite(panel.bars.volume[:, a])
            assert known.sum() >= len(known) - 2, "the book continues for two seconds after the last trade"
            for name in FLOW:
                values = getattr(panel.bars, name)[known, a]
                np.testing.assert_allclose(values, sums[name].to_numpy()[known], rtol=1e-6, err_msg=name)

    @pytest.mark.parametrize("pair", ["BTCUSDT", "ETHUSDT"])
    def test_minutes_of_the_spot_book_agree_with_another_source(self, real_data, pair):
        span = {"start": "2024-08-08T23:55", "end": "2024-08-09"}
        made = book.read(real_data / "book", (f"binance_spot_{pair}_20240808",), "1m", **span)
        traded = bars.read(real_data / "bars", (pair,), **span)
        np.testing.assert_array_equal(made.times, traded.times)
        assert len(made.times) == 5
        np.testing.assert_allclose(made.bars.close, traded.bars.close, rtol=2e-4)
        assert np.abs(np.diff(np.log(traded.bars.close[:, 0]))).max() > 4e-4, "the test would detect a wrong minute"
        np.testing.assert_allclose(made.bars.volume, traded.bars.volume, rtol=1e-5)

    def test_a_session_with_a_gap_and_a_crossed_row(self, real_data):
        panel = book.read(real_data / "book" / "upbit_spot_ADAKRW_20180218.parquet")
        assert "1 row of upbit_spot_ADAKRW_20180218" in panel.source
        times = panel.times.astype("datetime64[ns]")
        hole = (times > np.datetime64("2018-02-18T07:43")) & (times < np.datetime64("2018-02-18T15:08"))
        assert 7 * 3600 < hole.sum() and not panel.bars.ok[hole].any()
        assert panel.bars.ok[~hole].mean() > 0.98
        ok = panel.bars.ok[:, 0]
        assert (panel.bars.book.bid_price[ok, 0, 0] < panel.bars.book.ask_price[ok, 0, 0]).all()

    def test_every_file_can_be_read(self, real_data):
        for file in sorted((real_data / "book").glob("*.parquet")):
            panel = book.read(file, clock="10s")
            best = panel.bars.book
            ok = panel.bars.ok
            assert ok.mean() > 0.3 and (best.bid_price[..., 0] < best.ask_price[..., 0])[ok].all(), file.stem
            assert (panel.bars.low <= panel.bars.close)[ok].all() and (panel.bars.close <= panel.bars.high)[ok].all()
