from __future__ import annotations

import pytest

from fxtrade.comparison import cell, grid, run
from fxtrade.pipeline import dataset
from tests.helpers import tiny_comparison


@pytest.fixture(scope="session")
def tiny_setting() -> cell.Setting:
    """That of the tiny comparison."""
    own = grid.market_config(tiny_comparison.config(), "sim")
    return cell.make_setting("key", "sim", own, dataset.load(own.data), 128)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a comparison that nothing disturbed; not to be changed."""
    return tiny_comparison.run_tiny(tmp_path_factory.mktemp("results"))


@pytest.fixture
def trained(monkeypatch):
    """Names of the cells that have been trained since."""
    names, original = [], run.run_cell

    def count(cell, *rest):
        names.append((cell.model, cell.recipe))
        return original(cell, *rest)

    monkeypatch.setattr(run, "run_cell", count)
    return names
