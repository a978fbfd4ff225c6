from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.bar_files import columns, rows, write


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """Two symbols, one listed later, with gaps at different times and without order flow."""
    folder = tmp_path_factory.mktemp("gappy")
    table = {k: v for k, v in columns(n=1_000, step=3_600).items() if k != "taker_buy_base"}
    late = {k: v for k, v in columns(n=1_000, step=3_600, seed=1).items() if k != "taker_buy_base"}
    write(folder / "A.parquet", rows(table, np.setdiff1d(np.arange(1_000), np.arange(70, 1_000, 130))))
    write(folder / "B.csv", rows(late, np.setdiff1d(np.arange(200, 950), np.arange(500, 540))))
    return folder
