"""When which rule bound: the bars in which a rule of a backtest changed the target that it got."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import DataError
from fxtrade.core.text import plural
from fxtrade.core.trading_types import RuleTrace


@dataclasses.dataclass(frozen=True)
class Binding:
    """How often and how much one rule bound.

    Attributes:
        share: of all bars.
        episodes: stretches of bars in which it bound at every close.
        longest: bars of the longest episode.
        first, last: closes in int64 ns, None where it never bound.
        gross_before, gross_after: mean over the bars in which it bound of the gross exposure that its input and its
            target lead to; NaN where it never bound.
    """

    name: str
    share: float
    episodes: int
    longest: int
    first: int | None
    last: int | None
    gross_before: float
    gross_after: float


@dataclasses.dataclass(frozen=True, repr=False)
class Bindings:
    """The bindings of R rules in the order of their chain, and whether each bound at the close of each bar."""

    rules: tuple[Binding, ...]
    bound: Bool[np.ndarray, "N R"]

    def shares(self, stretches: int) -> tuple[Int[np.ndarray, " S"], Float[np.ndarray, "R S"]]:
        """Return the first rows of equal stretches of bars, and the share of each in which a rule bound.

        Args:
            stretches: at most so many, at least one bar each.
        """
        rows = len(self.bound)
        count = min(stretches, rows)
        first = np.arange(count) * rows // count
        bars = np.diff(np.append(first, rows))
        return first, np.add.reduceat(self.bound.astype(float), first, 0).T / bars

    def __repr__(self) -> str:
        return f"Bindings({plural(len(self.bound), 'bar')}: {', '.join(rule.name for rule in self.rules)})"


def bindings(trace: RuleTrace, names: Sequence[str], closes: Int[np.ndarray, " N"]) -> Bindings:
    """Return when each rule of a backtest bound.

    Args:
        trace: `Result.rules`, of `traced` rules.
        names: of the R rules.
        closes: when the N bars closed, int64 ns.

    Raises:
        DataError: the trace is not of so many rules or bars.
    """
    bound = np.asarray(trace.changed)
    if bound.shape != (len(closes), len(names)):
        raise DataError(f"bindings: the trace has shape {bound.shape}, for {len(closes)} bars and {len(names)} rules")
    gross = np.asarray(trace.before), np.asarray(trace.after)
    made = (_binding(name, bound[:, r], gross[0][:, r], gross[1][:, r], closes) for r, name in enumerate(names))
    return Bindings(tuple(made), bound)


def _binding(
    name: str,
    bound: Bool[np.ndarray, " N"],
    before: Float[np.ndarray, " N"],
    after: Float[np.ndarray, " N"],
    closes: Int[np.ndarray, " N"],
) -> Binding:
    edges = np.diff(np.concatenate([[False], bound, [False]]).astype(int))
    lengths = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
    if not len(lengths):
        return Binding(name, 0.0, 0, 0, None, None, np.nan, np.nan)
    rows = np.flatnonzero(bound)
    return Binding(
        name,
        share=float(bound.mean()),
        episodes=len(lengths),
        longest=int(lengths.max()),
        first=int(closes[rows[0]]),
        last=int(closes[rows[-1]]),
        gross_before=float(before[bound].mean()),
        gross_after=float(after[bound].mean()),
    )
