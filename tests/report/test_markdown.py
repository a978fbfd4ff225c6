from __future__ import annotations

import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import EncodingConfig, ScalerConfig
from fxtrade.core.trade_config import RuleConfig
from fxtrade.evaluate.results import AuxiliaryResult, Estimate, ReturnScores, ReturnsResult, TradingSummary
from fxtrade.report import markdown, trading_notes, trading_section
from fxtrade.report.plots import PLOTS
from fxtrade.risk import SIZING
from tests.helpers import report_sample

SECTIONS = ["Data", "Accuracy", "Scores", "By symbol and by month", "Trading performance", "Training", "Provenance"]
HOLLOW = re.compile(r"\b(none|nan|null(?! baseline))\b", re.IGNORECASE)
LOSS = "0.6893 [0.6871, 0.6915]"


def tables(text: str) -> list[list[str]]:
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [lines for lines in blocks if lines[0].startswith("|")]


def cells(text: str, name: str) -> list[str]:
    """The cells of the first table row that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")][1:]


@pytest.fixture(scope="module")
def full() -> str:
    return markdown.document(report_sample.report(), PLOTS)


def test_every_plot_has_a_caption():
    assert list(PLOTS) == list(markdown.CAPTIONS)


def test_sections_in_order_and_the_summary_first(full):
    assert re.findall(r"^## (.*)$", full, re.MULTILINE) == SECTIONS
    assert full.index("| accuracy, all bars |") < full.index("The wavenet predicts whether") < full.index("## Data")


def test_pictures_are_relative_links_to_those_that_exist(full):
    assert set(re.findall(r"!\[.+\]\((.+)\)", full)) == {f"plots/{name}.png" for name in PLOTS}
    assert re.findall(r"\((plots/.*)\)", markdown.document(report_sample.report(), ["equity"])) == ["plots/equity.png"]


def test_tables_are_rectangular(full):
    found = tables(markdown.document(report_sample.report(data__columns=("high|low",)), PLOTS))
    assert len(found) == len(tables(full)) >= 12
    for lines in found:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


@pytest.mark.parametrize("name", SIZING)
def test_the_sizing_rule_says_what_is_traded(name):
    text = markdown.document(report_sample.report(config__trade__sizing=RuleConfig(name)), PLOTS)
    assert SIZING[name].description.format(coverage="10 %") in text
    assert ("The threshold of confidence" in text) == SIZING[name].has_threshold


def test_accuracies_stand_with_interval_and_coverage(full):
    assert cells(full, "**wavenet**") == ["54.0 [53.0, 55.0]", "56.5 [55.5, 57.5]", "58.5 [57.5, 59.5]", LOSS]
    assert cells(full, "logistic regression")[3] == "0.6921 [0.6910, 0.6932]" and cells(full, "majority")[3] == "–"
    assert "| logistic regression | +2.00 [+1.00, +3.00] | +2.00 [+1.00, +3.00] |" in full
    assert cells(full, "null baseline: shuffled")[0] == "50.0 [49.0, 51.0]"
    assert "9.7 % (1,000)" in full and "fixed on the validation span" in full


def test_both_labels_stand_side_by_side(full):
    assert cells(full, "next open to a later open (tradable)")[0].startswith("54.0")
    assert cells(full, "close to close")[0].startswith("56.0")


def test_best_possible_is_known_on_all_bars_only():
    text = markdown.document(report_sample.report("simulated market (planted edge)", best=0.617), ())
    assert cells(text, "best possible") == ["61.7", "–", "–", "–"]
    assert "| best possible |" not in markdown.document(report_sample.report(), ())


def test_returns_of_strategy_and_market(full):
    assert cells(full, "total return") == ["+20.0 %", "+10.0 %"]
    assert cells(full, "Sharpe ratio (annual, from daily returns)") == ["1.50 [0.50, 2.50]", "0.60 [-0.40, 1.60]"]
    assert cells(full, "annual alpha to buy and hold") == ["+30.0 %", "–"]
    assert cells(full, "10") == ["0.50 (+10.0 %)", "0.30 (+10.0 %)", "-0.50 (+10.0 %)"]


def test_positions_in_assets_that_ended_are_counted_and_explained():
    made = report_sample.report()
    held = dataclasses.replace(made.trading.strategy, delisted=2)
    ended = dataclasses.replace(made, trading=dataclasses.replace(made.trading, strategy=held))
    text = markdown.document(ended, ())
    assert cells(text, "positions in assets whose bars ended") == ["2", "0"]
    assert "keeps its last price" in text and "keeps its last price" not in markdown.document(made, ())


def test_rules_and_when_each_bound(full):
    assert cells(full, "drawdown_stop") == ["12.5 %", "3", "48", "2024-01-05", "2024-01-09", "80.0 %", "0.0 %"]
    assert cells(full, "kill_switch") == ["0.0 %", "0", "0", "–", "–", "–", "–"]
    assert "### Rules" in full and "A rule binds" in full
    made = report_sample.report()
    without = dataclasses.replace(made, trading=dataclasses.replace(made.trading, rules=()))
    assert "### Rules" not in markdown.document(without, ())


def test_every_metric_of_a_backtest_is_shown():
    fields = {f.name for f in dataclasses.fields(TradingSummary)}
    assert fields - {"daily_sharpe"} == trading_section.METRICS.keys() | trading_notes.EVENTS.keys()


def test_how_to_repeat_the_run(full):
    for fact in ("abc123", "fff000", "0.1.0+0123456789ab-modified", "files differed", "jax 0.10.2", "| seed | 7 |"):
        assert fact in full
    assert "git checkout 0123456789ab\n" in full
    assert "git checkout" not in markdown.document(report_sample.sparse(), ())


def test_warnings_stand_out():
    text = markdown.document(report_sample.report(own=0.6), ())
    assert text.count("> **Leak?") == 1 and text.index("> **Leak?") < text.index("## Data")


def test_the_least_report():
    text = markdown.document(report_sample.sparse(), ())
    kept = [name for name in SECTIONS if name not in ("By symbol and by month", "Trading performance")]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == kept
    assert not HOLLOW.search(text.replace("No null", "")) and cells(text, "**wavenet**") == ["60.0", "62.5", "–", LOSS]
    assert "information coefficient" not in text


def test_three_classes():
    text = markdown.document(report_sample.report(classes=3), ())
    assert cells(text, "balanced accuracy (%)")[1] == "33.3" and cells(text, "log loss (nats)")[1] == "1.0986"


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.sampled_from(["open_to_open", "close_to_close", "volatility_direction"]),
)
def test_any_number_may_be_missing(seed, share, label):
    text = markdown.document(report_sample.with_holes(report_sample.report(label=label), seed, share), PLOTS)
    assert not HOLLOW.search(text.replace("No null", "")), HOLLOW.search(text)


def test_online_finetuning_is_described():
    assert "| online fine-tuning" not in markdown.document(report_sample.report(), ())
    made = report_sample.report(config__adapt__steps=3, training__adapted_at=(0.1, 0.0))
    how = "3 steps on the last 672 bars every 168, learning rate 0.1, 0"
    assert cells(markdown.document(made, ()), "online fine-tuning") == [how]
    made = report_sample.replace(made, config__adapt__learning_rates=(0.0, 0.1))
    assert cells(markdown.document(made, ()), "online fine-tuning") == [how + ", chosen on the validation rows"]


def test_scores_have_their_intervals(full):
    assert cells(full, "log loss (nats)")[0] == "0.6893 [0.6871, 0.6915]" and cells(full, "rank IC")[0] == "0.042"


def test_auxiliary_heads_have_their_tables():
    returns = ReturnsResult(5_000, 0.04, ReturnScores(-4.1, 0.91, 0.3), *[ReturnScores(-4.0, 0.88, math.nan)] * 2)
    made = report_sample.report(auxiliary=AuxiliaryResult({4: report_sample.table(0.53)}, returns))
    text = markdown.document(made, ())
    assert cells(text, "4 bars")[0] == "53.0 [52.0, 54.0]"
    assert cells(text, "trailing volatility") == ["-4.000", "88.0 %", "–"]


def test_the_label_is_told_with_times():
    text = markdown.document(report_sample.report(label="volatility_direction"), PLOTS)
    told = "the next 1 bar (1 hour) lies above or below its median over the last 2,880 bars (120 days)"
    assert text.count(told) == 2  # in the summary and in the table of the data


def test_a_calibration_error_above_its_interval_is_explained():
    made = report_sample.report(scores__ece=Estimate(0.0123, 0.0, 0.0119))
    text = markdown.document(made, PLOTS)
    assert "1.23 [0.00, 1.19]" in text and "its interval is corrected for that, may lie below the value" in text


def test_scaler_and_input_encoding_are_told():
    plain = markdown.document(report_sample.report(), PLOTS)
    assert cells(plain, "scaler of features") == [
        "`robust_zscore`, halflife 500 bars, clip 5 standard deviations; all features are scaled"
    ]
    assert cells(plain, "input encoding") == ["each column as it is"]
    scaler = ScalerConfig(name="rank_normal", window=1_024, winsor=0.01, passthrough=("volatility", "calendar"))
    made = report_sample.report(config__scaler=scaler)
    made = report_sample.replace(made, config__model__encoding=EncodingConfig("piecewise_linear", {"bins": 8}))
    text = markdown.document(made, PLOTS)
    assert cells(text, "scaler of features") == [
        "`rank_normal`, clip 5 standard deviations, window 1,024 bars, limited first to the quantiles 0.01 and 0.99 "
        "of 1,024 bars; not scaled: `volatility`, `calendar`"
    ]
    assert cells(text, "input encoding") == ["`piecewise_linear`, bins 8"]
    made = report_sample.replace(made, config__scaler=ScalerConfig(name="none"))
    assert cells(markdown.document(made, PLOTS), "scaler of features") == ["features are not scaled"]
