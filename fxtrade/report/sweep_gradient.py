"""The section of a sweep's report on its gradient: where ascent ended, beside the best set."""

from __future__ import annotations

from fxtrade.core.text import plural
from fxtrade.report.formatting import fixed
from fxtrade.report.sweep_schema import NAMES, Refined, SweepReport
from fxtrade.report.tables import grid


def section(report: SweepReport) -> list[str]:
    """Return the paragraphs of the section; none without an ascent."""
    refined = report.refined
    if refined is None:
        return []
    if isinstance(refined, str):
        return ["## Gradient", f"No gradient ascent: {refined}."]
    return ["## Gradient", _explained(report, refined), _table(report, refined), "![gradient](plots/gradient.png)"]


def verdict(report: SweepReport, refined: Refined) -> str:
    """Return in a sentence where the ascent ended, and whether it agrees with the sweep."""
    best, score = report.grid.one(report.plateau.best), fixed(refined.compared.score, 2)
    place = ", ".join(f"{axis} {refined.parameters[axis]:.4g} ({best[axis]:g})" for axis in refined.moved)
    return f"Gradient ascent ended at {place} with {score}; {judgement(refined)}"


def judgement(refined: Refined) -> str:
    """Return whether gradient and sweep agree."""
    if refined.is_near:
        return "it is at most one step of the grid from the best set on every axis: they agree"
    if refined.is_as_good:
        return "it is further from the best set, and as good as the sets next to it: the score has several hills"
    return "it is on another hill, lower than the sets next to the best one: they do not agree"


def _explained(report: SweepReport, refined: Refined) -> str:
    config, kept = report.config.refine, [axis for axis in refined.parameters if axis not in refined.moved]
    moved = ", ".join(refined.moved)
    sentences = [
        f"{plural(config.steps, 'step')} of gradient ascent of the {NAMES[report.config.score]} over {moved} from the "
        "middle of the grid and within its range, on the days on which sets are compared"
    ]
    if kept:
        sentences.append(f"The best set's are {', '.join(f'{axis} {refined.parameters[axis]:g}' for axis in kept)}")
    if refined.flat:
        sentences.append(
            f"The score does not change with {' and '.join(refined.flat)} in the middle of the grid: they only decide, "
            "as a threshold does, or are limits that are not reached"
        )
    if skipped := refined.skipped:
        sentences.append(f"{plural(skipped, 'step')} led to no score, and was taken back")
    sentences.append(f"The end of the ascent: {judgement(refined)}")
    return ". ".join(sentences) + "."


def _table(report: SweepReport, refined: Refined) -> str:
    """Return parameters and scores of the best set and of the end of the ascent."""
    best, name, tested = report.grid.one(report.plateau.best), NAMES[report.config.score], report.held_out
    rows = [
        (axis, f"{best[axis]:g}", f"{refined.parameters[axis]:.4g}", fixed(distance, 1))
        for axis, distance in refined.moved.items()
    ]
    rows.append((f"{name}, sets compared", fixed(report.best.score, 2), fixed(refined.compared.score, 2), ""))
    if tested is not None and tested.refined is not None:
        rows.append((f"{name}, held out", fixed(tested.best.score, 2), fixed(tested.refined.score, 2), ""))
    return grid(["", "best set", "gradient", "steps of the grid apart"], rows)
