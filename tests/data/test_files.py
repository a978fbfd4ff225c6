"""Forms in which exchanges and programs write tables: all give the same bars, or one clear error."""

from __future__ import annotations

import hashlib
import zipfile
from functools import partial

import numpy as np
import polars as pl
import pytest

from fxtrade.data import bar_table, bars
from fxtrade.data.zips import KLINES
from tests.helpers import bar_files
from tests.helpers.bar_files import START, columns, rows, spoilt, without, write

refused = partial(bar_files.refused, bars.read)


@pytest.fixture
def plain(tmp_path):
    """The panel of the same bars in a plain file."""
    return bars.read(write(tmp_path / "plain" / "A.parquet", columns()))


def same(panel, other) -> None:
    assert panel.fingerprint() == other.fingerprint()


def text_of(table: dict, separator: str = ",") -> str:
    return pl.DataFrame(table).write_csv(separator=separator)


class TestCsv:
    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace(",", ";"),
            lambda text: text.replace(",", "\t"),
            lambda text: "# made by hand\n" + text,
            lambda text: "https://www.example.org\n" + text,
            lambda text: text.replace("\n", "\n# in between\n", 3),
            lambda text: text + "\n\n",
            lambda text: text + "   \n",
            lambda text: text.replace("\n", "\r\n"),
            lambda text: "\ufeff" + text,
            lambda text: text.rstrip("\n"),
            lambda text: text.replace("timestamp,open", "Timestamp, Open"),
        ],
        ids="semicolon tab comment address later_comment blank_lines spaces crlf bom end case".split(),
    )
    def test_forms_that_are_read(self, tmp_path, plain, change):
        (tmp_path / "A.csv").write_text(change(text_of(columns())), newline="")
        same(bars.read(tmp_path / "A.csv"), plain)

    def test_klines_without_a_header(self, tmp_path, plain):
        names = [name if name in columns() else "ignore" for name in KLINES.columns]
        table = columns() | {"ignore": np.zeros(8)}
        lines = zip(*(table[name].tolist() for name in names), strict=True)
        (tmp_path / "A.csv").write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
        same(bars.read(tmp_path / "A.csv"), plain)

    def test_other_files_without_a_header(self, tmp_path):
        (tmp_path / "A.csv").write_text(text_of(columns()).partition("\n")[2])
        refused(tmp_path / "A.csv", "A.csv: there is no header line; write the column names")

    def test_no_columns(self, tmp_path):
        (tmp_path / "A.csv").write_text("one\ntwo\n")
        refused(tmp_path / "A.csv", "no line has columns separated by a comma")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
    def test_text_in_another_encoding(self, tmp_path, encoding):
        (tmp_path / "A.csv").write_bytes(text_of(columns()).encode(encoding))
        refused(tmp_path / "A.csv", "A.csv: ", "UTF-16, not in UTF-8" if encoding == "utf-16" else "not text in UTF-8")

    def test_a_file_of_another_program(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "A.xlsx", "w") as file:
            file.writestr("xl/workbook.xml", text_of(columns()))
        refused(tmp_path / "A.xlsx", "A.xlsx: ", "Parquet files (.parquet) and CSV files in UTF-8 are read")

    @pytest.mark.parametrize("kept", [1, 3, 8])
    def test_a_last_line_that_is_cut_off(self, tmp_path, kept):
        lines = text_of(columns()).splitlines()
        (tmp_path / "A.csv").write_text("\n".join([*lines[:-1], ",".join(lines[-1].split(",")[:kept])]))
        refused(tmp_path / "A.csv", f"the last line has {kept} of 9 columns: the file is cut off")

    def test_a_last_line_without_a_line_end(self, tmp_path):
        """It may be cut within its last number, but many programs write none: the source says so."""
        path = write(tmp_path / "A.csv", columns())
        assert bars.read(path).source == str(path)
        path.write_text(path.read_text()[:-3])
        assert bars.read(path).source == f"{path} (the last line has no line end and may be cut off: A.csv)"
        for symbol in "BCDE":
            (tmp_path / f"{symbol}.csv").write_text(path.read_text())
        assert bars.read(tmp_path).source.endswith("may be cut off: A.csv, B.csv, C.csv and 2 more)")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / "A.csv.CHECKSUM").write_text(f"{digest}  A.csv\n")
        assert bars.read(path).source == str(path)

    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_a_checksum_beside_the_file_is_verified(self, tmp_path, plain, name):
        path = write(tmp_path / name, columns())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        checksum = tmp_path / f"{name}.CHECKSUM"
        checksum.write_text(f"{digest}  {name}\n")
        same(bars.read(path), plain)
        checksum.write_text(f"{'0' * 64}  {name}\n")
        refused(path, name, "does not have the SHA-256", "get the file again")


