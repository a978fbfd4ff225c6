"""The table of conventions in docs/metrics.md."""

import importlib
import re
from pathlib import Path

import pytest

from tests.metrics.test_series import ALL

PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(\.\./fxtrade/metrics/(\w+)\.py\) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "label", "module"), ROWS)
def test_every_row_names_a_function(name, label, module):
    assert label == module and callable(getattr(importlib.import_module(f"fxtrade.metrics.{module}"), name))


def test_every_metric_has_a_row():
    assert set(ALL) <= {name for name, _, _ in ROWS}
