"""docs/rules.md lists every rule."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from fxtrade.risk import RULES

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def test_every_rule_with_its_file_and_the_defaults_of_its_options():
    rows = re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(\S+\) \|([^|]*)\| [^|]+ \|$", PAGE.read_text(), re.M)
    listed = {name: (file, re.findall(r"`([^`]+)`", options)) for name, file, options in rows}
    expected = {
        name: (
            rule.__module__.split(".")[-1],
            [f"{p.name}={p.default}" for p in inspect.signature(rule).parameters.values()],
        )
        for name, rule in RULES.items()
    }
    assert listed == expected
