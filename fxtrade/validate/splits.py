"""Which rows may be trained on, which choose and which judge."""

from __future__ import annotations

import numpy as np

from fxtrade.core.errors import DataError
from fxtrade.core.types import Split


def by_time(present: np.ndarray, end: np.ndarray, valid: float, test: float, embargo: int = 0) -> Split:
    """Training, validation and test spans one after the other, purged.

    A row of an earlier span is dropped where its label looks into a later one, or into the `embargo` rows before it:
    `end` comes before both. Features look back only, so later spans need no purge.

    Args:
        present: `[N]` bool, rows that have data; shares are counted in these, so that gaps do not move the borders.
        end: `[N]` last row that the label of each row looks at.
        valid, test: shares of the rows; training gets the rest.

    Raises:
        DataError: a span is empty.
    """
    rows = np.arange(len(present))
    data = np.flatnonzero(present)
    borders = [int(round(len(data) * share)) for share in (1 - valid - test, 1 - test)]
    if not 0 < borders[0] < borders[1] < len(data):
        raise DataError(f"{len(data)} bars cannot be split into training, {valid:.0%} validation and {test:.0%} test")
    first_valid, first_test = (int(data[b]) for b in borders)

    def span(start: int, stop: int | None) -> np.ndarray:
        inside = rows >= start
        if stop is not None:
            inside &= end < stop - embargo
        return inside & present

    split = Split(span(0, first_valid), span(first_valid, first_test), span(first_test, None))
    for name in ("train", "valid", "test"):
        if not getattr(split, name).any():
            advice = "use more data, a shorter horizon or a smaller embargo"
            raise DataError(f"the {name} span is empty after purging; {advice}")
    return split


def folds(train: np.ndarray, end: np.ndarray, count: int, embargo: int = 0) -> np.ndarray:
    """Training rows `[count, N]` of each of `count` members: all but one block of time, another for each.

    Blocks have equally many training rows. Rows before a block are dropped, too, where their label looks into it, and
    the `embargo` rows after it.

    Raises:
        DataError: there are fewer training rows than blocks.
    """
    rows, inside = np.arange(len(train)), np.flatnonzero(train)
    if len(inside) < count:
        raise DataError(
            f"{len(inside)} training rows cannot be split into {count} folds (train.ensemble.size); use more data"
        )
    kept = np.empty((count, len(train)), bool)
    for i, block in enumerate(np.array_split(inside, count)):
        first, last = block[0], block[-1]
        kept[i] = train & ((end < first) | (rows > last + embargo))
    return kept
