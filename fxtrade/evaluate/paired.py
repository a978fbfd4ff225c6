"""Paired differences of forecasts on the same rows: the blocks of both are drawn together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Num

from fxtrade.evaluate.accuracy import DailySums
from fxtrade.evaluate.results import Differences, PairedTest
from fxtrade.metrics import bootstrap
from fxtrade.validate import discovery

SAMPLES = 2000  # of the bootstrap

Key = TypeVar("Key")
Ratio = tuple[Num[np.ndarray, " blocks"], Num[np.ndarray, " blocks"]]  # numerator and denominator


def accuracy_difference(
    ours: Sequence[DailySums], theirs: Sequence[DailySums], coverage: int, seed: int, samples: int = SAMPLES
) -> PairedTest:
    """Return the difference of accuracies on the first label, on average over pairs.

    Args:
        coverage: its place among the coverages.
    """

    def ratios(side: Sequence[DailySums]) -> list[Ratio]:
        return [(s.correct[0, coverage], s.count[0, coverage]) for s in side]

    return _paired(ratios(ours), ratios(theirs), seed, samples)


def log_loss_difference(
    ours: Sequence[DailySums], theirs: Sequence[DailySums], seed: int, samples: int = SAMPLES
) -> PairedTest | None:
    """Return the reduction of the log loss, on average over pairs; None if one of them is not known."""

    def ratios(side: Sequence[DailySums]) -> list[Ratio]:
        return [(s.log_loss, s.rows) for s in side if s.log_loss is not None and s.rows is not None]

    own, other = ratios(ours), ratios(theirs)
    return _paired(other, own, seed, samples) if len(own) == len(ours) and len(other) == len(theirs) else None


def differences(
    ours: DailySums, rivals: Mapping[str, DailySums], coverages: Sequence[float], seed: int, samples: int = SAMPLES
) -> dict[str, Differences]:
    """Return the differences of a forecast from each rival at every coverage; q-values are of all of them jointly."""
    tests = {}
    for name, theirs in rivals.items():
        for i, c in enumerate(coverages):
            tests[name, c] = accuracy_difference([ours], [theirs], i, seed, samples)
        if test := log_loss_difference([ours], [theirs], seed, samples):
            tests[name, None] = test
    tests = corrected(tests)
    return {name: Differences({c: tests[name, c] for c in coverages}, tests.get((name, None))) for name in rivals}


def corrected(tests: Mapping[Key, PairedTest]) -> dict[Key, PairedTest]:
    """Return the tests with q-values, corrected jointly."""
    q = discovery.benjamini_hochberg([t.p for t in tests.values()])
    return {k: dataclasses.replace(t, q=float(x)) for (k, t), x in zip(tests.items(), q, strict=True)}


def _paired(ours: list[Ratio], theirs: list[Ratio], seed: int, samples: int) -> PairedTest:
    """Return the mean difference of ratios; days without a counted forecast are left out."""
    parts = np.array([list(zip(*side, strict=True)) for side in (ours, theirs)])  # [side, part, pair, block]
    parts = parts[..., parts[:, 1].any((0, 1))]
    (top, bottom), (other_top, other_bottom) = parts
    return PairedTest(*bootstrap.paired_difference((top, bottom), (other_top, other_bottom), samples, seed=seed))
