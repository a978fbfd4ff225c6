from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from fxtrade.core.config import RunConfig
from fxtrade.core.errors import CheckpointError, ConfigError, FxtradeError
from fxtrade.core.registry import to_dict
from fxtrade.runs import run_dir

CONFIG = RunConfig(name="me", features={"log_return": {"horizons": (1, 2)}})


class TestFolder:
    def test_it_holds_the_config(self, tmp_path):
        folder = run_dir.create(tmp_path / "results", CONFIG, "first")
        assert folder == tmp_path / "results" / "first"
        assert run_dir.load_config(folder) == CONFIG

    def test_without_a_name_it_has_the_config_s_and_the_time(self, tmp_path):
        assert re.fullmatch(r"me-\d{8}-\d{6}", run_dir.create(tmp_path, CONFIG).name)

    def test_a_run_is_never_overwritten(self, tmp_path):
        folder = run_dir.create(tmp_path, CONFIG, "first")
        with pytest.raises(FxtradeError, match=f"{folder} holds a run already; resume it with --resume {folder}"):
            run_dir.create(tmp_path, CONFIG, "first")

    @pytest.mark.parametrize("name", ["a/b", "../a", "/a", ".", ".."])
    def test_it_lies_in_the_results_beside_its_ledger(self, tmp_path, name):
        with pytest.raises(ConfigError, match="must be a plain name; choose the folder around it with --results"):
            run_dir.create(tmp_path, CONFIG, name)

    def test_default_names_never_collide(self, tmp_path, monkeypatch):
        monkeypatch.setattr(run_dir, "timestamp", lambda: "20250101-000000")
        made = [run_dir.create(tmp_path, CONFIG).name for _ in range(3)]
        assert made == ["me-20250101-000000", "me-20250101-000000-2", "me-20250101-000000-3"]

    @pytest.mark.parametrize("name", ["", "same"])
    def test_processes_side_by_side_have_folders_of_their_own(self, tmp_path, name):
        code = (
            "import sys; from pathlib import Path; from fxtrade.core.config import RunConfig\n"
            "from fxtrade.core.errors import FxtradeError; from fxtrade.runs import run_dir\n"
            "for i in range(30):\n"
            "    results = Path(sys.argv[1]) / (str(i) if sys.argv[2] else 'all')\n"
            "    try: print(run_dir.create(results, RunConfig(), sys.argv[2]))\n"
            "    except FxtradeError as e: assert 'holds a run already' in str(e), e"
        )
        command = [sys.executable, "-c", code, str(tmp_path), name]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        made = [line for process in both for line in process.communicate()[0].splitlines()]
        assert [process.returncode for process in both] == [0, 0]
        assert len(made) == len(set(made)) == (30 if name else 60)

    def test_a_folder_that_a_killed_run_left_without_config_is_used(self, tmp_path):
        (tmp_path / "first").mkdir()
        assert run_dir.create(tmp_path, CONFIG, "first") == tmp_path / "first"

    @pytest.mark.parametrize("name", ["lr[1]", "a*", "a**b", "what?", "a\\b", "gs:"])
    def test_names_that_orbax_takes_for_patterns(self, tmp_path, name):
        for results, run in ((tmp_path, name), (tmp_path / name / "results", "run")):
            with pytest.raises(CheckpointError, match="checkpoints cannot be read in a folder whose path has"):
                run_dir.create(results, CONFIG, run)
        assert list(tmp_path.iterdir()) == []

    def test_names_that_are_too_long(self, tmp_path):
        with pytest.raises(ConfigError, match="--run x+... has more than 200 bytes"):
            run_dir.create(tmp_path, CONFIG, "x" * 300)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "results").write_text("in the way")
        with pytest.raises(FxtradeError, match="cannot be written: .*; choose another place with --results"):
            run_dir.create(tmp_path / "results", CONFIG, "first")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b'{"train": {"stepz": 1}}', b"[]", b"{}"])
def test_a_config_that_is_damaged_or_of_another_version(tmp_path, content):
    (tmp_path / run_dir.CONFIG).write_bytes(content)
    with pytest.raises(ConfigError) as e:
        run_dir.load_config(tmp_path)
    assert "\n" not in str(e.value) and str(tmp_path / run_dir.CONFIG) in str(e.value)


def test_the_config_file_is_the_whole_config(tmp_path):
    folder = run_dir.create(tmp_path, CONFIG, "a")
    assert json.loads((folder / run_dir.CONFIG).read_text()) == json.loads(json.dumps(to_dict(CONFIG)))
