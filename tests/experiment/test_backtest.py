"""Backtests of a finished copy on other terms, and of files: equal to the report's and the engine's own numbers."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

import fxtrade as fx
from fxtrade.core.config import DataConfig, LabelConfig, TrainConfig
from fxtrade.core.errors import ConfigError, DataError, FxtradeError
from fxtrade.core.trade_config import FundingConfig, RuleConfig, TradeConfig
from fxtrade.data import bars as bar_files
from fxtrade.experiment import backtest, trade_sheet
from fxtrade.market import costs
from fxtrade.report.progress import Console
from fxtrade.runs import ledger, run_dir
from fxtrade.runs.record import BacktestRecord, RunRecord
from tests.helpers import tiny
from tests.helpers.run_folder import report

QUIET = Console(quiet=True)
FILES = {"backtest.json", "equity.parquet", "plots", "tearsheet.html", "tearsheet.md", "trades.csv", "trades.parquet"}
FREE = TradeConfig(rules=None, costs={})


class TestRun:
    def test_on_its_own_terms_it_is_the_backtest_of_the_report(self, copy):
        made = backtest.of_run(copy, run_dir.load_config(copy), name="same", console=QUIET)
        assert made == copy / "backtest-same" and {p.name for p in made.iterdir()} == FILES
        record, then = BacktestRecord.read(made / trade_sheet.RECORD), report(copy).trading.strategy
        assert record.metrics["total_return"] == then.total_return
        assert record.metrics["daily_sharpe"] == pytest.approx(then.daily_sharpe, nan_ok=True)
        assert record.data_fingerprint == RunRecord.read(copy / run_dir.RECORD).identity.data_fingerprint
        assert len(pl.read_parquet(made / "trades.parquet")) == then.trades

    def test_other_terms_are_another_trial_of_the_same_test_span(self, copy, tmp_path):
        config, before = run_dir.load_config(copy), ledger.read(copy.parent)
        later = dataclasses.replace(config, trade=dataclasses.replace(config.trade, latency=2))
        made = backtest.of_run(copy, later, results=tmp_path / "out", console=QUIET)
        assert made.parent == tmp_path / "out" and made.name.startswith("backtest-2")
        *same, own = ledger.read(copy.parent)
        assert list(map(repr, same)) == list(map(repr, before))
        first = next(trial for trial in before if trial.run == copy.name)
        assert own.run == f"{copy.name}/{made.name}" and own.test == first.test and own.symbols == first.symbols
        assert own.config_hash != first.config_hash and own.data_fingerprint == first.data_fingerprint
        record = BacktestRecord.read(made / trade_sheet.RECORD)
        assert record.trade.latency == 2 and record.metrics["total_return"] == own.metrics["total_return"]
        assert own.metrics["total_return"] != first.metrics["total_return"]

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"train": TrainConfig(steps=7)}, "config.train of .* cannot change: its weights depend on it"),
            ({"data": DataConfig(start="2024-02-01")}, "config.data of .* cannot change"),
            ({"trade": TradeConfig(costs={"fees": {}})}, "there is no cost 'fees'"),
            ({"trade": TradeConfig(rules=(RuleConfig("x"),))}, r"rules\[0\]: there is no rule 'x'"),
            ({"trade": TradeConfig(sizing=RuleConfig("x"))}, "sizing: there is no rule 'x'"),
        ],
    )
    def test_what_cannot_be_traded_is_refused_before_anything_is_read(self, copy, changes, message):
        config = dataclasses.replace(run_dir.load_config(copy), **changes)
        with pytest.raises(ConfigError, match=message):
            backtest.of_run(copy, config, console=QUIET)
        assert not list(copy.glob("backtest-*"))

    def test_a_run_that_is_not_finished_or_not_traded_is_refused(self, copy):
        config, path = run_dir.load_config(copy), copy / run_dir.CONFIG
        record = RunRecord.read(copy / run_dir.RECORD)
        dataclasses.replace(record, result=None).write(copy / run_dir.RECORD)
        with pytest.raises(ConfigError, match="holds no finished run; resume it first with --resume"):
            backtest.of_run(copy, config, console=QUIET)
        volatile = dataclasses.replace(config, label=LabelConfig(name="volatility_direction"))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"label": {"name": "volatility_direction"}}))
        with pytest.raises(ConfigError, match="the label 'volatility_direction' is not traded"):
            backtest.of_run(copy, volatile, console=QUIET)

    def test_other_bars_are_refused(self, copy):
        config, path = run_dir.load_config(copy), copy / run_dir.RECORD
        record = RunRecord.read(path)
        dataclasses.replace(record, identity=dataclasses.replace(record.identity, data_fingerprint="x")).write(path)
        with pytest.raises(DataError, match="these are not the bars of"):
            backtest.of_run(copy, config, console=QUIET)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A folder of bars, a panel of them, and random weights of some rows."""
    folder, drawn = tmp_path_factory.mktemp("bars"), fx.simulate(bars=400, assets=2, interval="1h", seed=3)
    for (symbol,), part in drawn.to_frame().partition_by("symbol", as_dict=True).items():
        part.drop("symbol").write_parquet(folder / f"{symbol}.parquet")
    panel, rng = bar_files.read(folder), np.random.default_rng(0)
    weight = np.where(rng.random((400, 2)) < 0.1, rng.choice([-0.4, 0.0, 0.5], (400, 2)), np.nan)
    return folder, panel, weight


