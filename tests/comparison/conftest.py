from __future__ import annotations

import pytest

from fxtrade.comparison import cell, grid
from fxtrade.pipeline import dataset
from tests.helpers import tiny_comparison


@pytest.fixture(scope="module")
def tiny_setting() -> cell.Setting:
    """That of the tiny comparison."""
    own = grid.market_config(tiny_comparison.config(), "sim")
    return cell.make_setting("key", "sim", own, dataset.load(own.data), 128)
