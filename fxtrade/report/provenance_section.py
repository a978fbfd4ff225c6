"""The section of a report on its provenance: what the result depends on, and the commands that repeat it."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from fxtrade.report import summary
from fxtrade.report.schema import RunReport
from fxtrade.report.tables import code_block, commands, facts, machine
from fxtrade.runs import run_dir


class Schedule(NamedTuple):
    """A part of training: the step at which it begins, and the `train.steps` by which it is planned."""

    begin: int
    steps: int


def provenance(report: RunReport) -> list[str]:
    """Return the section on everything that the result depends on, and the commands that repeat the run."""
    p, environment = report.provenance, report.provenance.environment
    first, *resumed = (start.started for start in environment.starts)
    changed = environment.code.endswith("-modified")
    rows = [
        ("started", first),
        *([("resumed", ", ".join(resumed))] if resumed else []),
        *_continued(report),
        ("code", f"`{environment.code}`{' (files differed from that commit)' if changed else ''}"),
        ("config", f"`{p.config_hash}`, in full in [config.json](config.json)"),
        ("data fingerprint", f"`{p.data_fingerprint}`"),
        ("seed", str(p.seed)),
        ("test span evaluated before", f"by this configuration: {summary.times(report.opened_before)}"),
        ("others tried on these data", summary.configurations(report.trials_before)),
        *machine(environment),
    ]
    return [
        "## Provenance",
        facts(rows),
        "The run was started and resumed by" if resumed else "The run was started by",
        commands(environment),
        "and is repeated, with its own config on the same data, by",
        code_block(repetition(report)),
    ]


def repetition(report: RunReport) -> list[str]:
    """Return the commands that repeat a run: its start, then each continuation with more steps."""
    commit = report.provenance.environment.code.partition("+")[2].partition("-")[0]
    first, *others = schedules(report)
    name, script = f"{report.folder}-again", ["python", "scripts/train.py"]
    start = [*script, "--config", f"{report.results}/{report.folder}/{run_dir.CONFIG}"]
    start += ["--results", report.results, "--run", name]
    lines = [["git", "checkout", commit]] if commit else []
    lines += [[*start, _steps(first)] if others else start]
    lines += [[*script, "--resume", f"{report.results}/{name}", _steps(schedule)] for schedule in others]
    texts = [shlex.join(line) for line in lines]
    for i, schedule in enumerate(others):
        before = (first, *others)[i]
        if schedule.begin < before.steps:
            texts[i - len(others) - 1] += f"  # stop it with Ctrl-C at step {schedule.begin}"
    return texts


def schedules(report: RunReport) -> list[Schedule]:
    """Return the schedules by which steps were trained, oldest first."""
    planned = report.continued[0].steps_before if report.continued else report.config.train.steps
    found = [Schedule(0, planned)]
    for continuation in report.continued:
        if found[-1].begin == continuation.from_step:  # no step was trained by the one before
            found.pop()
        found.append(Schedule(continuation.from_step, continuation.steps))
    return found


def _continued(report: RunReport) -> list[tuple[str, str]]:
    changes = [f"from step {c.from_step:,} to {c.steps:,}, planned were {c.steps_before:,}" for c in report.continued]
    return [("trained longer", "; ".join(changes))] if changes else []


def _steps(schedule: Schedule) -> str:
    return f"--config.train.steps={schedule.steps}"
