from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.data import book
from fxtrade.data.book_files import FIELDS
from tests.helpers.bar_files import START, columns, write
from tests.helpers.book_tables import snapshots, trades

SECOND = 1_000_000_000


def prices(panel, a=0):
    return np.stack([getattr(panel.bars, k)[:, a] for k in ("open", "high", "low", "close")], 1)


class TestRowsOfAClock:
    """Seven updates: three in row 0, one at the start of row 1, none in row 2 and the rest in row 3."""

    TABLE = snapshots([100, 400, 900, 1000, 3500, 3500, 3999], [100, 102, 98, 104, 110, 90, 106])

    @pytest.fixture(params=["A.parquet", "A.csv"])
    def path(self, tmp_path, request):
        return write(tmp_path / "book" / request.param, self.TABLE)

    def test_prices_are_mids(self, path):
        panel = book.read(path)
        expected = [(100, 102, 98, 98), (104, 104, 104, 104), (104, 104, 104, 104), (110, 110, 90, 106)]
        np.testing.assert_array_equal(prices(panel), np.float32(expected))
        np.testing.assert_array_equal(panel.times, (START + np.arange(4)) * SECOND)
        assert panel.bars.ok.all() and panel.symbols == ("A",) and panel.interval == SECOND and panel.edge is None
        np.testing.assert_array_equal(panel.bars.second_of_week, [0, 1, 2, 3])

    def test_the_last_book_of_each_row(self, path):
        made = book.read(path).bars.book
        last = [2, 3, 3, 6]
        for field in FIELDS:
            a = getattr(made, field)
            assert a.dtype == np.float32 and a.shape == (4, 1, 2)
            for level in range(2):
                expected = np.asarray(self.TABLE[f"{field}_{level}"])[last]
                np.testing.assert_array_equal(a[:, 0, level], expected.astype(np.float32))

    def test_the_last_of_equal_times_counts(self, tmp_path):
        panel = book.read(write(tmp_path / "A.csv", snapshots([0, 500, 500, 1500], [100, 101, 99, 99])))
        np.testing.assert_array_equal(prices(panel), [(100, 101, 99, 99), (99, 99, 99, 99)])

    def test_a_stale_book_is_a_gap(self, tmp_path):
        """Updates at 0 and 6.5 s; at the end of row t the first is t + 1 s old, and 2 s are accepted."""
        write(tmp_path / "trades" / "A.csv", trades([0, 5000, 7000], [100.0, 100.0, 100.0], [1.0, 1.0, 1.0], [1, 1, 1]))
        panel = book.read(write(tmp_path / "book" / "A.csv", snapshots([0, 6500], [100, 104])), stale="2s")
        gone = np.array([0, 0, 1, 1, 1, 1, 0], bool)
        np.testing.assert_array_equal(panel.bars.ok[:, 0], ~gone)
        for a in jax.tree.leaves(dataclasses.replace(panel.bars, ok=None, second_of_week=None)):
            np.testing.assert_array_equal(np.isnan(a[:, 0]).reshape(7, -1).any(1), gone)
        np.testing.assert_array_equal(prices(panel)[[0, 1, 6], 0], [100, 100, 104])
        assert book.read(tmp_path / "book").bars.ok.all(), "the default is a minute"

    def test_rows_begin_at_multiples_of_the_clock(self, path):
        panel = book.read(path, clock="500ms")
        np.testing.assert_array_equal(panel.times, START * SECOND + np.arange(8) * SECOND // 2)
        np.testing.assert_array_equal(panel.bars.close[:, 0], [102, 98, 104, 104, 104, 104, 104, 106])
        np.testing.assert_array_equal(panel.bars.second_of_week, [0, 0, 1, 1, 2, 2, 3, 3])

    def test_start_is_inclusive_and_end_exclusive(self, path):
        """The book at the start of the first row may be older than `start`."""
        panel = book.read(path, start="2024-01-01T00:00:02", end="2024-01-01T00:00:04")
        np.testing.assert_array_equal(panel.times, (START + np.array([2, 3])) * SECOND)
        np.testing.assert_array_equal(prices(panel), np.float32([(104, 104, 104, 104), (110, 110, 90, 106)]))
        assert len(book.read(path, start="2023-01-01", end="9999-01-01").times) == 4

    def test_rows_that_begin_before_start_or_at_end_are_left_out(self, tmp_path):
        path = write(tmp_path / "A.csv", snapshots(range(0, 10_000, 1000), range(50, 60)))
        span = {"start": "2024-01-01T00:00:01", "end": "2024-01-01T00:00:07"}
        np.testing.assert_array_equal(book.read(path, clock="2s", **span).bars.close[:, 0], [53, 55, 57])

    def test_prices_are_rounded_once(self, tmp_path):
        """The mid is computed before prices are rounded to float32."""
        panel = book.read(write(tmp_path / "A.csv", snapshots([0, 1000], [61837.635, 61837.645], spread=0.01)))
        np.testing.assert_array_equal(panel.bars.close[:, 0], np.float32([61837.635, 61837.645]))
        np.testing.assert_array_equal(panel.bars.book.ask_price[:, 0, 0], np.float32([61837.64, 61837.65]))


class TestTrades:
    BOOK = snapshots([100, 900, 1500, 4200, 5200], [100, 102, 98, 104, 106])
    # before the book, at the edge of rows 0 and 1, two in row 1, none in row 2, one in row 3
    TRADES = trades([50, 1000, 1999, 3000], [10.0, 20.0, 30.0, 40.0], [1.0, 2.0, 4.0, 8.0], [1, -1, 1, -1])
    EXPECTED = {
        "volume": [1, 6, 0, 8, 0, 0],
        "quote_volume": [10, 160, 0, 320, 0, 0],
        "trades": [1, 2, 0, 1, 0, 0],
        "taker_buy": [1, 4, 0, 0, 0, 0],
    }

    @pytest.fixture
    def folder(self, tmp_path):
        write(tmp_path / "trades" / "A.csv", self.TRADES)
        write(tmp_path / "book" / "A.csv", self.BOOK)
        return tmp_path / "book"

    def test_rows_at_both_ends_of_the_trades(self, tmp_path):
        """The first trade is at the end of row 0, the last at the beginning of row 3."""
        write(tmp_path / "trades" / "A.csv", trades([1000, 3000], [10.0, 10.0], [1.0, 2.0], [1, 1]))
        panel = book.read(write(tmp_path / "book" / "A.csv", self.BOOK))
        np.testing.assert_array_equal(panel.bars.volume[:, 0], np.float32([np.nan, 1, 0, 2, 0, 0]))

    @pytest.mark.parametrize("file", ["", "A.csv"])
    def test_sums_of_each_row(self, folder, file):
        panel = book.read(folder / file)
        for name, expected in self.EXPECTED.items():
            np.testing.assert_array_equal(getattr(panel.bars, name)[:, 0], np.float32(expected), err_msg=name)
        assert panel.bars.ok.all()

    def test_a_symbol_without_trades_beside_one_with(self, folder):
        write(folder / "B.csv", self.BOOK)
        panel = book.read(folder, ("B", "A"))
        for name, expected in self.EXPECTED.items():
            assert np.isnan(getattr(panel.bars, name)[:, 0]).all()
            np.testing.assert_array_equal(getattr(panel.bars, name)[:, 1], np.float32(expected), err_msg=name)

    def test_no_trades(self, folder):
        write(folder / "B.csv", self.BOOK)
        lacking = book.read(folder, ("B",)).bars
        assert np.isnan(lacking.volume).all() and lacking.volume.dtype == np.float32 and lacking.ok.all()
        assert lacking.quote_volume is None and lacking.trades is None and lacking.taker_buy is None

    def test_a_relative_path(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        np.testing.assert_array_equal(book.read("A.csv").bars.volume[:, 0], np.float32(self.EXPECTED["volume"]))

    def test_each_update_has_the_trades_since_the_previous_one(self, folder):
        """Those at 1000 and 1999 ms are after 900 and after 1500; that at 50 ms is before all."""
        panel = book.read(folder, clock=None)
        np.testing.assert_array_equal(panel.bars.volume[:, 0], np.float32([0, 0, 2, 12, 0]))
        np.testing.assert_array_equal(panel.bars.trades[:, 0], np.float32([0, 0, 1, 2, 0]))


class TestEveryUpdate:
    TABLE = snapshots([100, 400, 400, 1000, 3999], [100, 102, 98, 104, 106])

    def test_is_a_row_at_its_own_time(self, tmp_path):
        panel = book.read(write(tmp_path / "A.parquet", self.TABLE), clock=None)
        np.testing.assert_array_equal(panel.times, START * SECOND + np.array([100, 400, 1000, 3999]) * SECOND // 1000)
        np.testing.assert_array_equal(prices(panel), np.float32([[m] * 4 for m in (100, 98, 104, 106)]))
        np.testing.assert_array_equal(panel.bars.book.bid_size[:, 0, 0], [1, 3, 4, 5])
        assert panel.interval == 600_000_000 and panel.bars.ok.all()
        np.testing.assert_array_equal(panel.bars.second_of_week, [0, 0, 1, 3])

    def test_of_a_span(self, tmp_path):
        path = write(tmp_path / "A.parquet", self.TABLE)
        panel = book.read(path, clock=None, start="2024-01-01T00:00:01", end="2024-01-02")
        np.testing.assert_array_equal(panel.bars.close[:, 0], [104, 106])

    def test_of_one_file_only(self, tmp_path):
        for name in "AB":
            write(tmp_path / f"{name}.csv", self.TABLE)
        with pytest.raises(ConfigError, match=r"data\.clock = None .* of one book .* 2 files.* data\.symbols"):
            book.read(tmp_path, clock=None)
        assert book.read(tmp_path, ("B",), clock=None).symbols == ("B",)


class TestSeveralSymbols:
    @pytest.fixture
    def folder(self, tmp_path):
        """A from 0 to 5 s with three levels, B from 2.5 to 8 s with two."""
        write(tmp_path / "A.csv", snapshots(range(0, 5001, 1000), [100, 101, 102, 103, 104, 105], levels=3))
        write(tmp_path / "B.parquet", snapshots(range(2500, 8001, 500), range(50, 62), stamp="timestamp"))
        return tmp_path

    def test_the_common_span(self, folder):
        panel = book.read(folder)
        np.testing.assert_array_equal(panel.times, (START + np.arange(2, 6)) * SECOND)
        np.testing.assert_array_equal(panel.bars.close, [[102, 50], [103, 52], [104, 54], [105, 56]])
        assert panel.symbols == ("A", "B") and panel.bars.ok.all() and panel.bars.book.ask_price.shape == (4, 2, 2)
        assert book.read(folder, ("A",)).bars.book.ask_price.shape == (6, 1, 3)

    def test_the_union_keeps_a_book_until_it_is_stale(self, folder):
        panel = book.read(folder, ("B", "A"), align="union", stale="2s")
        np.testing.assert_array_equal(panel.times, (START + np.arange(9)) * SECOND)
        np.testing.assert_array_equal(np.flatnonzero(panel.bars.ok[:, 0]), range(2, 9))
        np.testing.assert_array_equal(np.flatnonzero(panel.bars.ok[:, 1]), range(7))


class TestIsBook:
    def test_by_the_columns(self, tmp_path):
        write(tmp_path / "A.csv", snapshots([0, 1000], [100, 101]))
        write(tmp_path / "B.parquet", snapshots([0, 1000], [100, 101]))
        write(tmp_path / "C.parquet", columns())
        assert book.is_book(tmp_path / "A.csv") and book.is_book(str(tmp_path / "B.parquet"))
        assert not book.is_book(tmp_path / "C.parquet")
        assert book.is_book(tmp_path) and not book.is_book(tmp_path, ("C",)) and book.is_book(tmp_path, ("C", "A"))

    @pytest.mark.parametrize("name", ["none", "A.parquet", "A.csv"])
    def test_unreadable_files(self, tmp_path, name):
        (tmp_path / "A.parquet").write_bytes(b"rubbish")
        (tmp_path / "A.csv").write_bytes(b"")
        with pytest.raises(DataError, match="there is no such file|cannot be read"):
            book.is_book(tmp_path / name)
