from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import files
from fxtrade.core.errors import FxtradeError, first_line
from fxtrade.core.files import (
    append_line,
    atomic_path,
    check_writable,
    expand_home,
    read_lines,
    to_jsonable,
    write_atomic,
    write_json,
    write_new,
)
from tests.full_disk import largest_file


class TestAtomic:
    @pytest.mark.parametrize("content", ["é\n", b"\x00\xff", ""])
    def test_content_is_replaced_in_a_folder_that_need_not_exist(self, tmp_path, content):
        path = tmp_path / "new" / "a.txt"
        for _ in range(2):
            write_atomic(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
        assert os.listdir(path.parent) == ["a.txt"]

    def test_an_error_leaves_the_old_content_and_nothing_else(self, tmp_path):
        path = tmp_path / "a.json"
        write_json(path, {"x": 1})
        with pytest.raises(TypeError):
            write_json(path, {"x": object()})
        with pytest.raises(FxtradeError, match="File too large"), largest_file(100):
            write_json(path, {"x": "1" * 1000})
        with pytest.raises(KeyboardInterrupt), atomic_path(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt
        assert json.loads(path.read_text()) == {"x": 1} and os.listdir(tmp_path) == ["a.json"]

    def test_what_a_killed_process_left_is_deleted_and_what_a_running_one_writes_is_not(self, tmp_path):
        path = tmp_path / "a[1].txt"
        code = (
            "import os, signal, sys; from pathlib import Path; from fxtrade.core.files import atomic_path\n"
            "with atomic_path(Path(sys.argv[1])) as part: part.touch(); os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)
        assert len(os.listdir(tmp_path)) == 1
        running = tmp_path / f"a[1].txt.{os.getppid()}.part"
        running.touch()
        write_atomic(path, "new")
        assert set(os.listdir(tmp_path)) == {path.name, running.name}

    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="Not a directory"):
            write_atomic(tmp_path / "file" / "a", "")


class TestAppend:
    def test_lines_of_processes_side_by_side_stay_whole(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from fxtrade.core.files import append_line\n"
            "for i in range(200): append_line(Path(sys.argv[1]), {'who': sys.argv[2], 'i': i, 'text': 'x' * 500})"
        )
        path = tmp_path / "lines.jsonl"
        both = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
        assert [process.wait() for process in both] == [0, 0]
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert all([r["i"] for r in rows if r["who"] == who] == list(range(200)) for who in "ab")

    def test_a_full_disk_is_an_error_and_leaves_whole_lines(self, tmp_path):
        path = tmp_path / "lines.jsonl"
        with pytest.raises(OSError, match="File too large"), largest_file(100):
            for i in range(100):
                append_line(path, {"i": i})
        kept = path.read_text()
        assert 90 < len(kept) <= 100 and kept.endswith("}\n")
        append_line(path, {"next": 1})
        assert path.read_text() == kept + '{"next": 1}\n'

    def test_an_interrupt_leaves_whole_lines(self, tmp_path, monkeypatch):
        path = tmp_path / "lines.jsonl"
        append_line(path, {"i": 0})
        opened = open

        class Interrupted(io.FileIO):
            def write(self, line):
                super().write(line[:5])
                raise KeyboardInterrupt

        monkeypatch.setattr("builtins.open", lambda path, mode, buffering: Interrupted(path, mode))
        with pytest.raises(KeyboardInterrupt):
            append_line(path, {"i": 1})
        monkeypatch.setattr("builtins.open", opened)
        assert path.read_text() == '{"i": 0}\n'

    @pytest.mark.parametrize("left", [b'{"i": 1', b'{"i": 1}, ', b"{", b"\xff\xfe"])
    def test_what_a_killed_process_left_is_no_line(self, tmp_path, left):
        path = tmp_path / "lines.jsonl"
        path.write_bytes(b'{"i": 0}\n' + left)
        assert read_lines(path) == ([b'{"i": 0}'], left)
        append_line(path, {"i": 2})
        assert path.read_bytes() == b'{"i": 0}\n{"i": 2}\n'

    def test_a_whole_line_without_its_end_counts(self, tmp_path):
        """As an editor leaves it."""
        path = tmp_path / "lines.jsonl"
        path.write_bytes(b'{"i": 0}')
        assert read_lines(path) == ([b'{"i": 0}'], b"")
        append_line(path, {"i": 1})
        assert read_lines(path).whole == [b'{"i": 0}', b'{"i": 1}'] and path.read_bytes().endswith(b"}\n")

    def test_without_a_file_there_are_no_lines(self, tmp_path):
        assert read_lines(tmp_path / "none") == ([], b"")
        (tmp_path / "empty").touch()
        assert read_lines(tmp_path / "empty") == ([], b"")


class TestHold:
    def test_one_holder_at_a_time(self, tmp_path):
        path = tmp_path / "lock"
        with files.hold(path):
            with pytest.raises(BlockingIOError), files.hold(path):
                pass
        with files.hold(path):
            pass

    def test_a_process_that_died_holds_nothing(self, tmp_path):
        code = (
            "import fcntl, os, sys; f = open(sys.argv[1], 'ab'); fcntl.flock(f, fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
        )
        process = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False)
        assert process.returncode == -9 and (tmp_path / "lock").exists()
        with files.hold(tmp_path / "lock"):
            pass

    def test_without_locks_it_does_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "fcntl", None)
        with files.hold(tmp_path / "lock"), files.hold(tmp_path / "lock"):
            pass


