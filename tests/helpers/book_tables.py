"""Order books and trades as files hold them, for tests."""

from __future__ import annotations

import numpy as np

from tests.helpers.bar_files import START, replaced


def snapshots(ms, mids, levels: int = 2, spread: float = 2.0, stamp: str = "transact_timestamp") -> dict[str, list]:
    """One row an update: at START + `ms`, level i is i prices away from the best, sizes tell row, side and level."""
    mids, at = np.asarray(mids, float), np.arange(len(mids))
    table = {stamp: START * 1000 + np.asarray(ms)}
    for side, sign, offset in (("bid", -1, 0.0), ("ask", 1, 0.5)):
        for i in range(levels):
            table[f"{side}_price_{i}"] = mids + sign * (spread / 2 + i)
            table[f"{side}_size_{i}"] = at + 1 + offset + i / 8
    return {k: v.tolist() for k, v in table.items()}


def trades(ms, prices, sizes, sides, stamp: str = "transact_timestamp") -> dict[str, list]:
    return {stamp: [START * 1000 + t for t in ms], "price": prices, "size": sizes, "side": sides}


def spoilt(column: str, row: int, value, table: dict | None = None) -> dict[str, list]:
    """Five snapshots (or another table) with one value replaced."""
    return replaced(table or snapshots([0, 1000, 2000, 3000, 4000], [100, 101, 102, 101, 100]), column, row, value)
