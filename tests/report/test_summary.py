from __future__ import annotations

import pytest

from fxtrade.report import summary
from tests.helpers import report_sample


def row(low, high):
    return {"target": 1.0, "accuracy": None if low is None else (low + high) / 2, "low": low, "high": high}


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (row(0.55, 0.57), row(0.50, 0.54), summary.ABOVE),
        (row(0.55, 0.57), row(0.53, 0.56), summary.EQUAL),
        (row(0.55, 0.57), row(0.55, 0.57), summary.EQUAL),
        (row(0.50, 0.51), row(0.55, 0.57), summary.BELOW),
        (row(0.50, 0.51), row(None, None), summary.UNKNOWN),
    ],
)
def test_compare_by_intervals(own, other, expected):
    assert summary.compare(own, other) == expected


def test_skill_needs_both_floor_and_baseline_below():
    assert "so this is skill" in summary.paragraph(report_sample.outcome(own=0.55, rival=0.51, floor=0.50))
    for rival, floor in ((0.545, 0.50), (0.51, 0.545)):
        text = summary.paragraph(report_sample.outcome(own=0.55, rival=rival, floor=floor))
        assert "so no skill is shown" in text and "so this is skill" not in text


def test_a_better_baseline_is_named():
    text = summary.paragraph(report_sample.outcome(own=0.51, rival=0.55))
    assert "below the best baseline (logistic regression: 55.0 %)" in text and "something simple does better" in text


def test_the_highest_of_rivals_counts():
    made = report_sample.outcome(own=0.55, rival=0.51)
    made["accuracy"]["reversal"] = report_sample.rows(0.62)
    assert "reversal: 62.0 %" in summary.paragraph(made)


def test_mirrored_bars_are_no_floor_for_volatility():
    made = report_sample.outcome(label="volatility_direction", own=0.7)
    made["null"] = {"random walk": report_sample.rows(0.7), "shuffled": report_sample.rows(0.6)}
    assert list(summary.floors(made)) == ["shuffled"]
    assert "null floor (shuffled: 60.0 %)" in summary.paragraph(made)
    assert "null floor (shuffled: 64.5 %)" in summary.paragraph(made)  # of the most confident 10 %
    assert summary.warnings(made) == []
    assert list(summary.floors(report_sample.outcome())) == ["random walk", "shuffled"]


@pytest.mark.parametrize(
    ("made", "suspect"),
    [
        (report_sample.outcome(own=0.559), False),
        (report_sample.outcome(own=0.561), True),
        (report_sample.outcome(own=0.70, label="volatility_direction"), False),
        (report_sample.outcome(own=0.70, classes=3), False),
        (report_sample.outcome("simulated market (planted edge)", own=0.61, best=0.62, sharpe=9), False),
        (report_sample.outcome("simulated market (random walk)", own=0.57, best=0.5), True),
        (report_sample.outcome("simulated market (random walk)", own=0.50, best=0.5), False),
        (report_sample.outcome("simulated market (random walk)", own=0.50, best=0.5, sharpe=9), True),
        (report_sample.outcome("simulated market (planted edge)", own=0.66, best=0.62), True),
        (report_sample.outcome(sharpe=3.9), False),
        (report_sample.outcome(sharpe=4.1), True),
        (report_sample.outcome(floor=0.51), False),
        (report_sample.outcome(floor=0.53), True),
    ],
)
def test_leaks_are_suspected(made, suspect):
    found = summary.warnings(made)
    assert bool(found) == suspect and all(text.startswith("Leak?") for text in found)


def test_a_close_label_is_judged_by_what_can_be_traded():
    made = report_sample.outcome(label="close_to_close", own=0.6)
    made["labels"]["open_to_open"] = report_sample.rows(0.51)
    assert summary.warnings(made) == []
    assert "On the label that one can trade, the same forecasts had 51.0 %" in summary.paragraph(made)
    made["labels"]["open_to_open"] = report_sample.rows(0.58)
    assert len(summary.warnings(made)) == 1


def test_a_planted_edge_is_held_against_the_best_possible():
    text = summary.paragraph(report_sample.outcome("simulated market (planted edge)", own=0.56, best=0.62))
    assert "planted" in text and "62.0 %; the model went 50 % of the way" in text
    assert "nothing to find" in summary.paragraph(
        report_sample.outcome("simulated market (random walk)", own=0.5, best=0.5)
    )
    assert "planted" not in summary.paragraph(report_sample.outcome())


@pytest.mark.parametrize(
    ("total", "sharpe", "words"),
    [
        (0.2, 1.5, "it survives these costs"),
        (0.2, 0.5, "no evidence of profit"),
        (-0.1, -1, "does not survive these costs, and loses even without any"),
    ],
)
def test_survival_of_costs(total, sharpe, words):
    assert words in summary.paragraph(report_sample.outcome(total=total, sharpe=sharpe))


def test_what_costs_ate_is_told():
    trading = report_sample.outcome(total=-0.1, sharpe=-1)["trading"]
    free = next(cell for cell in trading["grid"] if cell["fee_bps"] == 0 and cell["latency"] == 0)
    free["total_return"] = 0.35
    assert summary.survival(trading).endswith("without any it would have made +35.0 %")


def test_no_trades_are_not_judged():
    trading = report_sample.outcome()["trading"]
    trading["strategy"] |= {"trades": 0, "sharpe": None}
    assert "nothing to judge" in summary.survival(trading)


def test_luck_of_trials_and_used_test_span():
    made = report_sample.outcome()
    assert "the best of 3 worthless trials" in summary.paragraph(made)
    assert "not fresh: 2 other configurations had been tried on these data." in summary.paragraph(made)
    made["run"] |= {"opened_before": 2, "trials_before": 1}
    assert "not fresh: this configuration had opened it twice before and 1 other" in summary.paragraph(made)
    made["run"] |= {"opened_before": 0, "trials_before": 0}
    made["trading"]["strategy"]["trials"] = 1
    assert "not fresh" not in summary.paragraph(made) and "lies above zero is 91.0 %" in summary.paragraph(made)


def test_a_short_test_span_is_warned_of():
    made = report_sample.outcome()
    made["data"]["spans"]["test"] |= {"from": "2024-01-01T00:00", "to": "2024-01-12T23:59"}
    assert ["12 days" in text for text in summary.warnings(made)] == [True]


def test_nothing_to_hold_against_is_said():
    assert "There is no baseline" in summary.paragraph(report_sample.sparse())
    made = report_sample.outcome()
    made["null"] = {}
    assert "No null floor was run" in summary.paragraph(made)


@pytest.mark.parametrize("label", ["open_to_open", "close_to_close", "volatility_direction"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_question_is_put_in_words(label, classes):
    words = {"open_to_open": "next open", "close_to_close": "last close", "volatility_direction": "trailing median"}[
        label
    ]
    text = summary.question(report_sample.config(label, classes)["label"])
    assert words in text and ("hardly" in text) == (classes == 3 and label != "volatility_direction")
