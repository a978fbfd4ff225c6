"""The code of the README, of the tutorials and of the pages on rules, portfolios and trading runs as it is printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from tests.docs import run_page

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
ALONE = (
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("rules.md", "portfolio.md", "hedging.md", "trading.md")),
)
PAGES = [path for path in (*ALONE, *TUTORIALS) if "```" in path.read_text()]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
OUTPUTS = {"results", "data", "site", "build", "dist"}  # folders at the root that git ignores


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_runs_as_printed_in_a_copy_of_the_repository(page, tmp_path):
    copy = shutil.copytree(ROOT, tmp_path / "fxtrade", ignore=left_out)
    ran = run(page.relative_to(ROOT), copy)
    assert ran.returncode == 0, f"{page.name}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return the files and folders that a clone does not have; packages such as fxtrade/data are kept."""
    return LEFT_OUT(folder, names) | (OUTPUTS.intersection(names) if Path(folder) == ROOT else set())


def test_a_copy_has_all_packages(tmp_path):
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)
    packages = [path.relative_to(ROOT) for path in (ROOT / "fxtrade").glob("*/__init__.py")]
    assert packages and all((copy / path).exists() for path in packages)
    assert not any((copy / name).exists() for name in OUTPUTS)


def run(page: Path, folder: Path) -> subprocess.CompletedProcess:
    """Execute `page` in `folder`, which comes first on the Python path; compiled programs are those of the tests."""
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
    }
    command = [sys.executable, Path(run_page.__file__), page]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


PAGE = """
```python title="made/part.py"
ANSWER = 41
```

```diff title="made/part.py"
-ANSWER = 41
+ANSWER = 42
```

<!-- skip: would fail -->
```sh
false
```

1. In a list:

   ```python
   from made.part import ANSWER

   assert ANSWER == 42
   ```

```sh
python -c "import made.part" | cat
```

```python
print(ANSWER)
```

```text
not run
```
"""


def test_blocks_share_a_namespace_write_files_and_may_be_skipped(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    ran = run(Path("page.md"), tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "42\n"), ran.stderr


@pytest.mark.parametrize(
    "block, message",
    [
        ("```sh\nfalse\n```", "page.md, line 4: a command failed"),
        ("```python\n1 / 0\n```", 'File "page.md", line 4'),
        (
            '```text title="a"\nx\n```\n```diff title="a"\n-y\n+z\n```',
            "line 7: the old lines of the diff occur 0 times",
        ),
    ],
    ids=["command", "python", "diff"],
)
def test_failure_names_page_and_line(block, message, tmp_path):
    (tmp_path / "page.md").write_text(f"# Page\n\n{block}\n")
    ran = run(Path("page.md"), tmp_path)
    assert ran.returncode and message in ran.stderr
