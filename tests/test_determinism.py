"""What decides or simulates reads no wall clock and draws no number without a seed, so that live equals backtest."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "fxtrade"
PACKAGES = (
    "backtest", "core", "ensemble", "features", "labels", "losses", "market", "metrics", "models", "risk", "validate",
)  # fmt: skip
FILES = [
    *(f for p in PACKAGES for f in sorted((ROOT / p).glob("*.py"))),
    ROOT / "data" / "synth.py",
    ROOT / "bundle.py",
]
CLOCKS_AND_GENERATORS = {"time", "random", "secrets", "uuid"}


def findings(source: str) -> list[str]:
    """Return each use of the clock and of a generator without a seed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names} & CLOCKS_AND_GENERATORS
            found += [f"line {node.lineno}: import {name}" for name in names]
        elif isinstance(node, ast.ImportFrom) and node.module in CLOCKS_AND_GENERATORS:
            found.append(f"line {node.lineno}: from {node.module} import")
        elif isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            unseeded = call.endswith("default_rng") and not node.args and not node.keywords
            legacy = call.startswith("np.random.") and not call.startswith("np.random.default_rng")
            if unseeded or legacy or call.endswith((".now", ".utcnow", ".today")):
                found.append(f"line {node.lineno}: {call}()")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_no_clock_and_no_generator_without_a_seed(file):
    assert findings(file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import choice",
        "x = np.random.default_rng()",
        "x = np.random.normal(3)",
        "t = datetime.now(UTC)",
    ],
)
def test_each_kind_is_found(source):
    assert findings(source)


def test_seeded_generators_are_allowed():
    assert findings("import numpy as np\nx = np.random.default_rng(seed).normal(3)\ny = jax.random.normal(key)") == []
