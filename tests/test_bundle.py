"""A bundle decides what the backtest of its run has decided, bar by bar and in odd chunks, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from fxtrade import bundle
from fxtrade.core import stream
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.core.stream import Stream
from fxtrade.core.trade_config import RuleConfig
from fxtrade.ensemble.mixture import mixture
from fxtrade.evaluate import trading
from fxtrade.experiment import run
from fxtrade.pipeline import dataset, predict
from fxtrade.pipeline.build import build_model
from fxtrade.report.progress import Console
from fxtrade.runs import run_dir
from fxtrade.runs.record import RunRecord
from fxtrade.train.segments import loss_weight
from tests.helpers import tiny


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """The folder of a tiny run of three members with encoded features."""
    changes = {
        "train.ensemble.size": 3,
        "train.steps": 10,
        "label.horizon": 3,
        "model.encoding.name": "piecewise_linear",
        "model.encoding.options": {"edges": "quantiles", "bins": 8},
    }
    return tiny.run_tiny(tmp_path_factory.mktemp("results"), "ensemble", changes)


def backtested(folder, loaded):
    """The bars, the first row of the backtest, and its targets."""
    config = run_dir.load_config(folder)
    data = dataset.prepare(config, dataset.load(config.data))
    forecast = mixture([predict.score(build_model(config), params, data.features) for params in loaded.params])
    panel, threshold, strategy = trading.traded(data, forecast, loaded.config.trade, config.label.horizon)
    target = strategy.targets(panel.bars)
    assert threshold == loaded.threshold
    return data.panel.bars, len(data.panel.times) - len(panel.times), target


def rows_of(bars, rows: slice):
    return jax.tree.map(lambda a: a[rows], bars)


RULES = {
    "default": None,
    "none": {"rules": None},
    "two": {"rules": (RuleConfig("only_changes"), RuleConfig("only_changes"))},
    "bought": {"rules": (RuleConfig("buy_and_hold"), RuleConfig("only_changes"))},
    "longer": {"sizing": RuleConfig("threshold", {"horizon": 5})},
}


QUICK = pytest.param("default", "finished")
MORE = [(rules, kind) for kind in ("finished", "ensemble") for rules in RULES if (rules, kind) != QUICK.values]


@pytest.mark.parametrize("rules, kind", [QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)])
def test_the_targets_are_those_of_the_backtest(kind, rules, request):
    folder = request.getfixturevalue(kind)
    loaded = bundle.load(folder)
    assert loaded.threshold == json.loads((folder / run_dir.REPORT).read_text())["trading"]["threshold"]
    if changes := RULES[rules]:
        trade = dataclasses.replace(loaded.config.trade, **changes)
        loaded = loaded._replace(config=dataclasses.replace(loaded.config, trade=trade))
    bars, first, expected = backtested(folder, loaded)
    assert np.nan_to_num(expected).any() and np.isnan(expected).any() == (rules != "none")
    decided = bundle.decide(loaded, rows_of(bars, slice(first)))
    start = decided.init(rows_of(bars, slice(1)))
    for chunk in (1, 7, 64, len(expected)):
        rows = slice(first, first + 40 if chunk == 1 else None)
        targets = stream.run(Stream(lambda _: start, decided.step), rows_of(bars, rows), chunk)
        np.testing.assert_array_equal(targets, expected[: len(targets)])


@pytest.mark.slow
def test_the_edges_of_an_encoding_are_those_of_the_training_rows(ensemble, tmp_path):
    """Also after the run is resumed for more steps."""
    shutil.copytree(ensemble.parent, tmp_path / "results")
    folder, config = tmp_path / "results" / ensemble.name, run_dir.load_config(ensemble)
    data = dataset.prepare(config, dataset.load(config.data))
    rows = data.features.x[loss_weight(data.features, data.labels, np.asarray(data.split.train)) > 0]
    expected = np.quantile(rows, np.linspace(0, 1, 9), axis=0).T.astype(np.float32)
    first = bundle.load(folder).params
    run.resume(folder, 40, Console(quiet=True))
    last = bundle.load(folder).params
    for before, after in zip(first, last, strict=True):
        np.testing.assert_array_equal(before["encoding"]["edges"], expected)
        np.testing.assert_array_equal(after["encoding"]["edges"], expected)
        assert np.any(before["encoding"]["kernel"] != after["encoding"]["kernel"]), "the best step is still the first"


def test_an_account_begins_empty_after_the_history(finished):
    """Without a history the rules have followed targets since the first bar, that no account has traded."""
    loaded = bundle.load(finished)
    bars, first, expected = backtested(finished, loaded)
    targets = stream.run(bundle.decide(loaded), bars)[first:]
    before = stream.run(bundle.decide(loaded), rows_of(bars, slice(first)))
    assert np.isfinite(before).any()
    np.testing.assert_array_equal(targets[1:], expected[1:])
    assert np.isfinite(expected[0]).all()


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
