from __future__ import annotations

import pytest

from fxtrade.train import checksum


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"1" * 100)
    (tmp_path / "a" / "b" / "two").write_bytes(b"")
    (tmp_path / "top").write_text("files beside the folders do not count")
    checksum.write(tmp_path)
    return tmp_path


def test_nothing_changed(folder):
    (folder / "top").write_text("!")
    assert checksum.damaged(folder) == []


def test_without_checksums_nothing_is_known(folder):
    (folder / checksum.NAME).unlink()
    (folder / "a" / "one").write_bytes(b"")
    assert checksum.damaged(folder) == []


def test_changed_missing_and_new_files_are_named(folder):
    (folder / "a" / "one").write_bytes(b"1" * 99 + b"2")
    (folder / "a" / "b" / "two").unlink()
    (folder / "a" / "b" / "three").write_text("3")
    assert checksum.damaged(folder) == ["a/b/three", "a/b/two", "a/one"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe"])
def test_checksums_that_are_damaged_themselves(folder, content):
    (folder / checksum.NAME).write_bytes(content)
    assert checksum.damaged(folder) == [checksum.NAME]
