from __future__ import annotations

import contextlib
import dataclasses
import json

import numpy as np
import pytest

from fxtrade.comparison.store import CELLS, CHECKSUM, PLAN, CellStore, Plan, SettingResult, earlier_starts, lock
from fxtrade.core.errors import FxtradeError
from fxtrade.evaluate.accuracy import DailySums
from tests.helpers import comparison_sample, report_sample, tiny_comparison

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


def test_every_command_of_a_comparison_is_kept(tmp_path):
    assert earlier_starts(tmp_path) == ()
    Plan(tiny_comparison.config(), {}, (), report_sample.ENVIRONMENT).write(tmp_path / PLAN)
    (start,) = earlier_starts(tmp_path)
    assert start.command == report_sample.ENVIRONMENT.command
    again = dataclasses.replace(report_sample.ENVIRONMENT, earlier=(start,))
    Plan(tiny_comparison.config(), {}, (), again).write(tmp_path / PLAN)
    assert earlier_starts(tmp_path) == (start, start)


@pytest.mark.parametrize("other, allowed", [((1, 2), False), ((2, 2), True), ((1, 1), False), ((2, 3), False)])
def test_processes_share_a_folder_if_their_cells_differ(tmp_path, other, allowed):
    folder = tmp_path / "comparison"
    with lock(folder, (3, 4)), lock(folder, (1, 4)):  # files of an earlier division, which no process holds
        pass
    with lock(folder, (1, 2)):
        refused = pytest.raises(
            FxtradeError, match=r"another process computes cells of shard \d/\d; wait until it ends"
        )
        with contextlib.nullcontext() if allowed else refused, lock(folder, other):
            pass
        with lock(folder, (2, 2)):  # one that was refused holds nothing
            pass
    with lock(folder, other):
        pass


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert CellStore(tmp_path / "none").results == {}


def test_a_line_cut_short_does_not_count_and_the_next_takes_its_place(store):
    path = store.folder / CELLS
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"result": {"hash": "x"')
    again = CellStore(store.folder)
    assert list(again.results) == ["h"] and path.read_bytes() != whole
    again.add(dataclasses.replace(RESULT, hash="i"), SUMS)
    assert path.read_bytes().startswith(whole + b'{"result"')
    assert list(CellStore(store.folder).results) == ["h", "i"]


def test_a_cell_without_a_checksum_counts(store):
    """Earlier versions wrote none."""
    path = store.folder / CELLS
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != CHECKSUM}) + "\n" for row in rows))
    again = CellStore(store.folder)
    assert repr(again.results) == repr(store.results) and repr(again.settings) == repr(store.settings)


def flipped(content: bytes) -> bytes:
    made = bytearray(content)
    made[len(made) // 2] ^= 1
    return bytes(made)


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "flipped": flipped,
    "garbled": lambda content: np.random.default_rng(0).bytes(len(content)),
}


class TestDamage:
    """A cell whose line or sums are damaged is not done; the others are."""

    @pytest.mark.parametrize(
        "line",
        [
            *(b"", b"{", b"[]", b"3", b"{}", b"null", b"\xff\xfe"),
            *(b'{"result": {"hash": "x"}}', b'{"setting": 3}', b'{"a": 1, "b": 2}'),
        ],
    )
    def test_of_a_line(self, store, line):
        path = store.folder / CELLS
        path.write_bytes(line + b"\n" + path.read_bytes())
        again = CellStore(store.folder)
        assert list(again.results) == ["h"] and list(again.settings) == ["s"]

    @pytest.mark.parametrize("how", DAMAGE)
    def test_of_the_line_of_a_cell(self, store, how):
        path = store.folder / CELLS
        cell, setting = path.read_bytes().splitlines()
        path.write_bytes(DAMAGE[how](cell).replace(b"\n", b"") + b"\n" + setting + b"\n")
        again = CellStore(store.folder)
        assert again.results == {} and list(again.settings) == ["s"]

    @pytest.mark.parametrize("how", [*DAMAGE, "deleted"])
    def test_of_sums(self, store, how):
        (path,) = (store.folder / "sums").iterdir()
        if how == "deleted":
            path.unlink()
        else:
            path.write_bytes(DAMAGE[how](path.read_bytes()))
        assert CellStore(store.folder).results == {}
        with pytest.raises(FxtradeError, match=r"sums/h\.npz cannot be read .*; start the comparison again"):
            store.sums(RESULT)

    def test_of_a_baseline(self, store):
        """Its setting is not done either, so that the baselines are computed again."""
        baseline = dataclasses.replace(RESULT, hash="b", setting="t", recipe="")
        store.add(baseline, SUMS)
        store.add_setting(dataclasses.replace(store.settings["s"], hash="t", baselines=1))
        assert set(CellStore(store.folder).settings) == {"s", "t"}
        (store.folder / "sums" / "b.npz").write_bytes(b"")
        assert set(CellStore(store.folder).settings) == {"s"}

    def test_a_failed_cell_has_no_sums(self, store):
        store.add(dataclasses.replace(RESULT, hash="f", error="not finite"))
        assert set(CellStore(store.folder).results) == {"h", "f"}
