from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.trading_types import Result
from fxtrade.evaluate import trading
from fxtrade.report import markdown, trading_section
from fxtrade.report.plots import PLOTS
from tests.helpers import report_sample

SECTIONS = [
    "Data",
    "How often it is right",
    "Scores",
    "By symbol and by month",
    "What it would have earned",
    "Training",
    "Where it comes from",
]
HOLLOW = re.compile(r"\b(none|nan|null(?! floor))\b", re.IGNORECASE)


def tables(text: str) -> list[list[str]]:
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [lines for lines in blocks if lines[0].startswith("|")]


def cells(text: str, name: str) -> list[str]:
    """The cells of the first table row that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")][1:]


@pytest.fixture(scope="module")
def full() -> str:
    return markdown.document(report_sample.outcome(), PLOTS)


def test_every_plot_has_a_caption():
    assert list(PLOTS) == list(markdown.CAPTIONS)


def test_sections_in_order_and_the_verdict_first(full):
    assert re.findall(r"^## (.*)$", full, re.MULTILINE) == SECTIONS
    assert full.index("The wavenet says whether") < full.index("## Data")


def test_pictures_are_relative_links_to_those_that_exist(full):
    assert set(re.findall(r"!\[.+\]\((.+)\)", full)) == {f"plots/{name}.png" for name in PLOTS}
    assert re.findall(r"\((plots/.*)\)", markdown.document(report_sample.outcome(), ["equity"])) == ["plots/equity.png"]


def test_tables_are_rectangular(full):
    made = report_sample.outcome()
    made["data"]["columns"] = ["high|low"]
    found = tables(markdown.document(made, PLOTS))
    assert len(found) == len(tables(full)) >= 12
    for lines in found:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_accuracies_stand_with_interval_and_coverage(full):
    assert cells(full, "**wavenet**") == ["54.0 [53.0, 55.0]", "56.5 [55.5, 57.5]", "58.5 [57.5, 59.5]"]
    assert cells(full, "null floor: shuffled")[0] == "50.0 [49.0, 51.0]"
    assert "9.7 % (1,000)" in full and "fixed on the validation span" in full


def test_both_labels_stand_side_by_side(full):
    assert cells(full, "tradable: next open to a later open")[0].startswith("54.0")
    assert cells(full, "close to close")[0].startswith("56.0")


def test_best_possible_is_known_on_all_bars_only():
    text = markdown.document(report_sample.outcome("simulated market (planted edge)", best=0.617), ())
    assert cells(text, "best possible") == ["61.7", "–", "–"]
    assert "| best possible |" not in markdown.document(report_sample.outcome(), ())


def test_earnings_of_strategy_and_market(full):
    assert cells(full, "total return") == ["+20.0 %", "+10.0 %"]
    assert cells(full, "Sharpe ratio (a year, from daily returns)") == ["1.50 [0.50, 2.50]", "0.60 [-0.40, 1.60]"]
    assert cells(full, "alpha a year to buy and hold") == ["+30.0 %", "–"]
    assert cells(full, "10") == ["0.50 (+10.0 %)", "0.30 (+10.0 %)", "-0.50 (+10.0 %)"]


def test_every_metric_of_a_backtest_is_shown():
    times = report_sample.START + 3_600_000_000_000 * np.arange(240)
    r = np.random.default_rng(0).normal(0, 0.01, 240)
    wide = np.full((240, 1), 0.5)
    result = Result(np.cumprod(1 + r), wide, {"fee": np.zeros(240)}, wide, r[:, None])
    benchmark = np.random.default_rng(1).normal(0, 0.01, 10)
    made = trading.summary(times, result, {}, benchmark)
    assert made.keys() == report_sample.outcome()["trading"]["strategy"].keys()
    assert made.keys() - {"sharpe_low", "sharpe_high", "daily_sharpe"} == trading_section.METRICS.keys()


def test_the_way_back_to_the_run(full):
    for fact in ("abc123", "fff000", "0.1.0+0123456789ab-modified", "files differed", "jax 0.10.2", "| seed | 7 |"):
        assert fact in full
    assert "git checkout 0123456789ab\n" in full and "cp results/sample-1/config.json" in full
    assert "git checkout" not in markdown.document(report_sample.sparse(), ())


def test_warnings_stand_out():
    text = markdown.document(report_sample.outcome(own=0.6), ())
    assert text.count("> **Leak?") == 1 and text.index("> **Leak?") < text.index("## Data")


def test_the_least_outcome_has_a_report():
    text = markdown.document(report_sample.sparse(), ())
    kept = [name for name in SECTIONS if name not in ("By symbol and by month", "What it would have earned")]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == kept
    assert not HOLLOW.search(text.replace("No null", "")) and cells(text, "**wavenet**") == ["60.0", "62.5", "–"]
    assert "information coefficient" not in text


def test_three_classes():
    text = markdown.document(report_sample.outcome(classes=3), ())
    assert cells(text, "balanced accuracy (%)")[1] == "33.3" and cells(text, "log loss (nats)")[1] == "1.0986"


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.sampled_from(["open_to_open", "close_to_close", "volatility_direction"]),
)
def test_any_number_may_be_missing(seed, share, label):
    text = markdown.document(report_sample.with_holes(report_sample.outcome(label=label), seed, share), PLOTS)
    assert not HOLLOW.search(text.replace("No null", "")), HOLLOW.search(text)


def test_weights_that_adapt_say_how():
    made = report_sample.outcome()
    assert "| adapts by" not in markdown.document(made, ())
    made["run"]["config"]["adapt"]["steps"] = 3
    made["run"]["adapted_at"] = [0.1, 0.0]
    how = "3 steps on the last 672 bars every 168, rate 0.1, 0"
    assert cells(markdown.document(made, ()), "adapts by") == [how]
    made["run"]["config"]["adapt"]["learning_rates"] = [0.0, 0.1]
    assert cells(markdown.document(made, ()), "adapts by") == [how + ", chosen on the validation rows"]


def test_scores_have_the_intervals_that_there_are():
    made = report_sample.outcome()
    text = markdown.document(made, ())
    assert cells(text, "log loss (nats)")[0] == "0.6893 [0.6871, 0.6915]" and cells(text, "rank IC")[0] == "0.042"
    del made["scores"]["intervals"]
    assert cells(markdown.document(made, ()), "log loss (nats)")[0] == "0.6893"
