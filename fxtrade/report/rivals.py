"""The model against its baselines: by paired differences from the learned ones, by intervals from the others."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from fxtrade.evaluate.results import FALSE_DISCOVERY_RATE, CoverageRow, CoverageTable, PairedTest
from fxtrade.report.coverage_rows import at, coverage_name, target_coverages
from fxtrade.report.formatting import missing, percent, points, q_value
from fxtrade.report.schema import RunReport
from fxtrade.validate.surrogates import Surrogate, null_kinds

NO_RANDOM_WALK = "The random walk is not a null baseline of this label, since mirrored bars keep their volatility."


class Position(Enum):
    """Where the model lies against a baseline, in words."""

    ABOVE = "above"
    EQUAL = "not distinguishable from"
    BELOW = "below"
    UNKNOWN = "at an unknown distance from"


class Rival(NamedTuple):
    """The baseline of a kind with the highest accuracy at a coverage.

    Attributes:
        position: of the model against it.
        test: the model's paired difference from it; None where it is not a learned baseline.
    """

    name: str
    accuracy: float
    position: Position
    test: PairedTest | None

    @property
    def difference(self) -> str:
        """The paired difference and its q-value in words; "" without one."""
        return f"paired difference {points(self.test)} points, q {q_value(self.test)}" if self.test else ""


def compare(own: CoverageRow, other: CoverageRow) -> Position:
    """Return ABOVE or BELOW if the two intervals do not overlap, else EQUAL; UNKNOWN without intervals."""
    if any(missing(x) for row in (own, other) for x in (row.low, row.high)):
        return Position.UNKNOWN
    if own.low > other.high:
        return Position.ABOVE
    return Position.BELOW if own.high < other.low else Position.EQUAL


def paired_position(test: PairedTest | None) -> Position:
    """Return ABOVE or BELOW if a paired difference is significant by its q-value, else EQUAL; UNKNOWN without one."""
    if test is None or any(missing(x) for x in (test.low, test.high, test.q)):
        return Position.UNKNOWN
    return (Position.EQUAL, Position.ABOVE, Position.BELOW)[test.direction(FALSE_DISCOVERY_RATE)]


def null_baselines(report: RunReport) -> dict[Surrogate, CoverageTable]:
    """Return the null baselines of this label; reports of earlier versions also have others."""
    kinds = null_kinds(report.label.directional)
    return {name: table for name, table in report.null_baselines.items() if name in kinds}


def best_baseline(report: RunReport, target: float) -> Rival | None:
    """Return the baseline of the highest accuracy at a coverage, if there is one."""
    return _best(report, report.baselines, target)


def best_null_baseline(report: RunReport, target: float) -> Rival | None:
    """Return the null baseline of the highest accuracy at a coverage, if there is one."""
    return _best(report, {str(name): table for name, table in null_baselines(report).items()}, target)


def against_learned(report: RunReport) -> str:
    """Return in one line which learned baselines the model is better than, level with and below; "" without any."""
    found: dict[Position, list[str]] = {}
    wide = target_coverages(report)[0]
    for name, baseline in report.learned_baselines.items():
        found.setdefault(paired_position(baseline.differences.accuracy.get(wide)), []).append(name)
    words = {
        Position.ABOVE: "better than",
        Position.EQUAL: "level with",
        Position.BELOW: "below",
        Position.UNKNOWN: "at an unknown distance from",
    }
    parts = [f"{text} {_listing(found[position])}" for position, text in words.items() if position in found]
    if not parts:
        return ""
    rate = f"paired differences, {percent(FALSE_DISCOVERY_RATE, 0)} FDR"
    return f"Against the learned baselines ({coverage_name(wide)}, {rate}) the model is {'; '.join(parts)}."


def verdict(report: RunReport, target: float) -> str:
    """Return two clauses on the best null baseline and the best baseline: where the model lies, and what that shows."""
    null, baseline = best_null_baseline(report, target), best_baseline(report, target)
    named = [(rival, name) for rival, name in ((null, "its null baseline"), (baseline, "the best baseline")) if rival]
    if not named:
        return "There is no baseline to compare it with."
    places = []
    for rival, name in named:
        about = f", {rival.difference}" if rival.difference else ""
        places.append(f"{rival.position.value} {name} ({rival.name}: {percent(rival.accuracy)}{about})")
    return f"That is {' and '.join(places)}; {_meaning([rival for rival, _ in named], null)}."


def _meaning(rivals: list[Rival], null: Rival | None) -> str:
    names = {
        position: [
            "the null baseline" if rival is null else rival.name for rival in rivals if rival.position is position
        ]
        for position in Position
    }
    if names[Position.UNKNOWN]:
        return "the test span is too short for intervals"
    clauses = []
    if names[Position.EQUAL]:
        clauses.append(f"no advantage over {_listing(names[Position.EQUAL], 'or')} is shown")
    if names[Position.BELOW]:
        clauses.append(f"the model is worse than {_listing(names[Position.BELOW])}")
    return " and ".join(clauses) or f"an advantage over {_listing(names[Position.ABOVE])} is shown"


def _listing(names: list[str], conjunction: str = "and") -> str:
    """Join names; those with a comma are in quotation marks."""
    quoted = [f'"{name}"' if "," in name else name for name in names]
    *first, last = quoted
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _best(report: RunReport, tables: Mapping[str, CoverageTable], target: float) -> Rival | None:
    rows = {name: at(table, target) for name, table in tables.items()}
    known = {name: row for name, row in rows.items() if not missing(row.accuracy)}
    if not known:
        return None
    name, row = max(known.items(), key=lambda item: item[1].accuracy)
    learned = report.learned_baselines.get(name)
    test = learned.differences.accuracy.get(target) if learned else None
    position = paired_position(test) if test else compare(at(report.accuracy, target), row)
    return Rival(name, row.accuracy, position, test)
