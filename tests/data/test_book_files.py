"""Files of order books and of trades, and errors of invalid ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fxtrade.data import book
from fxtrade.data.book_files import read_book
from tests.helpers import bar_files
from tests.helpers.bar_files import START, write
from tests.helpers.book_tables import snapshots, spoilt, trades

FIVE = snapshots([0, 1000, 2000, 3000, 4000], [100, 101, 102, 101, 100])
refused = partial(bar_files.refused, book.read)


@pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_levels_are_nan(tmp_path, name, missing):
    """The second level of the ask is missing once, that of the bid always."""
    table = FIVE | {k: [missing] * 5 for k in ("bid_price_1", "bid_size_1")}
    table = spoilt("ask_price_1", 2, missing, spoilt("ask_size_1", 2, missing, table))
    made = book.read(write(tmp_path / name, table)).bars
    assert made.ok.all() and np.isfinite(made.book.bid_price[..., 0]).all()
    for side in (made.book.ask_price, made.book.ask_size):
        np.testing.assert_array_equal(np.isnan(side[:, 0, 1]), np.arange(5) == 2)
    assert np.isnan(made.book.bid_price[..., 1]).all() and np.isnan(made.book.bid_size[..., 1]).all()


@pytest.mark.parametrize("price", [0.0, 9_999_999_999.0, -9_999_999_999.0])
def test_levels_that_only_pad_the_table_are_missing(tmp_path, price):
    table = spoilt("ask_price_1", 2, price, spoilt("ask_size_1", 2, 0.0, FIVE))
    assert read_book(path := write(tmp_path / "A.parquet", table)).invalid == 0
    made = book.read(path).bars
    for side in (made.book.ask_price, made.book.ask_size):
        np.testing.assert_array_equal(np.isnan(side[:, 0, 1]), np.arange(5) == 2)
    # an order of such a price, and a best level without one, are errors of the exchange
    assert read_book(write(tmp_path / "B.parquet", spoilt("ask_price_1", 2, -1.0))).invalid == 1
    assert read_book(write(tmp_path / "C.parquet", spoilt("bid_price_0", 2, 0.0))).invalid == 1


def test_a_size_of_zero_is_accepted(tmp_path):
    made = book.read(write(tmp_path / "A.csv", spoilt("bid_size_0", 2, 0.0))).bars
    assert made.ok.all() and made.book.bid_size[2, 0, 0] == 0


@pytest.mark.parametrize(
    "column, value",
    [
        ("bid_price_0", 104.0),  # crossed
        ("bid_price_0", 103.0),  # locked
        ("bid_price_1", 0.0),
        ("bid_price_1", -1.0),
        ("bid_price_1", 1e-50),  # 0 in float32
        ("bid_price_1", 101.0),  # equal to the best
        ("ask_price_1", 102.5),
    ],
)
def test_invalid_rows_are_dropped_and_counted(tmp_path, column, value):
    """Row 2, whose best prices are 101 and 103, is replaced by the book of row 1."""
    path = write(tmp_path / "A.parquet", spoilt(column, 2, value))
    assert read_book(path).invalid == 1
    panel = book.read(path)
    assert "without 1 row of A that are not a valid book" in panel.source
    np.testing.assert_array_equal(panel.bars.close[:, 0], [100, 101, 101, 101, 100])
    np.testing.assert_array_equal(panel.bars.book.bid_size[:, 0, 0], [1, 2, 2, 4, 5])
    assert panel.bars.ok.all() and "without" not in book.read(write(tmp_path / "B.csv", FIVE)).source


def test_a_gap_between_levels_is_invalid(tmp_path):
    table = snapshots([0, 1000, 2000], [100, 101, 102], levels=3)
    table = spoilt("ask_price_1", 1, None, spoilt("ask_size_1", 1, None, table))
    assert read_book(write(tmp_path / "A.parquet", table)).invalid == 1


def test_no_valid_row(tmp_path):
    table = FIVE | {"bid_price_0": FIVE["ask_price_0"], "ask_price_0": FIVE["bid_price_0"]}
    refused(write(tmp_path / "A.csv", table), "A.csv", "none of the 5 rows is a valid book")


def test_the_clock_of_the_exchange_has_priority(tmp_path):
    late = {k: [t + 500 for t in FIVE["transact_timestamp"]] for k in ("timestamp", "local_timestamp")}
    time = read_book(write(tmp_path / "A.csv", late | FIVE)).time
    np.testing.assert_array_equal(time, (START + np.arange(5)) * 10**9)


class TestErrors:
    def test_no_such_path(self, tmp_path):
        refused(tmp_path / "none", "none", "no such file or folder")
        refused(tmp_path, "no .parquet or .csv files")
        write(tmp_path / "A.csv", FIVE)
        refused(tmp_path, "no file for symbol B", symbols=("B",))

    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_empty_files(self, tmp_path, name):
        refused(write(tmp_path / name, {k: v[:0] for k, v in FIVE.items()}), name, "has no rows")
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name, name, "cannot be read")

    @pytest.mark.parametrize("column", ["bid_price_0", "ask_size_0", "ask_price_1"])
    def test_missing_columns(self, tmp_path, column):
        path = write(tmp_path / "A.csv", {k: v for k, v in FIVE.items() if k != column})
        refused(path, "A.csv", f"no column {column} (columns are")

    def test_no_clock(self, tmp_path):
        path = write(tmp_path / "A.csv", {k: v for k, v in FIVE.items() if k != "transact_timestamp"})
        refused(path, "no column timestamp")

    def test_files_of_bars_beside_books(self, tmp_path):
        write(tmp_path / "A.csv", FIVE)
        write(tmp_path / "B.csv", {"timestamp": [START], "open": [1.0]})
        refused(tmp_path, "B.csv", "it has no order book", "bid_price_0")

    def test_decreasing_times(self, tmp_path):
        path = write(tmp_path / "A.csv", spoilt("transact_timestamp", 3, START * 1000 + 1500))
        refused(path, "A.csv, row 3 (2024-01-01T00:00:01)", "transact_timestamp is before the row above", "sort")

    def test_a_missing_time(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("transact_timestamp", 3, None)), "row 3 has no time")

    @pytest.mark.parametrize("value", [None, float("nan")])
    @pytest.mark.parametrize(
        "column, message",
        [
            ("bid_price_0", "bid_price_0 is missing; remove rows without a best price"),
            ("ask_price_1", "ask_price_1 is missing, but its size is there"),
            ("ask_size_0", "ask_size_0 is missing, but its price is there"),
        ],
    )
    def test_missing_numbers(self, tmp_path, column, value, message):
        refused(write(tmp_path / "A.parquet", spoilt(column, 3, value)), "row 3 (2024-01-01T00:00:03)", message)

    @pytest.mark.parametrize("value", [float("inf"), 1e39])
    @pytest.mark.parametrize("column", ["ask_price_1", "bid_size_0"])
    def test_numbers_that_are_not_finite_in_float32(self, tmp_path, column, value):
        refused(write(tmp_path / "A.parquet", spoilt(column, 1, value)), "row 1", f"{column} is not a finite number")

    def test_negative_sizes(self, tmp_path):
        refused(write(tmp_path / "A.csv", spoilt("ask_size_1", 4, -0.5)), "row 4", "ask_size_1 is negative")

    def test_text_in_numbers(self, tmp_path):
        text = {k: list(map(str, v)) for k, v in FIVE.items()}
        path = write(tmp_path / "A.csv", spoilt("ask_size_1", 4, "n/a", text))
        refused(path, "A.csv: column ask_size_1, row 4: 'n/a' is not a number")

    @pytest.mark.parametrize(
        "column, value, message",
        [
            ("price", 0.0, "price is not a positive number"),
            ("price", None, "price is not a positive number"),
            ("size", -1.0, "size is not a positive number"),
            ("size", float("inf"), "size is not a positive number"),
            ("side", 0, "side is neither 1 (a taker bought) nor -1 (sold)"),
            ("side", None, "side is neither 1"),
            ("transact_timestamp", START * 1000, "transact_timestamp is before the row above"),
        ],
    )
    def test_trades(self, tmp_path, column, value, message):
        table = trades([100, 200, 300], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1, -1, 1])
        write(tmp_path / "trades" / "A.parquet", spoilt(column, 2, value, table))
        refused(write(tmp_path / "book" / "A.parquet", FIVE), "trades/A.parquet, row 2 (2024-01-01", message)

    @pytest.mark.parametrize("column", ["price", "size", "side"])
    def test_trades_without_a_column(self, tmp_path, column):
        table = trades([100], [1.0], [1.0], [1])
        write(tmp_path / "trades" / "A.csv", {k: v for k, v in table.items() if k != column})
        refused(write(tmp_path / "book" / "A.csv", FIVE), "trades/A.csv", f"no column {column}")


class TestClocks:
    def test_sessions_that_do_not_overlap(self, tmp_path):
        write(tmp_path / "A.csv", FIVE)
        write(tmp_path / "B.csv", snapshots([6000, 9000], [100, 101]))
        write(tmp_path / "C.csv", snapshots([3000, 9000], [100, 101]))
        message = refused(tmp_path, "A ends 2024-01-01T00:00:04, before B begins 2024-01-01T00:00:06", "align='union'")
        assert "C" not in message.removeprefix(str(tmp_path))
        assert book.read(tmp_path, align="union").bars.ok.all(1).sum() == 4
        assert len(book.read(tmp_path, ("A", "C")).times) == 2

    @pytest.mark.parametrize(
        "options",
        [
            {"clock": "1h"},
            {"end": "2024-01-01T00:00:01"},
            {"start": "2024-01-01T00:00:04"},
            {"start": "9999-01-01"},
            {"end": "1999-01-01"},
            {"start": "2024-01-01T00:00:04", "clock": None},
            {"end": "1999-01-01", "clock": None},
        ],
    )
    def test_fewer_than_two_rows(self, tmp_path, options):
        path = write(tmp_path / "A.csv", FIVE)
        refused(path, "A.csv", "at least two are needed", "A: 2024-01-01T00:00:00..2024-01-01T00:00:04", **options)

    def test_books_that_exceed_memory(self, tmp_path):
        write(tmp_path / "A.csv", FIVE)
        write(tmp_path / "B.csv", snapshots([10**12, 10**12 + 1], [100, 101]))
        refused(tmp_path, "10,000,000,001 rows of 100ms take 596 GiB", "coarser", align="union", clock="100ms")

    @pytest.mark.parametrize("option", ["clock", "stale"])
    def test_an_invalid_interval(self, tmp_path, option):
        refused(write(tmp_path / "A.csv", FIVE), "'1sec' is not an interval", **{option: "1sec"})

    @pytest.mark.parametrize("which", ["start", "end"])
    def test_an_invalid_date(self, tmp_path, which):
        refused(write(tmp_path / "A.csv", FIVE), f"data.{which} = 'soon'", **{which: "soon"})
