from __future__ import annotations

import io

import pytest

from fxtrade.evaluate.results import Span
from fxtrade.report import markdown, run_warnings
from fxtrade.report.progress import Console
from fxtrade.report.terminal import table
from tests.helpers import report_sample


@pytest.mark.parametrize(
    ("made", "suspect"),
    [
        (report_sample.report(own=0.559), False),
        (report_sample.report(own=0.561), True),
        (report_sample.report(own=0.70, label="volatility_direction"), False),
        (report_sample.report(own=0.70, classes=3), False),
        (report_sample.report("simulated market (planted edge)", own=0.61, best=0.62, sharpe=9), False),
        (report_sample.report("simulated market (random walk)", own=0.57, best=0.5), True),
        (report_sample.report("simulated market (random walk)", own=0.50, best=0.5), False),
        (report_sample.report("simulated market (random walk)", own=0.50, best=0.5, sharpe=9), True),
        (report_sample.report("simulated market (planted edge)", own=0.66, best=0.62), True),
        (report_sample.report(sharpe=3.9), False),
        (report_sample.report(sharpe=4.1), True),
        (report_sample.report(null=0.51), False),
        (report_sample.report(null=0.53), True),
    ],
)
def test_leaks_are_suspected(made, suspect):
    found = run_warnings.warnings(made)
    assert bool(found) == suspect and all(text.startswith("Leak?") for text in found)


def test_a_short_test_span_is_warned_of():
    made = report_sample.report()
    test = Span("2024-01-01T00:00", "2024-01-12T23:59", 288, 500)
    made = report_sample.replace(made, data__spans={**made.data.spans, "test": test})
    assert ["12 days" in text for text in run_warnings.warnings(made)] == [True]


ENCODING_ADVICE = "config.model.encoding.name=piecewise_linear"
ADVICE = f"Try {ENCODING_ADVICE}, more train.steps or less optim.weight_decay."


@pytest.mark.parametrize("rows", [64, 1], ids=["a network", "a network of one row"])
def test_simpler_models_that_are_better_are_named(rows):
    learned = {
        "logistic regression": report_sample.learned(-0.004, 0.04),
        "gradient-boosted trees": report_sample.learned(-0.02),
        "MLP, last row": report_sample.learned(-0.01),
    }
    made = report_sample.report(learned_baselines=learned, training__model="mlp", training__receptive_field=rows)
    (text,) = run_warnings.warnings(made)
    assert text == (
        "A simpler model is significantly better than this mlp: gradient-boosted trees (accuracy, all bars, -2.00 "
        "[-3.00, -1.00] percentage points, reduction of the log loss -2.00 [-3.00, -1.00] thousandths of a nat); "
        "MLP, last row (accuracy, all bars, -1.00 [-1.50, -0.50] percentage points, reduction of the log loss -1.00 "
        f"[-1.50, -0.50] thousandths of a nat). {ADVICE}"
    )
    assert text in markdown.document(made, []).replace("> **", "").replace("**", "")
    encoded = report_sample.replace(made, config__model__encoding__name="piecewise_linear")
    assert run_warnings.warnings(encoded)[0].endswith("Try more train.steps or less optim.weight_decay.")
    of_volatility = report_sample.replace(made, label__directional=False)  # its columns have no thresholds to find
    assert ENCODING_ADVICE not in run_warnings.warnings(of_volatility)[0]


def test_the_terminal_warns_too(tmp_path):
    screen = io.StringIO()
    made = report_sample.report(learned_baselines={"HAR": report_sample.learned(-0.02)}, training__receptive_field=1)
    table(Console(file=screen), made, tmp_path)
    assert "A simpler model is significantly better" in " ".join(screen.getvalue().split())


def test_the_log_loss_alone_is_enough():
    better, worse = report_sample.learned(0.01), report_sample.learned(-0.02)
    differences = report_sample.replace(better.differences, log_loss=worse.differences.log_loss)
    trees = report_sample.replace(better, differences=differences)
    (text,) = run_warnings.warnings(report_sample.report(learned_baselines={"trees": trees}))
    assert "trees (reduction of the log loss -2.00 [-3.00, -1.00] thousandths of a nat)." in text


def test_a_narrow_coverage_alone_is_not_enough():
    better, worse = report_sample.learned(0.01), report_sample.learned(-0.02)
    accuracy = {**better.differences.accuracy, 0.1: worse.differences.accuracy[0.1]}
    trees = report_sample.replace(better, differences__accuracy=accuracy)
    assert run_warnings.warnings(report_sample.report(learned_baselines={"trees": trees})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"learned_baselines": {}},
        {"learned_baselines": {"trees": report_sample.learned(0.01)}},
        {"learned_baselines": {"trees": report_sample.learned(-0.01, p=0.04)}},
    ],
    ids=["none", "above", "not significant among all"],
)
def test_no_warning(changes):
    assert run_warnings.warnings(report_sample.report(**changes)) == []
