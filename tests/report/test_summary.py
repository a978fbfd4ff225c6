from __future__ import annotations

import math

import pytest

from fxtrade import labels as label_registry
from fxtrade.core.config import LabelConfig
from fxtrade.evaluate.results import Estimate
from fxtrade.report import run_warnings, summary
from fxtrade.report.schema import LabelTable
from tests.helpers import report_sample


def test_a_close_label_is_checked_by_the_tradable_one():
    def made(accuracy: float):
        tradable = label_registry.spec(LabelConfig("open_to_open", 1, 2))
        other = (LabelTable(tradable, report_sample.table(accuracy)),)
        return report_sample.report(label="close_to_close", own=0.6, other_labels=other)

    assert run_warnings.warnings(made(0.51)) == []
    assert "On the tradable label the accuracy of the same forecasts is 51.0 %" in summary.paragraph(made(0.51))
    assert len(run_warnings.warnings(made(0.58))) == 1


def test_a_planted_edge_is_compared_with_the_best_possible():
    text = summary.paragraph(report_sample.report("simulated market (planted edge)", own=0.56, best=0.62))
    assert "planted" in text and "62.0 %; the model gets 50 % of the way" in text
    assert "simulated without an edge" in summary.paragraph(
        report_sample.report("simulated market (random walk)", own=0.5, best=0.5)
    )
    assert "planted" not in summary.paragraph(report_sample.report())


@pytest.mark.parametrize(
    ("total", "sharpe", "words"),
    [
        (0.2, 1.5, "it survives these costs"),
        (0.2, 0.5, "no evidence of profit"),
        (-0.1, -1, "does not survive these costs, and loses even without costs"),
    ],
)
def test_survival_of_costs(total, sharpe, words):
    assert words in summary.paragraph(report_sample.report(total=total, sharpe=sharpe))


def test_the_return_before_costs_is_told():
    trading = report_sample.report(total=-0.1, sharpe=-1).trading
    free = report_sample.replace(trading.grid[0], total_return=0.35)
    assert (free.fee_bps, free.latency) == (0, 0)
    trading = report_sample.replace(trading, grid=(free, *trading.grid[1:]))
    assert summary.survival(trading).endswith("without costs its return is +35.0 %")


def test_no_trades_are_not_evaluated():
    trading = report_sample.report(trading__strategy__trades=0).trading
    assert "nothing to evaluate" in summary.survival(trading)


def test_trades_without_a_sharpe_ratio():
    made = report_sample.report(trading__strategy__trades=1, trading__strategy__sharpe=Estimate(math.nan))
    assert summary.survival(made.trading).startswith("made 1 trade, but has no Sharpe ratio")
    made = report_sample.replace(made, trading__buy_and_hold__sharpe=Estimate(math.nan))
    text = summary.paragraph(made)
    assert "its return is +20.0 %, without a Sharpe ratio and with a maximum drawdown of" in text
    assert "(buy and hold: +10.0 %, no Sharpe ratio, -8.2 %)" in text


def test_five_rows():
    rows = dict(summary.rows(report_sample.report(own=0.55, rival=0.51, null=0.50)))
    assert len(rows) == 5 and rows["accuracy, all bars"].startswith("55.0 %")
    paired = "paired difference +2.00 [+1.00, +3.00] points, q 0.002"
    assert rows["best baseline"] == f"51.0 %, logistic regression: the model is above it ({paired})"
    assert rows["best null baseline"] == "50.0 %, shuffled: the model is above it"
    rows = summary.rows(report_sample.report(label="volatility_direction", trading=None))
    assert len(rows) == 5 and "not traded" in rows[-1][1]
    assert ("best null baseline", "–") in summary.rows(report_sample.report(null_baselines={}))


def test_trials_and_used_test_span():
    made = report_sample.report()
    assert "the best Sharpe ratio to expect of 3 trials without skill" in summary.paragraph(made)
    assert "not fresh: 2 other configurations had been tried on these data." in summary.paragraph(made)
    made = report_sample.replace(made, opened_before=2, trials_before=1)
    assert "not fresh: this configuration was evaluated on it twice before and 1 other" in summary.paragraph(made)
    made = report_sample.replace(made, opened_before=0, trials_before=0, trading__strategy__trials=1)
    assert "not fresh" not in summary.paragraph(made) and "lies above zero is 91.0 %" in summary.paragraph(made)


def test_missing_baselines_are_told():
    assert "There is no baseline" in summary.paragraph(report_sample.sparse())
    assert "No null baseline was run" in summary.paragraph(report_sample.report(null_baselines={}))


@pytest.mark.parametrize("label", ["open_to_open", "close_to_close", "volatility_direction"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_question_is_put_in_words(label, classes):
    words = {
        "open_to_open": "next open",
        "close_to_close": "last close",
        "volatility_direction": "its median over the last 2880 bars",
    }[label]
    text = label_registry.spec(LabelConfig(label, 1, classes)).question
    assert words in text and ("about the same" in text) == (classes == 3 and label != "volatility_direction")
