from __future__ import annotations

import io
import math

import pytest

from fxtrade.evaluate.results import CoverageRow, PairedTest
from fxtrade.report import markdown, rivals, run_warnings, summary
from fxtrade.report.progress import Console
from fxtrade.report.rivals import Position
from fxtrade.report.terminal import table
from fxtrade.validate.surrogates import Surrogate
from tests.helpers import report_sample


def row(low, high):
    return CoverageRow(1.0, 1.0, (low + high) / 2, low, high, 100)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (row(0.55, 0.57), row(0.50, 0.54), Position.ABOVE),
        (row(0.55, 0.57), row(0.53, 0.56), Position.EQUAL),
        (row(0.55, 0.57), row(0.55, 0.57), Position.EQUAL),
        (row(0.50, 0.51), row(0.55, 0.57), Position.BELOW),
        (row(0.50, 0.51), row(math.nan, math.nan), Position.UNKNOWN),
    ],
)
def test_compare_by_intervals(own, other, expected):
    assert rivals.compare(own, other) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (PairedTest(0.01, 0.002, 0.02, 0.01, 0.03), Position.ABOVE),
        (PairedTest(-0.01, -0.02, -0.002, 0.01, 0.03), Position.BELOW),
        (PairedTest(-0.01, -0.02, -0.002, 0.04, 0.06), Position.EQUAL),
        (PairedTest(0.01, -0.001, 0.02, 0.02, 0.03), Position.EQUAL),
        (PairedTest(0.01, math.nan, math.nan, math.nan, math.nan), Position.UNKNOWN),
        (None, Position.UNKNOWN),
    ],
)
def test_a_paired_difference_is_judged_by_its_q_value(test, expected):
    assert rivals.paired_position(test) is expected


def made(lead: float, own: float = 0.55, rival: float = 0.51, null: float = 0.5, p: float = 0.001):
    learned = {"logistic regression": report_sample.learned(lead, p)}
    return report_sample.report(own=own, rival=rival, null=null, learned_baselines=learned)


@pytest.mark.parametrize(
    ("lead", "rival", "text"),
    [
        (0.004, 0.546, "an advantage over the null baseline and logistic regression is shown."),
        (-0.004, 0.554, "the model is worse than logistic regression."),
    ],
)
def test_a_paired_difference_decides_where_intervals_overlap(lead, rival, text):
    assert text in summary.paragraph(made(lead, rival=rival))


def test_separate_intervals_do_not_decide_against_a_paired_difference():
    text = summary.paragraph(made(0.04, p=0.2))
    assert "no advantage over logistic regression is shown" in text and "no skill" not in text
    rows = dict(summary.rows(made(0.04, p=0.2)))
    assert rows["best baseline"].startswith("51.0 %, logistic regression: the model is not distinguishable from it (")


def test_rules_and_null_baselines_are_judged_by_intervals():
    report = made(0.02, rival=0.52)
    report = report_sample.replace(report, baselines={**report.baselines, "reversal": report_sample.table(0.545)})
    assert dict(summary.rows(report))["best baseline"] == "54.5 %, reversal: the model is not distinguishable from it"
    assert "no advantage over reversal is shown." in summary.paragraph(report)
    neither = summary.paragraph(made(0.04, p=0.2, null=0.545))
    assert "no advantage over the null baseline or logistic regression is shown." in neither
    assert "no advantage over the null baseline is shown." in summary.paragraph(made(0.02, null=0.545))


def test_the_highest_of_rivals_counts():
    report = report_sample.report(own=0.55, rival=0.51)
    report = report_sample.replace(report, baselines={**report.baselines, "reversal": report_sample.table(0.62)})
    text = summary.paragraph(report)
    assert "below the best baseline (reversal: 62.0 %)" in text and "the model is worse than reversal" in text


def test_one_line_on_the_learned_baselines(tmp_path):
    learned = {
        "logistic regression": report_sample.learned(0.02),
        "MLP, last row": report_sample.learned(0.01, 0.2),
        "HAR": report_sample.learned(-0.01, 0.2),
        "gradient-boosted trees": report_sample.learned(-0.02),
    }
    report, screen = report_sample.report(learned_baselines=learned), io.StringIO()
    line = rivals.against_learned(report)
    assert line == (
        "Against the learned baselines (all bars, paired differences, 5 % FDR) the model is better than logistic "
        'regression; level with "MLP, last row" and HAR; below gradient-boosted trees.'
    )
    assert line in markdown.document(report, []).splitlines()
    table(Console(file=screen), report, tmp_path)
    assert line in " ".join(screen.getvalue().split())
    assert rivals.against_learned(report_sample.sparse()) == ""


def test_mirrored_bars_are_no_null_baseline_for_volatility():
    nulls = {Surrogate.RANDOM_WALK: report_sample.table(0.7), Surrogate.SHUFFLED: report_sample.table(0.6)}
    report = report_sample.report(label="volatility_direction", own=0.7, null_baselines=nulls)
    assert list(rivals.null_baselines(report)) == ["shuffled"]
    assert "null baseline (shuffled: 60.0 %)" in summary.paragraph(report)
    assert "null baseline (shuffled: 64.5 %)" in summary.paragraph(report)  # of the most confident 10 %
    assert run_warnings.warnings(report) == []
    text = markdown.document(report, [])
    assert "null baseline: random walk" not in text and text.count(rivals.NO_RANDOM_WALK) == 1
    both = report_sample.report()
    assert list(rivals.null_baselines(both)) == ["random walk", "shuffled"]
    text = markdown.document(both, [])
    assert "null baseline: random walk" in text and rivals.NO_RANDOM_WALK not in text
