"""docs/features.md lists every feature."""

from __future__ import annotations

import re
from pathlib import Path

from fxtrade import features
from tests.helpers.markets import bars

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def test_every_feature_with_its_file_and_number_of_columns():
    rows = re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(\S+\) \| (\d+) \|", PAGE.read_text(), re.M)
    listed = {name: (file, int(count)) for name, file, count in rows}
    market = bars(3, 4)
    expected = {
        name: (feature.function.__module__.split(".")[-1], len(features.names({name: {}}, market)))
        for name, feature in features.FEATURES.items()
    }
    assert listed == expected
