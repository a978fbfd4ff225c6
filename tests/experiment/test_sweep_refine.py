"""Gradient ascent within a sweep: on the rows compared, beside the best set, in report and ledger."""

import dataclasses
import signal

import numpy as np
import polars as pl
import pytest

from configs import sweep as preset
from fxtrade.backtest import grid
from fxtrade.core.errors import ConfigError, Interrupted
from fxtrade.core.sweep_config import SweepConfig, freeze
from fxtrade.core.trade_config import RuleConfig
from fxtrade.experiment import sweep, sweep_data, sweep_refine, sweep_rules, sweep_store
from fxtrade.experiment.sweep_job import Job
from fxtrade.report import sweep_gradient
from fxtrade.report.progress import Console
from fxtrade.report.sweep_schema import Performance, Refined
from fxtrade.runs import ledger

PRICES = ("open", "high", "low", "close")
QUIET = Console(quiet=True)
GRID = {"lookback": (5, 12), "buffer_width": (0.0, 0.02, 0.04), "drawdown_scaling_max_drawdown": (0.2, 0.3, 0.4)}


def config(**changes) -> SweepConfig:
    values = preset.get_config("sizing")
    values.data.synth.bars, values.data.synth.assets, values.null_paths = 300, 2, 0
    values.rule.options, values.refine.steps = {"max_window": 12, "allow_short": True}, 8
    values.grid, values.score = GRID, "calmar"
    values.trade.rules = (RuleConfig("drawdown_scaling"), RuleConfig("buffer"))
    for key, value in changes.items():
        values[key] = value
    return freeze(values)


def job_of(made: SweepConfig, data: sweep_data.SweepData) -> Job:
    return Job(made, sweep_rules.make_grid(made), sweep_rules.rule_factory(made, data.given), data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return sweep.run(config(), tmp_path_factory.mktemp("results"), console=QUIET)


def test_the_report_has_where_the_gradient_ended_beside_the_best_set(finished):
    text = (finished / "report.md").read_text()
    section = text.partition("## Gradient")[2].partition("## Heat maps")[0]
    best = pl.read_parquet(finished / "sets.parquet").sort("calmar").row(-1, named=True)
    assert f"The best set's are lookback {best['lookback']:g}" in section and "8 steps of gradient ascent" in section
    assert f"| buffer_width | {best['buffer_width']:g} |" in section and "| Calmar ratio, held out |" in section
    assert "agree" in section and (finished / "plots" / "gradient.png").stat().st_size > 5_000


def test_where_it_ended_is_a_trial_and_so_is_its_test(finished):
    sets, refined, tested, last = ledger.read(finished.parent)
    assert [t.config_hash.removeprefix(sets.config_hash) for t in (refined, tested, last)] == [
        "-gradient",
        "-held-out",
        "-gradient-held-out",
    ]
    assert refined.test == sets.test and last.test == tested.test and last.daily_sharpe != tested.daily_sharpe
    with np.load(finished / "returns.npz") as stored:
        assert refined.daily_sharpe not in stored["daily_sharpe"]


def test_days_held_out_change_nothing():
    made = config()
    data = sweep_data.load(made, QUIET)
    late = np.arange(len(data.panel.times))[:, None] >= data.first_held_out
    bars = data.panel.bars
    changed = {name: np.where(late, 3 * getattr(bars, name), getattr(bars, name)) for name in PRICES}
    other = dataclasses.replace(data.panel, bars=bars.replace(**changed))
    assert not np.array_equal(other.bars.close, bars.close)
    ends = [
        sweep_refine.refine(job_of(made, one), grid.Plateau(4, 1.0, 8, 0.5, 0.1))
        for one in (data, data._replace(panel=other))
    ]
    assert ends[0].parameters == ends[1].parameters
    np.testing.assert_array_equal(ends[0].path, ends[1].path)
    # the score of the ascent is that of the set in a sweep
    np.testing.assert_allclose(ends[0].compared.score, np.nanmax(ends[0].path), rtol=1e-9)
    assert np.nanmax(ends[0].path) > ends[0].path[0]


def test_parameters_that_are_no_real_numbers_stay():
    assert sweep_rules.real_parameters(config()) == ["buffer_width", "drawdown_scaling_max_drawdown"]
    forecast = freeze(preset.get_config("forecast"))
    assert sweep_rules.real_parameters(forecast) == ["bracket_stop", "bracket_target"]
    rising = config(increasing=("buffer_width", "drawdown_scaling_max_drawdown"))
    assert sweep_rules.real_parameters(rising) == []


def test_a_grid_of_windows_alone_is_refused_before_bars_are_read(tmp_path):
    with pytest.raises(ConfigError, match="config.refine.steps: the grid has no parameter"):
        sweep.run(config(grid={"lookback": (5, 12), "buffer_width": (0.02,)}), tmp_path, console=QUIET)


def test_a_parameter_that_only_decides_is_named_and_keeps_the_best_sets_value():
    gate, sizes = {"no_trade_band_band": (0.02, 0.1, 0.2)}, {"drawdown_scaling_max_drawdown": (0.2, 0.4)}
    rules = (RuleConfig("drawdown_scaling"), RuleConfig("no_trade_band"))
    ends = []
    for axes in (gate, gate | sizes):
        values = preset.get_config("sizing")
        values.data.synth.bars, values.data.synth.assets, values.refine.steps = 120, 2, 2
        values.rule.options, values.grid, values.trade.rules = {"lookback": 5, "max_window": 5}, axes, rules
        made = freeze(values)
        job = job_of(made, sweep_data.load(made, QUIET))
        ends.append(sweep_refine.refine(job, grid.Plateau(0, 1.0, 1, 0.5, 0.5)))
    assert ends[0].startswith("the score does not change with no_trade_band_band")
    assert ends[1].flat == ("no_trade_band_band",) and ends[1].parameters["no_trade_band_band"] == 0.02
    assert list(ends[1].moved) == ["drawdown_scaling_max_drawdown"]


def test_an_interrupted_ascent_leaves_the_finished_sets(tmp_path, monkeypatch):
    def interrupted(job, plateau, on_step):
        signal.raise_signal(signal.SIGINT)
        on_step(1)

    monkeypatch.setattr(sweep, "refine", interrupted)
    with pytest.raises(Interrupted, match="the same command resumes"):
        sweep.run(config(), tmp_path, console=QUIET)
    assert len(list((tmp_path / "sweep-sizing" / "parts").rglob("*.npz"))) == 1
    assert not (tmp_path / ledger.LEDGER).exists()
    monkeypatch.setattr(sweep, "refine", lambda job, plateau, on_step: "the market was closed")
    monkeypatch.setattr(sweep_store, "write_chunk", None)  # the sets are read
    folder = sweep.run(config(), tmp_path, console=QUIET)
    assert "No gradient ascent: the market was closed." in (folder / "report.md").read_text()
    assert not (folder / "plots" / "gradient.png").exists() and len(ledger.read(tmp_path)) == 2


@pytest.mark.parametrize(
    "distance, score, verdict",
    [(0.9, 0.1, "they agree"), (1.1, 0.8, "as good as the sets next to it"), (1.1, 0.7, "they do not agree")],
)
def test_the_verdict_counts_steps_of_the_grid_and_compares_with_the_neighbours(distance, score, verdict):
    made = Performance(score, np.nan, np.nan, 0.0, 0.0, 0.0)
    end = Refined({"a": 1.0}, {"a": distance}, (), np.array([0.0, score]), made, neighbours=0.75)
    assert verdict in sweep_gradient.judgement(end)
