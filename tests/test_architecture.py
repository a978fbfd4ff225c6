"""The house rules that a machine can check."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_rooms_import_only_from_the_floors_below(monkeypatch):
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_every_room_is_a_package():
    rooms = [d for d in (ROOT / "fxtrade").iterdir() if d.is_dir() and d.name != "__pycache__"]
    assert not [d for d in rooms if not (d / "__init__.py").exists()]


@pytest.mark.parametrize("path", sorted((ROOT / "fxtrade").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_scripts_only_parse_and_call():
    for path in (ROOT / "scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, f"{path.name} has grown logic; move it into a room"


def test_importing_fxtrade_leaves_jax_as_it_was():
    """Someone who imports fxtrade beside other JAX code keeps their own settings."""
    import subprocess
    import sys

    code = (
        "import jax; before = dict(jax.config.values)\n"
        "import fxtrade.experiment.run, fxtrade.backtest.engine\n"
        "changed = {k for k, v in jax.config.values.items() if before.get(k) != v and k in before}\n"
        "assert not changed, changed"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
