"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fxtrade.core.text import plural
from fxtrade.runs.provenance import Environment


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Return a table; the columns `words` are aligned to the left, the others to the right."""
    return "\n".join(_line(cells) for cells in (header, _rules(len(header), words), *rows))


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values without a header."""
    return grid(["", ""], rows, (0, 1))


def machine(e: Environment) -> list[tuple[str, str]]:
    """Return rows of `facts` about the machine and its packages."""
    return [
        ("machine", f"{', '.join(e.devices)} ({e.backend}), {plural(e.cores, 'core')}, Python {e.python}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in e.packages.items())),
    ]


def commands(e: Environment) -> str:
    """Return the commands of a run as a block of code; of a resumed one with time and version of the code."""
    if not e.earlier:
        return code_block([e.command])
    return code_block(line for s in e.starts for line in (f"# {s.started}, {s.code}", s.command))


def code_block(lines: Iterable[str]) -> str:
    return "\n".join(["```", *lines, "```"])


def _rules(columns: int, words: Sequence[int]) -> list[str]:
    return ["---" if i in words else "---:" for i in range(columns)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
