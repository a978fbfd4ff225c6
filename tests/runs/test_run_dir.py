from __future__ import annotations

import json
import re

import pytest

from fxtrade.core.config import RunConfig
from fxtrade.core.errors import ConfigError, FxtradeError
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

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "results").write_text("in the way")
        with pytest.raises(FxtradeError, match="cannot be written: .*; choose another place with --results"):
            run_dir.create(tmp_path / "results", CONFIG, "first")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b'{"train": {"stepz": 1}}', b"[]", b"{}"])
def test_a_config_that_is_damaged_or_of_another_version(tmp_path, content):
    (tmp_path / run_dir.CONFIG).write_bytes(content)
    with pytest.raises(ConfigError) as e:
        run_dir.load_config(tmp_path)
    assert "\n" not in str(e.value)


def test_the_config_file_is_the_whole_config(tmp_path):
    folder = run_dir.create(tmp_path, CONFIG, "a")
    assert json.loads((folder / run_dir.CONFIG).read_text()) == json.loads(json.dumps(to_dict(CONFIG)))