class TestColumns:
    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    @pytest.mark.parametrize("stamp", ["open_time", "datetime", "date", "Date", "time", "unix"])
    def test_names_of_the_time(self, tmp_path, plain, stamp, suffix):
        table = {stamp: columns()["timestamp"]} | {k: v for k, v in columns().items() if k != "timestamp"}
        same(bars.read(write(tmp_path / f"A{suffix}", table)), plain)

    def test_names_of_futures_and_of_other_programs(self, tmp_path, plain):
        futures = {
            "trades": "count",
            "taker_buy_base": "taker_buy_volume",
            "open": "Open",
            "quote_volume": "Quote Volume",
        }
        same(bars.read(write(tmp_path / "A.csv", {futures.get(k, k): v for k, v in columns().items()})), plain)
        own = {"taker_buy_base": "taker_buy", "trades": "number_of_trades", "quote_volume": "quote_asset_volume"}
        same(bars.read(write(tmp_path / "A.csv", {own.get(k, k): v for k, v in columns().items()})), plain)

    def test_the_standard_name_comes_first(self, tmp_path, plain):
        other = {"date": np.zeros(8), "count": np.full(8, -1.0), "taker_buy": np.full(8, -1.0)}
        same(bars.read(write(tmp_path / "A.csv", other | columns())), plain)

    def test_one_name_twice(self, tmp_path):
        refused(write(tmp_path / "A.csv", columns() | {"Open": np.ones(8)}), "'open' and 'Open' have the same name")

    @pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Decimal(20, 8)])
    def test_numbers_of_any_kind(self, tmp_path, kind):
        table = pl.DataFrame(columns()).with_columns(pl.col("close", "volume").round(6))
        numbers = bars.read(write(tmp_path / "plain" / "A.parquet", table.to_dict()))
        changed = table.with_columns(pl.col("close", "volume").cast(pl.Decimal(20, 8)).cast(pl.String).cast(kind))
        same(bars.read(write(tmp_path / "A.parquet", changed.to_dict())), numbers)

    def test_columns_that_are_not_numbers(self, tmp_path):
        table = pl.DataFrame(columns()).with_columns(pl.concat_list("close", "open").alias("close"))
        refused(write(tmp_path / "A.parquet", table.to_dict()), "A.parquet: column close: expected numbers, found List")

    def test_dates(self, tmp_path):
        daily = pl.DataFrame(columns(step=86_400))
        expected = bars.read(write(tmp_path / "plain" / "A.parquet", daily.to_dict()))
        dates = daily.with_columns(pl.from_epoch("timestamp").cast(pl.Date))
        same(bars.read(write(tmp_path / "A.parquet", dates.to_dict())), expected)
        same(bars.read(write(tmp_path / "A.csv", dates.to_dict())), expected)


