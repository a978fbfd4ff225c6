from __future__ import annotations

import polars as pl
import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.report import tearsheet
from fxtrade.report.tearsheet_tables import headline, tables
from tests.helpers import tearsheet_sample as sample


@pytest.fixture(scope="module")
def sheet():
    return sample.sheet()


def test_writes_page_document_pictures_and_trades(sheet, tmp_path):
    tearsheet.write(tmp_path, sheet)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    pictures = {f"plots/tearsheet_{x}.png" for x in ("curves", "months", "days", "trades", "profit")}
    assert names == {"tearsheet.html", "tearsheet.md", "trades.parquet", "trades.csv"} | pictures
    text = (tmp_path / "tearsheet.md").read_text()
    assert all(f"]({name})" in text for name in pictures)
    assert len(pl.read_parquet(tmp_path / "trades.parquet")) == len(sheet.trades)


def test_the_document_has_every_table(sheet):
    text = tearsheet.markdown(sheet, ())
    assert text.startswith("# A & <b>\n") and "**Warning:** 2 < 3 positions" in text
    for name, number in headline(sheet):
        assert f"| {name} | {number} |" in text
    for table in tables(sheet):
        assert f"## {table.title}\n" in text
        assert all(f"| {' | '.join(row)} |" in text for row in table.rows)


def test_a_folder_that_cannot_be_written_is_one_clear_error(sheet, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FxtradeError, match="cannot be written"):
        tearsheet.write(tmp_path / "file", sheet)
