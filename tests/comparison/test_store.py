from __future__ import annotations

import numpy as np
import pytest

from fxtrade.comparison.store import CELLS, CellStore, SettingResult
from fxtrade.core.errors import FxtradeError
from fxtrade.evaluate.accuracy import DailySums
from tests.helpers import comparison_sample, report_sample

RESULT = comparison_sample.result("tcn", "focal", 0.52)
SUMS = DailySums(np.ones((2, 4, 3), np.int32), np.full((2, 4, 3), 2, np.int32))


@pytest.fixture
def store(tmp_path) -> CellStore:
    made = CellStore(tmp_path / "comparison")
    made.add(RESULT, SUMS)
    made.add_setting(SettingResult("s", "m", report_sample.data(), comparison_sample.LABELS, (1.0, 0.1)))
    return made


def test_results_and_settings_come_back(store):
    again = CellStore(store.folder)
    assert repr(again.results) == repr({"h": RESULT}) and repr(again.settings) == repr(store.settings)
    sums = again.sums(RESULT)
    np.testing.assert_array_equal(sums.correct, SUMS.correct)
    assert sums.log_loss is None
    assert not list(store.folder.rglob("*.part"))


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert CellStore(tmp_path / "none").results == {}


def test_a_line_cut_short_does_not_count_and_is_taken_out(store):
    path = store.folder / CELLS
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"result": {"hash": "x"')
    again = CellStore(store.folder)
    assert list(again.results) == ["h"]
    again.repair()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"result": {"hash": "x"}}', '{"setting": 3}', '{"a": 1, "b": 2}'])
def test_a_damaged_line_is_named(store, line):
    path = store.folder / CELLS
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(FxtradeError, match=f"{path}, line 1 is damaged; delete it to recompute its cell"):
        CellStore(store.folder)


def test_sums_that_are_gone(store):
    next((store.folder / "sums").iterdir()).unlink()
    with pytest.raises(FxtradeError, match=r"sums/h\.npz cannot be read .*; delete cells.jsonl"):
        store.sums(RESULT)