class TestRows:
    @pytest.mark.parametrize("name", ["A.csv", "A.parquet"])
    def test_descending_rows(self, tmp_path, plain, name):
        same(bars.read(write(tmp_path / name, rows(columns(), np.arange(8)[::-1]))), plain)

    def test_rows_of_errors_are_those_of_the_file(self, tmp_path):
        table = {k: v[::-1] for k, v in spoilt("high", 2, 1.0).items()}
        refused(write(tmp_path / "A.csv", table), "row 5", "2024-01-01T00:02:00", "high is below low")

    @pytest.mark.parametrize("text", ["01/02/2024", "1.2.2024", "13-02-2024", "1/2/24"])
    def test_dates_that_may_begin_with_the_month(self, tmp_path, text):
        table = columns(step=86_400) | {"timestamp": [text.replace("2/", f"{d}/") for d in range(8)]}
        refused(write(tmp_path / "A.csv", table), "column timestamp: row 0", "data.date_format, such as '%d/%m/%Y")

    @pytest.mark.parametrize(
        "form", ["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%y %H:%M", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %H:%M %z"]
    )
    def test_dates_in_a_given_form(self, tmp_path, form):
        daily = columns(step=86_400)
        expected = bars.read(write(tmp_path / "plain" / "A.parquet", daily))
        text = pl.from_epoch(pl.Series(daily["timestamp"])).dt.replace_time_zone("UTC").dt.strftime(form)
        same(bars.read(write(tmp_path / "A.csv", daily | {"timestamp": text}), date_format=form), expected)
        words = f"A.csv: column timestamp: row 0, '{text[0]}' does not match data.date_format", "codes of strptime"
        for other in ("%Y", "dd/mm/yyyy", "%H:%M"):
            refused(tmp_path / "A.csv", *words, f"'{other}'", date_format=other)
        refused(tmp_path / "A.csv", f"data.date_format = '{form}%H'", "codes of strptime", date_format=f"{form}%H")

    def test_the_first_date_that_is_not_in_the_given_form(self, tmp_path):
        table = columns(n=3, step=86_400) | {"timestamp": ["01/05/2024", "02/05/2024", "3 May"]}
        refused(write(tmp_path / "A.csv", table), "row 2, '3 May' does not match", date_format="%d/%m/%Y")

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    @pytest.mark.parametrize(
        "date, time, form",
        [
            ("%Y-%m-%d", "%H:%M", None),
            ("%Y-%m-%d", "%H:%M:%S", None),
            ("%d/%m/%Y", "%H:%M", "%d/%m/%Y %H:%M"),
            ("%Y%m%d", "%-I:%M %p", "%Y%m%d %I:%M %p"),
        ],
    )
    def test_dates_and_times_of_day_in_two_columns(self, tmp_path, plain, suffix, date, time, form):
        at = pl.from_epoch(pl.Series(columns()["timestamp"]))
        table = {"Date": at.dt.strftime(date), "Time": at.dt.strftime(time)} | without("timestamp")
        same(bars.read(write(tmp_path / f"A{suffix}", table), date_format=form), plain)

    def test_types_of_dates_and_times_of_day(self, tmp_path, plain):
        at = pl.from_epoch(pl.Series(columns()["timestamp"]))
        for day in (at.dt.date(), at.dt.truncate("1d")):
            same(
                bars.read(write(tmp_path / "A.parquet", {"date": day, "time": at.dt.time()} | without("timestamp"))),
                plain,
            )

    def test_a_second_column_of_times(self, tmp_path, plain):
        """Whole times need none of the day."""
        for time in (columns()["timestamp"] * 1000, ["00:00"] * 8):
            same(bars.read(write(tmp_path / "A.csv", columns() | {"time": time})), plain)

    def test_dates_without_the_times_of_day(self, tmp_path):
        table = {"Date": ["2024-01-01"] * 8, "Hour": range(8)} | without("timestamp")
        refused(write(tmp_path / "A.csv", table), "the same time twice", "in a column `time` beside the dates")

    @pytest.mark.parametrize("offset", [0, -1])
    def test_stamps_at_the_close(self, tmp_path, plain, offset):
        """Files are stamped with the close of a bar, or with the last millisecond before it."""
        table = columns() | {"timestamp": (columns()["timestamp"] + 60) * 1000 + offset}
        same(bars.read(write(tmp_path / "A.csv", table), stamp="close"), plain)

    @pytest.mark.parametrize("open_bars", [0, 1, 3])
    def test_bars_that_have_not_closed_are_left_out(self, tmp_path, open_bars):
        path = write(tmp_path / "A.csv", columns())
        panel = bars.read(path, now=(START + 60 * (8 - open_bars)) * 10**9)
        assert len(panel.times) == 8 - open_bars
        assert panel.source.endswith(f"have not closed yet: {open_bars})") == bool(open_bars)
        refused(path, "A.csv", "no bar has closed by now, 2024-01-01T00:00:00", now=START * 10**9)


def test_bars_without_trades(tmp_path):
    """Exchanges that write no bar without trades: the price stays, nothing is traded."""
    kept = [0, 1, 2, 5, 7]
    path = write(tmp_path / "A.csv", rows(columns(), kept))
    gaps, flat = bars.read(path), bars.read(path, empty_bars="flat")
    assert gaps.bars.ok.sum() == 5 and flat.bars.ok.all() and len(flat.times) == 8
    for name in (*bar_table.REQUIRED, *bar_table.FLOW.values()):
        value = getattr(flat.bars, name)[:, 0]
        np.testing.assert_array_equal(value[kept], getattr(gaps.bars, name)[kept, 0])
        last_close = gaps.bars.close[[2, 2, 5], 0]
        np.testing.assert_array_equal(value[[3, 4, 6]], last_close if name in bar_table.PRICES else np.zeros(3))


class TestPaths:
    def test_a_path_is_not_a_pattern(self, tmp_path, plain):
        write(tmp_path / "d1" / "A.csv", columns(seed=1))
        for name in ("A.csv", "A.parquet"):
            same(bars.read(write(tmp_path / "d[1]" / name, columns())), plain)
        write(tmp_path / "d[1]*" / "A[12].parquet", columns())
        assert bars.read(tmp_path / "d[1]*").symbols == ("A[12]",)

    def test_the_home_folder(self, tmp_path, plain, monkeypatch):
        write(tmp_path / "bars" / "A.csv", columns())
        monkeypatch.setenv("HOME", str(tmp_path))
        same(bars.read("~/bars"), plain)

    def test_hidden_files_are_ignored(self, tmp_path, plain):
        write(tmp_path / "A.csv", columns())
        (tmp_path / "._A.csv").write_bytes(b"\0\5\26\7")
        same(bars.read(tmp_path), plain)

    def test_months_and_days_of_a_symbol(self, tmp_path, plain):
        for name, part in (("A-1m-2024-02", [3, 4]), ("A-1m-2024-01", [0, 1, 2]), ("A-1m-2024-03-01", [5, 6, 7])):
            write(tmp_path / f"{name}.csv", rows(columns(), part))
        same(bars.read(tmp_path), plain)
        assert bars.read(tmp_path / "A-1m-2024-01.csv").symbols == ("A",)
        write(tmp_path / "A-1m-2024-04.csv", rows(columns(), [2, 3]))
        refused(tmp_path, "A-1m-2024-01.csv", "A-1m-2024-04.csv", "both have bars at 2024-01-01T00:02:00")

    @pytest.mark.parametrize("other", ["A.parquet", "A-1m-2024-01.csv"])
    def test_two_files_that_are_the_whole_of_a_symbol(self, tmp_path, other):
        write(tmp_path / "A.csv", columns())
        write(tmp_path / other, columns())
        refused(tmp_path, "A.csv", other, "are both A; keep one of them")
