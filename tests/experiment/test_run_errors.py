"""Mistakes that are found before training starts, and leave no folder, so that the name is free for the next try."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.pipeline import dataset, training
from tests.helpers import tiny
from tests.helpers.bar_files import columns, write
from tests.helpers.run_folder import files

BAD = {
    "unknown model": ({"model.name": "wavnet"}, "there is no model 'wavnet'; did you mean 'wavenet'?"),
    "unknown option": ({"model.options.width": 4}, "model 'wavenet' has no option 'width'"),
    "option of the wrong type": ({"model.options": {"layers": 2.5}}, "option layers must be int, got 2.5"),
    "unknown feature": ({"features": {"log_retrun": {}}}, "no feature 'log_retrun'; did you mean 'log_return'?"),
    "unknown feature option": ({"features": {"log_return": {"horizon": 1}}}, "feature 'log_return' has no option"),
    "unknown label": ({"label.name": "open_to_opem"}, "there is no label 'open_to_opem'; did you mean 'open_to_open'?"),
    "unknown market option": ({"data.synth": {"bar": 1}}, "data.synth has no key 'bar'; did you mean 'bars'?"),
    "receptive field": ({"model.options.layers": 10}, "too few bars (1,000): a training segment takes 32 bars"),
    "too few bars": ({"data.synth.bars": 40}, "no row of these 40 bars has both a label and defined features"),
    "half-life": ({"scaler.halflife": 5e3}, "a shorter scaler.halflife (here 5000 bars)"),
    "look-back": ({"adapt.steps": 2, "adapt.lookback": 5_000}, "adapt.lookback = 5000: before the validation rows"),
    "horizon": ({"label.horizon": 200}, "span is empty after purging; use more data, a shorter label.horizon"),
    "horizon beyond the data": ({"label.horizon": 10**9}, "label.horizon: a label of 1,000,000,000 bars does not fit"),
    "block": ({"report.bootstrap_block": "1x"}, "'1x' is not an interval"),
    "resample": ({"data.resample": "90m"}, "data.resample = '90m' is not a multiple of the bars' own interval, 1h"),
    "funding": ({"trade.funding.path": "none"}, "none: there is no such file or folder"),
    "spread": ({"trade.costs": {"quoted_spread": {}}}, "config.trade.costs: quoted_spread needs order books"),
    "coverages": (
        {"report.coverages": (0.5,)},
        "config.report.coverages must start with 1.0 (all forecasts), got (0.5,)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_config_and_data(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(FxtradeError) as e:
        tiny.run_tiny(tmp_path / "results", "run", {"features": tiny.SMALL} | changes)
    assert message in str(e.value) and "\n" not in str(e.value)
    assert not (tmp_path / "results").exists()


def test_a_feature_whose_column_is_missing(tmp_path, gappy):
    own = {"data.path": str(gappy), "data.align": "union", "features": {"taker_imbalance": {}}}
    with pytest.raises(FxtradeError, match="'taker_imbalance' needs the column taker_buy_base, .*leave the feature"):
        tiny.run_tiny(tmp_path / "results", "run", own)
    assert not (tmp_path / "results").exists()


def test_prices_that_only_rise(tmp_path):
    table = columns(n=1_000, step=3_600)
    table["open"] = 100 * 1.001 ** np.arange(1_000)
    table |= {"close": table["open"] * 1.0005, "low": table["open"], "high": table["open"] * 1.0005}
    with pytest.raises(FxtradeError, match="all training labels are of class 1: there is nothing to learn"):
        own = {"data.path": str(write(tmp_path / "UP.csv", table)), "features": tiny.SMALL}
        tiny.run_tiny(tmp_path / "results", "run", own)


def test_a_name_that_is_a_path(tmp_path):
    with pytest.raises(FxtradeError, match="--run a/b must be a plain name"):
        tiny.run_tiny(tmp_path, "a/b")


def test_a_name_or_a_ledger_that_cannot_be_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train", pytest.fail)
    for name in ("lr[1]", "x" * 300):
        with monkeypatch.context() as patch:
            patch.setattr(dataset, "load", pytest.fail)
            with pytest.raises(FxtradeError, match="--run"):
                tiny.run_tiny(tmp_path, name)
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(FxtradeError, match="ledger.jsonl cannot be read: Is a directory"):
        tiny.run_tiny(tmp_path, "run")
    assert files(tmp_path) == {"ledger.jsonl"}


def test_results_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(FxtradeError, match="results/run cannot be written: .*--results"):
        tiny.run_tiny(tmp_path / "results", "run", {"features": tiny.SMALL})


def test_a_damaged_ledger(tmp_path):
    (tmp_path / "ledger.jsonl").write_text('{"config_hash": "a", "data_fingerprint": "d"}\n{"config_ha\n')
    with pytest.raises(FxtradeError, match="ledger.jsonl, line 2 is damaged; the ledger counts all trials"):
        tiny.run_tiny(tmp_path, "run")
    assert files(tmp_path) == {"ledger.jsonl"}
