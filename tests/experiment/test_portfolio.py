"""Portfolios: from a config to a tear sheet, on the simulated market and on the forecasts of a run."""

from __future__ import annotations

import dataclasses
import shutil

import polars as pl
import pytest

from configs import portfolio as preset
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.portfolio_config import PortfolioConfig, SleeveConfig, freeze
from fxtrade.core.trade_config import RuleConfig, TradeConfig
from fxtrade.experiment import portfolio, trade_sheet
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, provenance
from fxtrade.runs.record import BacktestRecord

QUIET = Console(quiet=True)
MOMENTUM = RuleConfig("momentum", {"lookback": 20, "weight": 0.3, "allow_short": True})
HELD = (RuleConfig("allocation", {"method": "equal", "every": 10}),)
RULES = RuleConfig("portfolio_volatility", {"annual_volatility": 0.1}), RuleConfig("buffer", {"width": 0.005})


def config(**changes) -> PortfolioConfig:
    given = {
        "data": {"synth": {"bars": 300, "interval": "1d", "assets": 2, "volatility": 0.03, "edge": 0.0}},
        "first": "2024-03-01",
        "sleeves": {"momentum": SleeveConfig((MOMENTUM,)), "held": SleeveConfig(HELD, budget=2.0)},
        "blend": {"min_bars": 10},
        "benchmark": HELD,
        "trade": TradeConfig(rules=RULES, costs={"fee": {"rate_bps": 10.0}}),
    }
    return freeze(to_config_dict(PortfolioConfig(**given | changes)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return portfolio.run(config(), results, "one", QUIET)


def test_it_writes_a_tear_sheet_and_counts_a_trial(made):
    assert made.name == "portfolio-one"
    record, equity = BacktestRecord.read(made / trade_sheet.RECORD), pl.read_parquet(made / "equity.parquet")
    assert record.metrics["total_return"] == equity["equity"][-1] - 1 != 0
    text = (made / "tearsheet.md").read_text()
    assert "Sleeves: held (67% of the risk): allocation; momentum (33% of the risk): momentum" in text
    assert "portfolio_volatility > buffer" in text
    trials = ledger.read(made.parent)
    assert len(trials) == 1 and trials[0].daily_sharpe == record.metrics["daily_sharpe"] and trials[0].simulated


def test_the_account_begins_at_the_first_bar_with_rules_that_know_the_bars_before(made):
    equity = pl.read_parquet(made / "equity.parquet")
    assert str(equity["timestamp"][0])[:10] == "2024-03-01" and equity["equity"][0] == 1
    assert equity["gross_exposure"][0] == 0 < equity["gross_exposure"][1]  # at once: the rules are warm


def test_another_portfolio_is_another_trial_and_the_same_one_is_not(made):
    own = provenance.portfolio_hash(config())
    other = config(blend={"volatility": 0.3})
    assert provenance.portfolio_hash(config(name="other")) == own != provenance.portfolio_hash(other)
    portfolio.run(config(), made.parent, "again", QUIET)
    hashes = [trial.config_hash for trial in ledger.read(made.parent)]
    assert hashes == [own, own]


def test_a_sleeve_trades_its_own_symbols_alone(tmp_path):
    """SIM0 by one sleeve and SIM1 by another, each a third or two thirds of the risk."""
    apart = {
        "first": SleeveConfig((MOMENTUM,), symbols=("SIM0",)),
        "second": SleeveConfig(HELD, symbols=("!*0",)),
    }
    chosen = config(sleeves=apart)
    data = portfolio.load(chosen, QUIET)
    alone = portfolio.load(dataclasses.replace(chosen, sleeves={"first": apart["first"]}), QUIET)
    found = portfolio.trade_sheet.build_terms(chosen.trade, data.panel).backtest(
        data.panel.bars, portfolio.Strategy(portfolio.build_portfolio(chosen, data))
    )
    assert (found.weight != 0).any(0).all()
    one = dataclasses.replace(chosen, sleeves={"first": apart["first"]})
    found = portfolio.trade_sheet.build_terms(one.trade, alone.panel).backtest(
        alone.panel.bars, portfolio.Strategy(portfolio.build_portfolio(one, alone))
    )
    assert (found.weight[:, 0] != 0).any() and not found.weight[:, 1].any()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sleeves": {}}, "config.sleeves must have at least one sleeve"),
        ({"sleeves": {"x": SleeveConfig((RuleConfig("momentm"),))}}, r"config.sleeves.x.rules\[0\]: there is no rule"),
        (
            {"sleeves": {"x": SleeveConfig((MOMENTUM, RuleConfig("buffer")))}},
            r"config.sleeves.x.rules\[1\]: 'buffer' needs an account.*config.trade.rules",
        ),
        ({"sleeves": {"x": SleeveConfig((RuleConfig("proportional"),))}}, "reads forecasts; name a finished run"),
        ({"sleeves": {"x": SleeveConfig((MOMENTUM,), symbols=("BTC*",))}}, "no symbol is 'BTC\\*'.*SIM0, SIM1"),
        ({"benchmark": (RuleConfig("kill_switch"),)}, r"config.benchmark\[0\]: 'kill_switch' needs an account"),
        ({"first": "2031-01-01"}, "config.first=2031-01-01 leaves no two bars"),
        ({"trade": TradeConfig(coverage=0.2)}, "config.trade.coverage must stay 0.1"),
        ({"trade": TradeConfig(rules=(RuleConfig("bufer"),))}, "did you mean 'buffer'"),
        ({"trade": TradeConfig(assets={"*_PERP": {}})}, "there is no symbol '\\*_PERP'"),
        ({"run": "nowhere"}, "config.data must have no key but path beside config.run"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(changes, message, tmp_path):
    with pytest.raises(FxtradeError, match=message):
        portfolio.run(config(**changes), tmp_path, "x", QUIET)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variant", preset.VARIANTS)
def test_every_preset_has_rules_that_exist(variant):
    chosen = freeze(preset.get_config(variant))
    assert freeze(to_config_dict(chosen)) == chosen
    if variant == "forecast":
        return
    small = {**chosen.data.synth, "bars": 100}
    data = portfolio.load(dataclasses.replace(chosen, data=dataclasses.replace(chosen.data, synth=small)), QUIET)
    portfolio.build_portfolio(chosen, data)
    portfolio.build_benchmark(chosen, data)
    trade_sheet.build_terms(chosen.trade, data.panel)


def test_an_unknown_variant_is_named():
    with pytest.raises(ConfigError, match="there is no variant 'trnd'; did you mean 'trend'"):
        preset.get_config("trnd")


def test_forecasts_of_a_run_are_traded_on_its_test_span(finished, tmp_path):
    """Rules are warmed up on its validation rows; the ledger of the run counts the trial."""
    results = tmp_path / "results"
    shutil.copytree(finished.parent, results)
    run = results / finished.name
    before = len(ledger.read(results))
    chosen = dataclasses.replace(config(), run=str(run), data=PortfolioConfig().data, first=None)
    own = SleeveConfig((RuleConfig("threshold"), RuleConfig("inverse_volatility")))
    chosen = dataclasses.replace(chosen, sleeves={"forecast": own})
    folder = portfolio.run(chosen, tmp_path / "elsewhere", "f", QUIET)
    record = BacktestRecord.read(folder / trade_sheet.RECORD)
    trials = ledger.read(results)
    assert len(trials) == before + 1 and trials[-1].test[0].first == record.traded.first
    assert record.traded.first == trials[0].test[0].first
    equity = pl.read_parquet(folder / "equity.parquet")
    assert equity["equity"][0] == 1 and equity["equity"].is_finite().all() and (equity["gross_exposure"] > 0).any()