class TestNew:
    def test_a_file_is_written_once(self, tmp_path):
        write_new(tmp_path / "new" / "a", "one")
        with pytest.raises(FileExistsError):
            write_new(tmp_path / "new" / "a", "two")
        assert (tmp_path / "new" / "a").read_text() == "one" and os.listdir(tmp_path / "new") == ["a"]

    def test_of_processes_side_by_side_one_succeeds(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from fxtrade.core.files import write_new\n"
            "for i in range(200):\n"
            "    try: write_new(Path(sys.argv[1]) / str(i), sys.argv[2]); print(i)\n"
            "    except FileExistsError: pass"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        both = [subprocess.Popen([*command, who], stdout=subprocess.PIPE, text=True) for who in "ab"]
        written = [process.communicate()[0].split() for process in both]
        assert sorted(map(int, written[0] + written[1])) == list(range(200))
        for who, names in zip("ab", written, strict=True):
            assert all((tmp_path / name).read_text() == who for name in names)

    def test_without_links(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refuse)
        write_new(tmp_path / "a", "one")
        assert (tmp_path / "a").read_text() == "one" and os.listdir(tmp_path) == ["a"]


class TestPlaces:
    def test_a_folder_that_can_be_written(self, tmp_path):
        check_writable(tmp_path)
        check_writable(tmp_path / "new" / "deeper")

    def test_a_folder_that_cannot(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        with pytest.raises(FxtradeError, match="file/new cannot be written: .*that is not a folder; choose another"):
            check_writable(tmp_path / "file" / "new")

        def refuse(**options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
        with pytest.raises(FxtradeError, match="no file can be made there .Permission denied.; choose another place"):
            check_writable(tmp_path / "new")

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which has permissions and takes no file")
    def test_a_folder_whose_permissions_mislead(self):
        with pytest.raises(FxtradeError, match="/proc/new cannot be written: /proc: no file can be made there"):
            check_writable(Path("/proc/new"))

    def test_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert expand_home(Path("~/data")) == tmp_path / "data" and expand_home(Path("x")) == Path("x")
        with pytest.raises(FxtradeError, match="~nobody-of-this-name/x: .*; write the path in full"):
            expand_home(Path("~nobody-of-this-name/x"))


class TestErrors:
    @pytest.mark.parametrize(
        "message, line", [("a\nb", "a"), ("", "ValueError"), ("\n \n b\n", "b"), ("x" * 999, "x" * 300)]
    )
    def test_first_line(self, message, line):
        assert first_line(ValueError(message)) == line


class TestJson:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        )
    )
    def test_anything_becomes_strict_json(self, value):
        text = json.dumps(to_jsonable(value), allow_nan=False)
        assert json.loads(text) == to_jsonable(value)

    def test_numpy_numbers_and_what_is_not_finite(self):
        dirty = {"a": np.float64("nan"), "b": np.float32(0.5), "c": (np.int64(3), np.bool_(True)), "d": float("-inf")}
        assert to_jsonable(dirty) == {"a": None, "b": 0.5, "c": [3, True], "d": None}
