"""Numbers with their nouns, in messages and reports."""

from __future__ import annotations


def plural(number: int, noun: str, many: str = "") -> str:
    """Return a number with its noun: "1 bar", "1,200 bars"; `many` is the plural where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def between(blocks: int) -> str:
    """Return what follows the first and the last time of a span of so many blocks: ", 8 blocks between", "" for one."""
    return "" if blocks == 1 else f", {plural(blocks, 'block')} between"
