from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.backtest.trades import trades
from fxtrade.core.market_types import ExecutionPolicy
from fxtrade.core.trade_config import TradeConfig
from fxtrade.core.trading_types import Counts
from fxtrade.evaluate.results import PathCell
from fxtrade.market.costs import market
from fxtrade.report import markdown, trading_notes
from tests.helpers import markets, report_sample
from tests.helpers import tearsheet_sample as sample

PATHS = (PathCell("pessimistic", 0.05, 0.7), PathCell("optimistic", 0.12, 1.4))


def test_every_count_but_that_of_the_table_has_words():
    assert trading_notes.EVENTS.keys() == set(Counts._fields) - {"delisted"}


def test_events_that_did_not_happen_are_not_listed():
    assert trading_notes.describe_events(Counts(delisted=3)) == []
    one, many = trading_notes.describe_events(Counts(liquidated=1, dropped=1_200))
    assert one == "1 position liquidated for want of margin" and many.startswith("1,200 orders dropped, smaller than")


def ending(policy, weight, rows=40, last=24):
    """A panel whose first asset has no bar after row `last`, and the trades of constant weights."""
    panel = sample.panel(rows)
    late = np.arange(last + 1, rows)
    panel = dataclasses.replace(panel, symbols=("SPOT", "PERP"), bars=markets.gap(panel.bars, late, 0 * late))
    target = np.full((rows, 2), np.nan)
    target[3] = weight
    made = engine.backtest(panel.bars, target, market(10), ExecutionPolicy(delisted=policy), record=True)
    return panel, trades(made.executions, panel.bars), made


@pytest.mark.parametrize(
    "policy, became",
    [("mark", "kept at its last price"), ("close", "closed"), ("haircut", "closed"), ("zero", "closed")],
)
@pytest.mark.parametrize("side", [1, -1])
def test_a_position_whose_bars_end_is_named_and_counted(policy, became, side):
    panel, held, made = ending(policy, [0.4 * side, -0.4 * side])
    text = trading_notes.describe_ended(panel, held)
    assert text == f"The bars of 1 asset end before the data while held: SPOT (last bar 2024-01-02, position {became})"
    assert made.counts.delisted == 1


def test_an_asset_that_is_not_held_when_its_bars_end_is_not_named():
    for weight in ([0.0, 0.5], [np.nan, 0.5]):
        panel, held, _ = ending("mark", weight)
        assert trading_notes.describe_ended(panel, held) == ""
    panel, held, _ = ending("mark", [0.4, 0.4], last=39)
    assert trading_notes.describe_ended(panel, held) == ""


def test_repeated_targets_with_exits_are_noted():
    stop = TradeConfig(bracket={"stop": 0.05})
    constant, once = np.full((5, 2), 0.5), np.array([[0.5], [np.nan], [0.5], [0.0], [0.0]])
    text = trading_notes.describe_repeats(constant, stop)
    assert text.startswith("8 targets repeat the one before") and "opens a position again" in text
    assert """--config.trade.rules='({"name": "only_changes"},)'""" in text
    assert trading_notes.describe_repeats(constant[:2, :1], stop).startswith("1 target repeats the one before")
    assert trading_notes.describe_repeats(constant, TradeConfig()) == ""
    assert trading_notes.describe_repeats(once, stop) == ""


@pytest.mark.parametrize("apart, said", [(0.0, False), (0.0009, False), (0.0011, True), (-0.0011, True)])
def test_paths_with_nearly_the_same_return_need_no_words(apart, said):
    paths = (PathCell("pessimistic", 0.05, 0.7), PathCell("optimistic", 0.05 + apart, 0.7))
    assert bool(trading_notes.describe_paths(paths)) is said and not trading_notes.describe_paths(())


def test_a_schedule_without_a_capital_is_noted():
    schedule = TradeConfig(fee_schedule="binance_spot")
    assert "always pays the first tier of binance_spot" in trading_notes.describe_first_tier(schedule)
    each = TradeConfig(assets={"A": {"fee_schedule": "binance_spot"}, "B": {"fee_schedule": "binance_usdt_futures"}})
    assert "first tier of binance_spot and binance_usdt_futures" in trading_notes.describe_first_tier(each)
    others = TradeConfig(), TradeConfig(capital=5.0), dataclasses.replace(schedule, capital=1e6)
    assert [trading_notes.describe_first_tier(trade) for trade in others] == ["", "", ""]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, "Decisions fill from the next open on, at 10 bps of fee and 1 bps of half-spread a side."),
        ({"latency": 2, "costs": {}}, "Decisions fill from the next open on, 2 bars later, at no costs a side."),
        (
            {"fee_schedule": "binance_spot", "capital": 5000.0},
            "at fees of binance_spot and 1 bps of half-spread a side. The account starts with 5,000.",
        ),
        (
            {"bracket": {"stop": 0.05, "break_even": 0.02}, "exits_from": "next_bar"},
            "exits, as shares of its entry price from the bar after it on: stop 5.0 %, break even 2.0 %; path pess",
        ),
        ({"margin": {"initial": 0.1, "maintenance": 0.05}}, "Initial margin 10.0 %, maintenance margin 5.0 %."),
        ({"margin": {"initial": 0.0}}, "Initial margin 0.0 %, maintenance margin 0.0 %."),
        (
            {"margin": {"initial": 0.0, "collateral": 0.0}, "assets": {"PERP": {"margin": {"initial": 0.2}}}},
            "half-spread a side. PERP differs: margin.initial 0.2.",
        ),
        ({"delisted": "close"}, "A position in an asset whose bars end before the data is sold at its last price."),
        ({"limits": {"lot": 2}}, "Limits of orders: lot 2.00. The account starts with 1.00."),
        ({"carry": {"interest": 0.08}}, "Annual rates: borrow 0.0 %, interest 8.0 %."),
        (
            {"assets": {"PERP": {"costs": {"fee": {"rate_bps": 5.0}}, "carry": {"derivative": True}}, "SPOT": {}}},
            "half-spread a side. PERP differs: costs.fee.rate_bps 5, carry.derivative True.",
        ),
        (
            {"assets": {"PERP": {"limits": {"lot": 1}}}},
            "a side. The account starts with 1.00. PERP differs: limits.lot 1.",
        ),
    ],
)
def test_the_terms_of_trade_in_words(changes, words):
    assert words in trading_notes.describe_trade(TradeConfig(**changes))


@pytest.mark.parametrize(
    "delisted, words",
    [
        ("mark", "keeps its last price"),
        ("close", "is sold at its last price"),
        ("haircut", "is closed: a long one 25 % below its last price"),
        ("zero", "is closed: a long one at nothing"),
    ],
)
def test_what_becomes_of_a_delisted_position(delisted, words):
    assert trading_notes.describe_delisted(TradeConfig(delisted=delisted, haircut=0.25)).startswith(words)


def test_the_report_of_a_run_states_paths_events_and_funding():
    plain = report_sample.report()
    assert trading_notes.describe_paths(PATHS) not in markdown.document(plain, ())
    strategy = dataclasses.replace(plain.trading.strategy, liquidated=2)
    traded = dataclasses.replace(plain.trading, strategy=strategy, paths=PATHS, funding="data/funding")
    text = markdown.document(dataclasses.replace(plain, trading=traded), ())
    assert "* A bar does not tell which extreme came first; total return by path: +5.0 % (Sharpe ratio 0.70) p" in text
    assert "+12.0 % (Sharpe ratio 1.40) optimistic." in text
    assert "* 2 positions liquidated for want of margin." in text and "* Funding rates: data/funding." in text
