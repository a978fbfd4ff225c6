"""Sweeps over the forecasts of a run: compared on its validation rows, tested on its test rows."""

import shutil

import numpy as np
import polars as pl
import pytest

from configs import sweep as preset
from fxtrade.backtest import engine
from fxtrade.backtest.sweep import DAY
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.errors import FxtradeError
from fxtrade.core.sweep_config import freeze
from fxtrade.experiment import sweep, sweep_data, sweep_rules, sweep_store
from fxtrade.pipeline import build
from fxtrade.report.progress import Console
from fxtrade.risk import RULES, exits, sizing
from fxtrade.risk.rule import chain
from fxtrade.risk.toward import only_changes
from fxtrade.runs import ledger, run_dir
from fxtrade.runs.record import RunRecord

QUIET = Console(quiet=True)


def config(folder, **grid):
    values = preset.get_config("forecast")
    values.run, values.null_paths, values.null_block = str(folder), 1, "4h"
    values.grid = grid or {"coverage": (0.1, 0.5), "bracket_stop": (0.01, 0.5)}
    return freeze(values)


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """The folder of a finished run, alone in its results folder with its ledger."""
    results = tmp_path_factory.mktemp("run") / "results"
    shutil.copytree(finished.parent, results)
    return results / finished.name


@pytest.fixture(scope="module")
def data(run):
    return sweep_data.load(config(run), QUIET)


@pytest.fixture(scope="module")
def swept(run, tmp_path_factory):
    """The folder of a sweep elsewhere, and the trials that it added to the ledger of the run."""
    before = len(ledger.read(run.parent))
    folder = sweep.run(config(run), tmp_path_factory.mktemp("elsewhere"), console=QUIET)
    return folder, ledger.read(run.parent)[before:]


def test_a_set_is_the_backtest_of_its_threshold(run, data, swept):
    panel, forecast = data.compared
    threshold = RunRecord.read(run / run_dir.RECORD).result.threshold  # that of a coverage of 0.1
    rule = chain(
        sizing.threshold(threshold=threshold, horizon=run_dir.load_config(run).label.horizon),
        only_changes(),
        exits.bracket(stop=0.01),
    )
    terms = build.build_terms(config(run).trade, panel)
    result = engine.backtest_rule(panel.bars, rule, *terms[:4], forecast=forecast)
    first = pl.read_parquet(swept[0] / "sets.parquet").row(0, named=True)
    assert (first["coverage"], first["bracket_stop"]) == (0.1, 0.01) and first["trades"] > 0
    np.testing.assert_allclose(first["total_return"], result.equity[-1] - 1, rtol=1e-9, atol=1e-12)


def test_the_ledger_of_the_run_counts_the_sets_wherever_the_sweep_lies(run, swept):
    folder, (sets, tested) = swept
    assert not (folder.parent / ledger.LEDGER).exists()
    assert len(ledger.read_sweep(run.parent / sets.sweep)) == 4
    assert tested.data_fingerprint != sets.data_fingerprint


def test_other_weights_are_another_sweep(run, data):
    here, there = (sweep_store.identify(config(path), data.panel, data.weights) for path in (run, run / ".." / "x"))
    assert here == there != sweep_store.identify(config(run), data.panel, "other")


def test_sets_are_compared_on_days_with_forecasts(data, swept):
    (panel, forecast), compared = data.compared, np.load(swept[0] / "returns.npz")["days"]
    assert (compared // DAY == np.unique(panel.times[forecast.ok.any(1)] // DAY)).all()


def test_it_sees_no_row_of_the_training_and_tests_on_those_of_the_run(run, data):
    record = RunRecord.read(run / run_dir.RECORD)
    assert data.panel.times[0] == record.spans.valid[0].first
    assert data.panel.times[data.first_held_out] == record.spans.test[0].first
    sure = np.asarray(sizing.confidence(data.forecast))[: data.first_held_out].ravel()
    purged = len(sure) - len(data.given.confidence)  # rows whose labels reach into the test span choose no threshold
    assert 0 < purged < 10 and (sure[:-purged] == data.given.confidence).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"run": None}, "threshold reads forecasts; name a finished run with config.run"),
        ({"grid": {"coverage": (0.1,), "threshold": (0.2,)}}, "coverage chooses the threshold"),
        ({"grid": {"horizon": (1, 2)}}, "horizon cannot be swept"),
        ({"grid": {"coverage": (0.0, 0.5)}}, "coverage=0.0 is not a share"),
        ({"rule": {"name": "proportional", "options": {}}}, "has no parameter 'coverage'"),
        ({"data": {"symbols": ("A",)}}, "have no key but path beside config.run"),
        ({"run": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_named(run, changes, message, tmp_path):
    values = to_config_dict(config(run))
    with values.unlocked():
        values.update(changes)
    with pytest.raises(FxtradeError, match=message):
        sweep.run(freeze(values), tmp_path, console=QUIET)


def test_the_gate_of_a_run_s_forecasts_is_that_of_its_backtest(run, data):
    """Parameters of a following rule are swept, on the terms of the market and with the horizon of the label."""
    values = preset.get_config("gate")
    values.run, values.null_paths = str(run), 0
    values.grid = {"cost_gate_margin": (0.0, 0.1), "cost_gate_keep_margin": (0.0, 0.05)}
    values.trade.costs = {"fee": {"rate_bps": 0.5}}
    made, horizon = freeze(values), run_dir.load_config(run).label.horizon
    panel, forecast = data.compared
    terms = build.build_terms(made.trade, panel)
    rule = chain(
        sizing.proportional(horizon=horizon),
        RULES["cost_gate"](margin=0.1, keep_margin=0.05, horizon=horizon, cost_per_value=5e-5),
    )
    expected = engine.backtest_rule(panel.bars, rule, *terms[:4], forecast=forecast)
    factory = sweep_rules.rule_factory(made, data.given)
    own = factory(cost_gate_margin=0.1, cost_gate_keep_margin=0.05)
    found = engine.backtest_rule(panel.bars, own, *terms[:4], forecast=forecast)
    np.testing.assert_array_equal(found.equity, expected.equity)
    free = engine.backtest_rule(panel.bars, chain(sizing.proportional(horizon=horizon)), *terms[:4], forecast=forecast)
    assert 0 < found.traded.sum() < free.traded.sum()
