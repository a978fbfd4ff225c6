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
    """Return training, validation and test spans one after the other, purged: `by_blocks` with a single block."""
    shares = {"valid_fraction": valid_fraction, "test_fraction": test_fraction}
    return by_blocks(present, known, **shares, embargo=embargo, blocks=1)


def by_blocks(
    present: Bool[Array, " N"],
    known: Int[Array, " N"],
    *,
    valid_fraction: float,
    test_fraction: float,
    embargo: int = 0,
    blocks: int = 8,
) -> Split:
    """Return a test span at the end, and before it training rows in turn with equal blocks of validation rows, purged.

    The validation rows are spread evenly over time, so that one unusual month does not decide when training stops; the
    last block comes right before the test span.

    A row is dropped where its label or the weight of its label depends on the next block of another span, or on the
    `embargo` rows before it: `known` comes before both. So no training label reaches into validation or test rows, and
    no validation label into the training rows after it. Features look back only, so the rows after a border stay: those
    of a training row see bars of the validation block before it, but no label of it.

    Args:
        present: rows that have data; fractions are counted in these, so that gaps do not move the borders.
        known: last row that labels and weights of each row depend on (`labels.weights.known_at`).
        valid_fraction, test_fraction: of the rows; training gets the rest.
        blocks: number of validation blocks.

    Raises:
        DataError: a block of one of the spans is empty.
    """
    data = np.flatnonzero(present)
    borders = _borders(len(data), valid_fraction, test_fraction, blocks)
    if not (np.diff(borders, prepend=0, append=len(data)) > 0).all():
        shares = f"{valid_fraction:.0%} validation and {test_fraction:.0%} test"
        parts = f" of {plural(blocks, 'validation block')}" if blocks > 1 else ""
        fewer = ", fewer split.options.blocks" if blocks > 1 else ""
        raise DataError(
            f"{plural(len(data), 'bar')} with features and a label cannot be split into training, {shares}{parts}; use "
            f"more data, a shorter scaler.halflife, shorter windows{fewer} or other fractions"
        )
    firsts = data[borders]
    part = np.searchsorted(firsts, np.arange(len(present)), "right")  # even: training, odd: validation, last: test
    kept = present & (known < np.append(firsts - embargo, np.inf)[part])
    empty = np.flatnonzero(np.bincount(part[kept], minlength=len(borders) + 1) == 0)
    if len(empty):
        name = "test" if empty[0] == len(borders) else ("train", "valid")[empty[0] % 2]
        where, fewer = (
            (f" in block {empty[0] // 2 + 1} of {blocks}", ", fewer split.options.blocks") if blocks > 1 else ("", "")
        )
        advice = f"use more data{fewer}, a shorter label.horizon or a smaller split.embargo"
        raise DataError(f"the {name} span is empty after purging{where}; {advice}")
    test = part == len(borders)
    return Split(kept & ~test & (part % 2 == 0), kept & (part % 2 == 1), kept & test)


def _borders(rows: int, valid_fraction: float, test_fraction: float, blocks: int) -> Int[np.ndarray, " 2*{blocks}"]:
    """Return the first rows of all blocks but the first: of validation and training in turn, and of the test span."""
    first_valid, first_test = (round(rows * share) for share in (1 - valid_fraction - test_fraction, 1 - test_fraction))
    share = np.arange(blocks + 1) / blocks
    stops, taken = (np.rint(count * share).astype(int) for count in (first_test, first_test - first_valid))
    return np.stack([stops[1:] - np.diff(taken), stops[1:]], 1).ravel()


SPLITS = {"by_time": by_time, "by_blocks": by_blocks}


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
