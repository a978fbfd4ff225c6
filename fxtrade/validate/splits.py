"""Splits of rows into training, validation and test sets.

A split is a mask over rows; nothing may assume that a span is contiguous. To add a scheme, write a function
`f(present, known, *, valid_fraction, test_fraction, embargo, options) -> Split` and one line in `SPLITS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int

from fxtrade.core import registry
from fxtrade.core.config import SplitConfig
from fxtrade.core.errors import DataError
from fxtrade.core.text import plural
from fxtrade.core.types import Array, Split


def build(config: SplitConfig) -> Callable[[Bool[Array, " N"], Int[Array, " N"]], Split]:
    """Return the scheme of a config. Raises ConfigError for an unknown scheme or option."""
    shared = {key: getattr(config, key) for key in ("valid_fraction", "test_fraction", "embargo")}
    return registry.build(SPLITS, config.name, config.options, "split", "config.split", **shared)


def by_time(
    present: Bool[Array, " N"],
    known: Int[Array, " N"],
    *,
    valid_fraction: float,
    test_fraction: float,
    embargo: int = 0,
) -> Split:
    """Return training, validation and test spans one after the other, purged.

    A row of an earlier span is dropped where its label or the weight of its label depends on a later one, or on the
    `embargo` rows before it: `known` comes before both. Features look back only, so later spans need no purge.

    Args:
        present: rows that have data; fractions are counted in these, so that gaps do not move the borders.
        known: last row that labels and weights of each row depend on (`labels.weights.known_at`).
        valid_fraction, test_fraction: of the rows; training gets the rest.

    Raises:
        DataError: a span is empty.
    """
    rows = np.arange(len(present))
    data = np.flatnonzero(present)
    borders = [int(round(len(data) * share)) for share in (1 - valid_fraction - test_fraction, 1 - test_fraction)]
    if not 0 < borders[0] < borders[1] < len(data):
        shares = f"{valid_fraction:.0%} validation and {test_fraction:.0%} test"
        raise DataError(f"{plural(len(data), 'bar')} cannot be split into training, {shares}")
    first_valid, first_test = (int(data[b]) for b in borders)

    def span(start: int, stop: int | None) -> np.ndarray:
        inside = rows >= start
        if stop is not None:
            inside &= known < stop - embargo
        return inside & present

    split = Split(span(0, first_valid), span(first_valid, first_test), span(first_test, None))
    for name in ("train", "valid", "test"):
        if not getattr(split, name).any():
            advice = "use more data, a shorter label.horizon or a smaller split.embargo"
            raise DataError(f"the {name} span is empty after purging; {advice}")
    return split


SPLITS = {"by_time": by_time}


def folds(train: Bool[Array, " N"], known: Int[Array, " N"], count: int, embargo: int = 0) -> Bool[np.ndarray, "G N"]:
    """Return the training rows of each fold: all training rows except one block.

    Blocks have equally many training rows. Rows before the block whose label or weight depends on it (`known`, see
    `by_time`), and the `embargo` rows after it, are dropped too.

    Raises:
        DataError: there are fewer training rows than blocks.
    """
    rows, inside = np.arange(len(train)), np.flatnonzero(train)
    if len(inside) < count:
        raise DataError(
            f"{plural(len(inside), 'training row')} cannot be split into {plural(count, 'fold')} "
            "(train.ensemble.size); use more data"
        )
    kept = np.empty((count, len(train)), bool)
    for i, block in enumerate(np.array_split(inside, count)):
        first, last = block[0], block[-1]
        kept[i] = train & ((known < first) | (rows > last + embargo))
    return kept


def trading_rows(split: Split) -> Bool[np.ndarray, " N"]:
    """Return the rows in which a strategy is tested: from each test row up to the next row of another span.

    Rows without features or labels belong to no span, and a position is held through them.
    """
    return until_next(split.test, split.train | split.valid)


def until_next(span: Bool[Array, " N"], others: Bool[Array, " N"]) -> Bool[np.ndarray, " N"]:
    """Return the rows from a row of `span` on, until a row of `others` follows."""
    last = np.maximum.accumulate(np.where(span | others, np.arange(len(span)), -1))
    return (last >= 0) & np.asarray(span)[last]
