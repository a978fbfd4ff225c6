from __future__ import annotations

import dataclasses

import pytest

from fxtrade.report import markdown
from fxtrade.report.provenance_section import repetition
from fxtrade.runs.provenance import Start
from fxtrade.runs.record import Continuation
from tests.helpers import report_sample

AGAIN = "python scripts/train.py --config 'my results/sample-1/config.json' --results 'my results' --run sample-1-again"
RESUME = "python scripts/train.py --resume 'my results/sample-1-again' --config.train.steps="


@pytest.mark.parametrize(
    "continued, commands",
    [
        ([], [AGAIN]),
        ([(40, 40, 60)], [f"{AGAIN} --config.train.steps=40", f"{RESUME}60"]),
        ([(40, 40, 60), (60, 60, 90)], [f"{AGAIN} --config.train.steps=40", f"{RESUME}60", f"{RESUME}90"]),
        ([(40, 40, 60), (40, 60, 90)], [f"{AGAIN} --config.train.steps=40", f"{RESUME}90"]),
        ([(20, 40, 60)], [f"{AGAIN} --config.train.steps=40  # stop it with Ctrl-C at step 20", f"{RESUME}60"]),
        ([(0, 40, 60)], [AGAIN]),
    ],
)
def test_a_run_is_repeated_in_its_results_folder_with_its_continuations(continued, commands):
    entries = tuple(Continuation(*entry, started="2026-01-03T00:00:00Z") for entry in continued)
    made = report_sample.report(results="my results", continued=entries)
    assert repetition(made) == ["git checkout 0123456789ab", *commands]
    text = markdown.document(made, ())
    assert all(f"{command}\n" in text for command in commands)
    assert ("| trained longer | from step 40 to 60, planned were 40 |" in text) == (continued == [(40, 40, 60)])


def test_every_start_of_a_resumed_run_is_named():
    first = Start("2026-01-01T00:00:00Z", "python scripts/train.py --config configs/tcn.py", "0.1.0")
    last = report_sample.ENVIRONMENT
    made = report_sample.report(provenance__environment=dataclasses.replace(last, earlier=(first,)))
    text = markdown.document(made, ())
    assert f"| started | {first.started} |" in text and f"| resumed | {last.started} |" in text
    starts = f"# {first.started}, {first.code}\n{first.command}\n# {last.started}, {last.code}\n{last.command}\n"
    assert f"The run was started and resumed by\n\n```\n{starts}```" in text
    assert "2026-01-01." in text and "| last command |" in text and "| whole run |" not in text
    assert "| resumed |" not in markdown.document(report_sample.report(), ())