def weights_file(path, panel, weight):
    row, asset = np.nonzero(np.isfinite(weight))
    frame = {
        "timestamp": panel.times[row] // 10**6,
        "symbol": [panel.symbols[a] for a in asset],
        "weight": weight[row, asset],
    }
    pl.DataFrame(frame).write_csv(path)
    return path


class TestFile:
    def test_weights_are_traded_as_the_engine_trades_them(self, market, tmp_path):
        folder, panel, weight = market
        file = weights_file(tmp_path / "w.csv", panel, weight)
        trade = dataclasses.replace(FREE, costs={"fee": {"rate_bps": 5.0}}, latency=1)
        made = backtest.of_file(file, "weights", trade, DataConfig(path=str(folder)), tmp_path, "w", QUIET)
        assert {p.name for p in made.iterdir()} == FILES
        record = BacktestRecord.read(made / trade_sheet.RECORD)
        assert pl.read_parquet(made / "equity.parquet")["equity"][-1] - 1 == record.metrics["total_return"]
        first = int(np.isfinite(weight).any(1).argmax())
        own = fx.backtest(panel.rows(slice(first, None)), weight[first:], market=costs.market(5, latency=1))
        expected = own.equity[-1] - 1
        assert first > 0 and record.traded.first == panel.times[first]
        text = (made / "tearsheet.md").read_text()
        assert f"{first} bars before the first decision left out" in text or first == 1
        assert record.metrics["total_return"] == pytest.approx(expected, rel=1e-12)
        assert (record.source, record.symbols) == (str(file), panel.symbols)

    def test_signals_are_weights_of_equal_parts_of_the_symbols_in_the_file(self, market, tmp_path):
        folder, panel, _ = market
        side = np.random.default_rng(1).integers(0, 12, 400)
        table = {"timestamp": panel.times // 10**6, "symbol": panel.symbols[1], "entry": side == 1, "exit": side == 2}
        pl.DataFrame(table).write_parquet(tmp_path / "s.parquet")
        data = DataConfig(path=str(folder))
        made = backtest.of_file(tmp_path / "s.parquet", "signals", FREE, data, tmp_path, "s", QUIET)
        weight = np.select([side == 1, side == 2], [1.0, 0.0], np.nan)[:, None]
        alone = bar_files.read(folder, symbols=panel.symbols[1:])
        expected = fx.backtest(alone, weight, market=costs.build({})).equity[-1] - 1
        assert BacktestRecord.read(made / trade_sheet.RECORD).symbols == panel.symbols[1:]
        total = BacktestRecord.read(made / trade_sheet.RECORD).metrics["total_return"]
        assert total == pytest.approx(expected, rel=1e-12) and total != 0

    def test_only_named_symbols_are_read_from_the_first_row_on_and_earlier_weights_are_carried_in(
        self, market, tmp_path
    ):
        folder, panel, _ = market
        frame = pl.read_parquet(folder / f"{panel.symbols[1]}.parquet")
        here = tmp_path / "bars"
        here.mkdir()
        for symbol, part in (("LATE", frame[200:]), ("WHOLE", frame), ("OTHER", frame[:50])):
            part.write_parquet(here / f"{symbol}.parquet")
        table = {"timestamp": panel.times[[9, 250]] // 10**6, "symbol": ["WHOLE", "LATE"], "weight": [0.4, 0.5]}
        pl.DataFrame(table).write_csv(tmp_path / "w.csv")
        found = {}
        for name, start in (("all", None), ("late", "2024-01-05")):
            data = DataConfig(path=str(here), start=start)
            made = backtest.of_file(tmp_path / "w.csv", "weights", FREE, data, tmp_path, name, QUIET)
            found[name] = BacktestRecord.read(made / trade_sheet.RECORD), (made / "tearsheet.md").read_text()
        assert all(record.symbols == ("LATE", "WHOLE") for record, _ in found.values())
        assert found["all"][0].traded.first == panel.times[9]
        assert "9 bars before the first decision left out" in found["all"][1]
        read = bar_files.read(here, ("LATE", "WHOLE"), start="2024-01-05", align="union")
        weight = np.full(read.bars.ok.shape, np.nan)
        weight[0, 1], weight[np.searchsorted(read.times, panel.times[250]), 0] = 0.4, 0.5
        expected = fx.backtest(read, weight, market=costs.build({})).equity[-1] - 1
        assert found["late"][0].metrics["total_return"] == pytest.approx(expected, rel=1e-12)
        assert "1 row of " in found["late"][1] and "carried in, decided at the first bar" in found["late"][1]

    def test_rules_change_the_targets_and_stops_give_a_range(self, market, tmp_path):
        folder, panel, _ = market
        file = weights_file(tmp_path / "w.csv", panel, np.full((400, 2), 0.5))
        data, found = DataConfig(path=str(folder)), {}
        once = (RuleConfig("only_changes"),)
        for name, trade in {"all": FREE, "once": dataclasses.replace(FREE, rules=once)}.items():
            made = backtest.of_file(file, "weights", trade, data, tmp_path, name, QUIET)
            found[name] = BacktestRecord.read(made / trade_sheet.RECORD).metrics["total_return"]
        held = np.full((400, 2), np.nan)
        held[0] = 0.5
        assert found["once"] == pytest.approx(
            fx.backtest(panel, held, market=costs.build({})).equity[-1] - 1, rel=1e-12
        )
        assert found["all"] != found["once"]
        stopped = dataclasses.replace(FREE, bracket={"stop": 0.01, "target": 0.01})
        made = backtest.of_file(file, "weights", stopped, data, tmp_path, "stopped", QUIET)
        text = (made / "tearsheet.md").read_text()
        assert "total return by path" in text and "stop 1.0 %, target 1.0 %" in text

    def test_the_tear_sheet_says_when_which_rule_bound(self, market, tmp_path):
        folder, panel, _ = market
        file = weights_file(tmp_path / "w.csv", panel, np.full((400, 2), 0.5))
        rules = (RuleConfig("leverage_limit", {"max_gross_exposure": 0.4}), RuleConfig("kill_switch"))
        trade, data = dataclasses.replace(FREE, rules=rules), DataConfig(path=str(folder))
        made = backtest.of_file(file, "weights", trade, data, tmp_path, "guarded", QUIET)
        text = (made / "tearsheet.md").read_text()
        assert "## Rules: when each bound" in text and "| kill_switch | 0.0 % | 0 | 0 |" in text
        row = next(line for line in text.splitlines() if line.startswith("| leverage_limit |"))
        assert row.startswith("| leverage_limit | 100.0 % | 1 | 400 |") and row.endswith("| 100.0 % | 40.0 % |")
        assert (made / "plots" / "tearsheet_rules.png").exists()

    def test_page_markdown_and_terminal_name_the_benchmark_and_give_notes(self, market, tmp_path, capsys):
        folder, panel, weight = market
        file, data = weights_file(tmp_path / "w.csv", panel, weight), DataConfig(path=str(folder))
        rates = {"timestamp": (panel.times[0] // 10**6 + 8 * 3_600_000 * np.arange(-1, 50)), "funding_rate": 1e-5}
        (tmp_path / "funding").mkdir()
        pl.DataFrame(rates).write_csv(tmp_path / "funding" / f"{panel.symbols[0]}.csv")
        funding = FundingConfig(path=str(tmp_path / "funding"))
        trade = dataclasses.replace(FREE, fee_schedule="binance_spot", funding=funding)
        made = backtest.of_file(file, "weights", trade, data, tmp_path, "w", Console())
        page, text, shown = (
            (made / "tearsheet.html").read_text(),
            (made / "tearsheet.md").read_text(),
            capsys.readouterr(),
        )
        for words in (
            "Buy and hold: equal weights, the same costs and funding.",
            "A capital of 1 always pays the first tier of binance_spot: give config.trade.capital.",
            "settlements left out, because they are outside the time of the bars",
        ):
            assert words in page and words in text and words in " ".join((shown.out + shown.err).split())
        assert "| strategy | buy and hold |" in text and "Warning" not in text
        assert '"name":"buy and hold"' in page and '<ul class="warnings">' not in page

    def test_a_leg_whose_bars_end_and_repeated_targets_with_a_stop_are_warned_of(self, market, tmp_path, capsys):
        folder, panel, _ = market
        here = tmp_path / "bars"
        here.mkdir()
        frame = pl.read_parquet(folder / f"{panel.symbols[0]}.parquet")
        frame[:100].write_parquet(here / "SPOT.parquet")
        frame.write_parquet(here / "PERP.parquet")
        both = dataclasses.replace(panel, symbols=("SPOT", "PERP"))
        file, data = weights_file(tmp_path / "w.csv", both, np.full((100, 2), 0.4)), DataConfig(path=str(here))
        day = str(panel.times[99].astype("M8[ns]"))[:10]
        stopped, once = {"stop": 0.5}, (RuleConfig("only_changes"),)
        for name, became, rules in (("mark", "kept at its last price", None), ("close", "closed", once)):
            trade = dataclasses.replace(FREE, delisted=name, bracket=stopped, rules=rules)
            made = backtest.of_file(file, "weights", trade, data, tmp_path, name, Console())
            sheet, page = (made / "tearsheet.md").read_text(), (made / "tearsheet.html").read_text()
            shown = capsys.readouterr()
            ended = f"The bars of 1 asset end before the data while held: SPOT (last bar {day}, position {became})"
            assert all(ended in x for x in (sheet, page, " ".join((shown.out + shown.err).split())))
            assert ("198 targets repeat the one before" in sheet) is (rules is None)
            assert sheet.startswith(f"# {name}\n") and f"<h1>{name}</h1>" in page

    def test_what_is_missing_or_there_already_is_named(self, market, tmp_path):
        folder, panel, weight = market
        file, data = weights_file(tmp_path / "w.csv", panel, weight), DataConfig(path=str(folder))
        with pytest.raises(ConfigError, match="name the folder or file of its bars with --data"):
            backtest.of_file(file, "weights", FREE, DataConfig(), tmp_path, "w", QUIET)
        with pytest.raises(ConfigError, match="--name a/b must be a plain name"):
            backtest.of_file(file, "weights", FREE, data, tmp_path, "a/b", QUIET)
        (tmp_path / "backtest-w").mkdir()
        with pytest.raises(FxtradeError, match="backtest-w exists already; give another --name"):
            backtest.of_file(file, "weights", FREE, data, tmp_path, "w", QUIET)
        with pytest.raises(DataError, match="above max_gross_exposure = 0.3"):
            small = dataclasses.replace(FREE, max_gross_exposure=0.3)
            backtest.of_file(file, "weights", small, data, tmp_path, "x", QUIET)


def test_the_script(market, copy, tmp_path):
    """The command line: a copy, a file, and mistakes in one line."""
    folder, panel, weight = market
    file = weights_file(tmp_path / "w.csv", panel, weight)
    script = ("scripts/backtest.py", "--results", str(tmp_path / "made"))
    commands = {
        "file": ("--targets", file, "--data", folder, "--name=f", "--config.trade.costs.fee=None"),
        "rule": (
            *("--targets", file, "--data", folder, "--name=o", "--config.trade.bracket.stop=0.05"),
            """--config.trade.rules=({"name": "only_changes"},)""",
        ),
        "run": (f"--run={copy}", "--name", "r", "--config.trade.latency=1"),
        "none": (),
        "both": ("--run", copy, "--targets", file),
        "config": ("--run", copy, "--config", "configs/wavenet.py"),
        "key": ("--run", copy, "--config.train.steps=9"),
        "value": ("--targets", file, "--data", folder, "--config.trade.path=best"),
    }
    started = {name: tiny.python(*script, *map(str, given)) for name, given in commands.items()}
    answers = {name: (*process.communicate(timeout=120), process.returncode) for name, process in started.items()}
    for name, letter in (("file", "f"), ("rule", "o"), ("run", "r")):
        out, err, code = answers[name]
        assert code == 0, err
        page = tmp_path / "made" / f"backtest-{letter}" / "tearsheet.html"
        assert "total return" in out and f"tear sheet: {page}" in out
    assert BacktestRecord.read(tmp_path / "made/backtest-f/backtest.json").trade.costs.keys() == {"half_spread"}
    rule = BacktestRecord.read(tmp_path / "made/backtest-o/backtest.json")
    assert rule.trade.rules == (RuleConfig("only_changes"),)
    for name, message in {
        "none": "give one of --run, --targets and --signals, not none",
        "both": "give one of --run, --targets and --signals, not run and targets",
        "config": "--config cannot be given with --run",
        "key": "config.train of ",
        "value": "config.trade.path must be 'pessimistic'",
    }.items():
        out, err, code = answers[name]
        assert code == 1 and message in err and "Traceback" not in err
