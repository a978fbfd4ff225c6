"""A bundle decides what the backtest of its run has decided, bar by bar and in odd chunks, bit for bit."""

from __future__ import annotations

import dataclasses
import json

import jax
import numpy as np
import pytest

from fxtrade import bundle
from fxtrade.core import stream
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.evaluate import trading
from fxtrade.experiment import run
from fxtrade.pipeline import dataset, predict
from fxtrade.pipeline.build import build_rule
from fxtrade.risk.rule import replay
from fxtrade.runs import run_dir
from fxtrade.runs.record import RunRecord
from tests.helpers import tiny


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """The folder of a tiny run of two members."""
    changes = {"train.ensemble.size": 2, "train.steps": 10, "label.horizon": 3}
    return tiny.run_tiny(tmp_path_factory.mktemp("results"), "ensemble", changes)


@pytest.mark.parametrize("kind", ["finished", pytest.param("ensemble", marks=pytest.mark.slow)])
def test_replay_gives_the_targets_of_the_backtest(kind, request):
    folder = request.getfixturevalue(kind)
    loaded, config = bundle.load(folder), run_dir.load_config(folder)
    panel = dataset.load(config.data)
    data = dataset.prepare(config, panel)
    forecast = run.mixture.mixture([predict.score(run.build_model(config), p, data.features) for p in loaded.params])
    rule = build_rule(config.trade, config.label.horizon, loaded.threshold)
    expected = np.asarray(jax.jit(lambda f: replay(rule, f))(forecast))
    assert (expected != 0).any()
    first = int(np.flatnonzero(data.split.test)[0])
    reported = json.loads((folder / run_dir.REPORT).read_text())["trading"]["threshold"]
    assert loaded.threshold == reported
    for chunk in (1, 7, 64, len(panel.times)):
        rows = slice(first + 40) if chunk == 1 else slice(None)
        bars = jax.tree.map(lambda a, rows=rows: a[rows], panel.bars)
        targets = stream.run(bundle.decide(loaded), bars, chunk)
        np.testing.assert_array_equal(targets[first:], expected[first : len(targets)])


def test_the_backtest_trades_the_changes_of_these_targets(finished):
    """The engine's orders are the changes of the bundle's targets, from the first test row on."""
    loaded, config = bundle.load(finished), run_dir.load_config(finished)
    panel = dataset.load(config.data)
    data = dataset.prepare(config, panel)
    forecast = predict.score(run.build_model(config), loaded.params[0], data.features)
    _, times, threshold, orders = trading._orders(data, forecast, config.trade, config.label.horizon)
    targets = stream.run(bundle.decide(loaded), panel.bars)[-len(times) :]
    kept = np.concatenate([[np.zeros(orders.shape[1], bool)], targets[1:] == targets[:-1]])
    assert float(threshold) == loaded.threshold
    np.testing.assert_array_equal(orders, np.where(kept, np.nan, targets))


def test_what_cannot_decide_is_refused(copy):
    path = copy / run_dir.RECORD
    record = RunRecord.read(path)
    untraded = dataclasses.replace(record, result=dataclasses.replace(record.result, threshold=None))
    for made, message in ((untraded, "is not traded"), (dataclasses.replace(record, result=None), "no finished run")):
        made.write(path)
        with pytest.raises(ConfigError, match=message):
            bundle.load(copy)
    path.write_text("{}")
    with pytest.raises(FxtradeError, match="damaged or of an older version"):
        bundle.load(copy)
