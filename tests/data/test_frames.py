"""Frames in memory give the same bars as files, whatever their form."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fxtrade.core.errors import DataError
from fxtrade.data import bars
from fxtrade.data.panel import Panel
from tests.helpers.bar_files import START, columns, rows, spoilt, write

SYMBOLS = ("BTC", "ETH")
pd = pytest.importorskip("pandas")


@pytest.fixture
def tables():
    """Two symbols; the second begins two bars later and lacks one."""
    return {"BTC": columns(), "ETH": rows(columns(n=10, seed=1), [2, 3, 5, 6, 7, 8])}


@pytest.fixture
def expected(tables, tmp_path):
    for symbol, table in tables.items():
        write(tmp_path / f"{symbol}.parquet", table)
    return bars.read(tmp_path, align="union")


def long(tables) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(t).with_columns(symbol=pl.lit(s)) for s, t in tables.items()])


def wide(tables, name) -> pl.DataFrame:
    btc, eth = (pl.DataFrame(t).rename({c: name(c, s) for c in t if c != "timestamp"}) for s, t in tables.items())
    return btc.join(eth, on="timestamp", how="full", coalesce=True).sort("timestamp")


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    made = pd.DataFrame(frame.to_dict(as_series=False))
    return made.assign(timestamp=pd.to_datetime(made["timestamp"], unit="s", utc=True))


FORMS = {
    "long": long,
    "long, shuffled symbols": lambda t: long(t).sort("timestamp", "symbol"),
    "lazy": lambda t: long(t).lazy(),
    "other names": lambda t: long(t).rename({"symbol": "Ticker", "timestamp": "Date", "trades": "count"}),
    "mapping": lambda t: {s: pl.DataFrame(part) for s, part in t.items()},
    "wide": lambda t: wide(t, lambda field, symbol: f"{field}_{symbol}"),
    "wide, symbol first": lambda t: wide(t, lambda field, symbol: f"{symbol}.{field}"),
    "pandas": lambda t: to_pandas(long(t)),
    "pandas, time as index": lambda t: to_pandas(long(t)).set_index("timestamp"),
    "pandas, index without a name": lambda t: to_pandas(long(t)).set_index("timestamp").rename_axis(None),
    "pandas, two levels": lambda t: to_pandas(long(t)).set_index(["symbol", "timestamp"]),
    "pandas, categories": lambda t: to_pandas(long(t)).astype({"symbol": "category"}),
    "pandas, another zone": lambda t: to_pandas(long(t)).assign(
        timestamp=lambda f: f["timestamp"].dt.tz_convert("Asia/Tokyo")
    ),
    "pandas, pairs of names": lambda t: to_pandas(long(t)).pivot(index="timestamp", columns="symbol").rename_axis(None),
    "pandas mapping": lambda t: {s: to_pandas(pl.DataFrame(part)).set_index("timestamp") for s, part in t.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_bars_of_files(tables, expected, form):
    panel = Panel.from_frame(FORMS[form](tables), align="union")
    assert panel.symbols == SYMBOLS and panel.fingerprint() == expected.fingerprint()


def test_one_symbol(tables, expected):
    for frame in (pl.DataFrame(tables["BTC"]), to_pandas(pl.DataFrame(tables["BTC"])).set_index("timestamp")):
        panel = Panel.from_frame(frame, symbol="BTC")
        assert panel.symbols == ("BTC",)
        np.testing.assert_array_equal(panel.bars.close[:, 0], expected.bars.close[:8, 0])


def test_dates_and_times_of_day_in_two_columns(tables, expected):
    made = to_pandas(long(tables))
    dates, clock = made["timestamp"].dt.tz_localize(None).dt.normalize(), made["timestamp"].dt.strftime("%H:%M")
    frames = [
        made.drop(columns="timestamp").assign(Date=dates, Time=clock),
        wide(tables, lambda field, symbol: f"{field}_{symbol}")
        .with_columns(Date=pl.from_epoch("timestamp").dt.date(), Time=pl.from_epoch("timestamp").dt.time())
        .drop("timestamp"),
    ]
    for frame in frames:
        assert Panel.from_frame(frame, align="union").fingerprint() == expected.fingerprint()


def test_to_frame_and_back(expected):
    frame = expected.to_frame()
    assert frame.columns == ["timestamp", "symbol", *bars_columns()] and len(frame) == expected.bars.ok.sum()
    assert Panel.from_frame(frame, align="union").fingerprint() == expected.fingerprint()


def bars_columns() -> list[str]:
    return [c for c in columns() if c != "timestamp"]


def test_options_are_those_of_files(tmp_path):
    table = rows(columns(), [0, 1, 3, 4]) | {"timestamp": [f"01/02/2024 00:0{i}" for i in (0, 1, 3, 4)]}
    path = write(tmp_path / "A.csv", table)
    options = {"stamp": "close", "empty_bars": "flat", "date_format": "%d/%m/%Y %H:%M"}
    panel = Panel.from_frame(pl.DataFrame(table), "A", **options)
    assert panel.fingerprint() == bars.read(path, **options).fingerprint()


def test_bars_that_have_not_closed_are_left_out():
    panel = Panel.from_frame(pl.DataFrame(columns()), "A", now=(START + 60 * 6 + 30) * 10**9)
    assert len(panel.times) == 6 and panel.source.endswith("have not closed yet: 2)")


class TestErrors:
    def test_a_row(self):
        frame = pl.DataFrame(spoilt("high", 4, 1.0))
        with pytest.raises(DataError, match=r"frame of A, row 4 \(2024-01-01T00:04:00\): high is below low"):
            Panel.from_frame(frame, "A")

    def test_rows_in_no_order(self):
        with pytest.raises(DataError, match="frame of A, row 3 .* not sorted; sort the rows by time"):
            Panel.from_frame(pl.DataFrame(rows(columns(), [0, 1, 3, 2, 4])), "A")

    def test_a_missing_column(self):
        with pytest.raises(DataError, match="frame of A: no column volume"):
            Panel.from_frame(pl.DataFrame(columns()).drop("volume"), "A")

    def test_no_time(self):
        with pytest.raises(DataError, match="frame of A: no column timestamp"):
            Panel.from_frame(pd.DataFrame(columns()).drop(columns="timestamp"), "A")

    @pytest.mark.parametrize("value", [[1.0, 2.0], np.ones((3, 3)), "BTC.csv", pl.Series([1.0]), None])
    def test_what_is_not_a_frame(self, value):
        with pytest.raises(DataError, match="expected a pandas or polars frame of bars, or a mapping"):
            Panel.from_frame(value)

    def test_columns_of_something_else(self):
        with pytest.raises(DataError, match=r"no column close, and none for a symbol \(columns are timestamp, x\)"):
            Panel.from_frame(pl.DataFrame({"timestamp": [START], "x": [1.0]}))

    def test_a_mapping_of_frames_of_several_symbols(self, tables):
        with pytest.raises(DataError, match="the frame of BTC has several symbols: BTC, ETH"):
            Panel.from_frame({"BTC": long(tables)})


def test_repr_is_short(expected):
    assert repr(expected) == "Panel(9 bars of 1m x BTC, ETH, 2024-01-01T00:00 to 2024-01-01T00:08, 77.78% ok)"
    many = Panel.from_frame({f"S{i}": pl.DataFrame(columns()) for i in range(200)})
    assert repr(many).startswith("Panel(8 bars of 1m x 200 symbols (S0, S1, S2, S3, ...), 2024")
