"""Symbols of perpetual contracts that stand beside their coins in one panel.

A perpetual has the symbol of its coin with a suffix: BTCUSDT and BTCUSDT_PERP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SUFFIX = "_PERP"


class Pairs(NamedTuple):
    """Indices of K coins, and of the perpetual on each: the options of the rule `funding_carry`."""

    spot: tuple[int, ...]
    perpetual: tuple[int, ...]


def symbol_of(coin: str) -> str:
    """Return the symbol of the perpetual on a coin."""
    return coin + SUFFIX


def pairs(symbols: Sequence[str]) -> Pairs:
    """Return the coins that stand beside their perpetual; empty without any."""
    found = [(i, symbols.index(symbol_of(s))) for i, s in enumerate(symbols) if symbol_of(s) in symbols]
    return Pairs(tuple(i for i, _ in found), tuple(j for _, j in found))


def funding_files(symbols: Sequence[str]) -> dict[str, str]:
    """Return the symbols that may pay funding, with the name under which their rates are looked for.

    Among symbols with the suffix only those, by the names of their coins; without any, all, by their own names.
    """
    perpetuals = {s: s.removesuffix(SUFFIX) for s in symbols if s.endswith(SUFFIX)}
    return perpetuals or {s: s for s in symbols}
