from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a tiny run that nothing disturbed; not to be changed."""
    return tiny.carry_out(tmp_path_factory.mktemp("results"), "finished")


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of it, alone in its results folder with its ledger."""
    shutil.copytree(finished.parent, tmp_path / "results")
    return tmp_path / "results" / finished.name
