"""Rules of the architecture that can be checked automatically."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_packages_import_only_from_lower_layers(monkeypatch):
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_every_folder_is_a_package():
    folders = [d for d in (ROOT / "fxtrade").iterdir() if d.is_dir() and d.name != "__pycache__"]
    assert not [d for d in folders if not (d / "__init__.py").exists()]


def test_every_module_has_a_line_in_the_documentation():
    text = (ROOT / "docs/architecture.md").read_text().partition("## Modules")[2].partition("## The route")[0]
    listed, package = set(), ""
    for line in text.splitlines():
        if line.endswith("/"):
            package = line
        elif name := re.match(r"( *)(\w+\.py) +\S", line):
            listed.add(f"{package if name[1] else ''}{name[2]}")
    files = (ROOT / "fxtrade").rglob("*.py")
    modules = {path.relative_to(ROOT / "fxtrade").as_posix() for path in files if path.name != "__init__.py"}
    assert listed == modules, "docs/architecture.md, section Modules: add or delete these lines"


@pytest.mark.parametrize("path", sorted((ROOT / "fxtrade").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_has_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_scripts_only_parse_and_call():
    for path in (ROOT / "scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, f"{path.name} contains logic; move it into a package"


def test_importing_fxtrade_leaves_jax_as_it_was():
    """Other JAX code of the same process keeps its settings."""
    import subprocess
    import sys

    code = (
        "import jax; before = dict(jax.config.values)\n"
        "import fxtrade.experiment.run, fxtrade.backtest.engine\n"
        "changed = {k for k, v in jax.config.values.items() if before.get(k) != v and k in before}\n"
        "assert not changed, changed"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
