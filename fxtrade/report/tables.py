"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """A table; the columns `words` stand to the left, all others hold numbers and stand to the right."""
    return "\n".join(_line(cells) for cells in (header, _rules(len(header), words), *rows))


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table without header: names and what they are."""
    return grid(["", ""], rows, (0, 1))


def _rules(columns: int, words: Sequence[int]) -> list[str]:
    return ["---" if i in words else "---:" for i in range(columns)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
