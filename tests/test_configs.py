"""Every config file with every variant: it freezes, and names what exists."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from typing import get_args

import jax
import pytest

from configs import common
from fxtrade import features, labels, models
from fxtrade.comparison import grid
from fxtrade.core.config_dict import freeze
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Bars
from fxtrade.data.planted import SIGNALS
from fxtrade.data.synth import SignalName
from fxtrade.data.times import parse_interval
from tests.helpers import markets

ALONE = {
    "portfolio",
    "comparison",
    "learner",
    "presets",
    "common",
    "backtest",
    "covariance",
    "sweep",
}  # of many runs or none; what the others share
ROOT = Path(__file__).parents[1]
FILES = sorted({p.stem for p in (ROOT / "configs").glob("*.py")} - ALONE)
EVERY = [(file, variant) for file in FILES for variant in common.MARKETS]


def module(file: str):
    return importlib.import_module(f"configs.{file}")


def columns_of(variant: str) -> Bars:
    """Bars with the columns that the data of a variant have."""
    bars = markets.bars(4)
    return bars.replace(quote_volume=None, trades=None, taker_buy=None) if variant == "bars" else bars


def test_there_are_some():
    assert "wavenet" in FILES


@pytest.mark.parametrize("file, variant", EVERY)
class TestEvery:
    def test_it_freezes_with_a_name_of_its_own(self, file, variant):
        config = freeze(module(file).get_config(variant))
        assert config.name == f"{file}-{variant}"

    def test_model_label_and_features_exist(self, file, variant):
        config = freeze(module(file).get_config(variant))
        model = models.build(config.model.name, config.model.options, models.HeadSpec(config.label.classes))
        names = features.names(config.features, columns_of(variant))
        assert len(names) == len(set(names)) > 10
        assert config.label.name in labels.LABELS
        shapes = jax.eval_shape(lambda: models.init(model, jax.random.PRNGKey(0), 2, len(names)))
        assert models.parameter_count(shapes) < 1_000_000
        parse_interval(config.report.bootstrap_block)

    def test_an_evaluation_falls_within_the_run(self, file, variant):
        config = freeze(module(file).get_config(variant))
        assert config.train.eval_every <= config.train.steps
        assert config.optim.warmup < config.train.steps

    def test_its_header_says_how_to_start_it(self, file, variant):
        assert f"python scripts/train.py --config configs/{file}.py" in module(file).__doc__
        assert variant == "sim" or variant in module(file).__doc__  # sim is the default


@pytest.mark.parametrize("file", FILES)
class TestFile:
    def test_its_default_needs_no_data(self, file):
        config = freeze(module(file).get_config())
        assert not config.data.path and config.data.synth["bars"] > 10_000 and config.data.synth["edge"] == 1

    def test_the_random_market_differs_from_it_by_the_edge_alone(self, file):
        sim, random = (module(file).get_config(v).to_dict() for v in ("sim", "random"))
        assert random["data"]["synth"].pop("edge") == 0 and sim["data"]["synth"].pop("edge") == 1
        assert {**random, "name": ""} == {**sim, "name": ""}

    def test_an_unknown_variant(self, file):
        with pytest.raises(ConfigError, match="there is no variant 'hour'; did you mean 'hourly'"):
            module(file).get_config("hour")

    def test_configs_do_not_share_what_can_be_changed(self, file):
        """Overriding one must not leak into the next."""
        changed = module(file).get_config()
        changed.features.log_return.horizons = (7,)
        changed.model.options.dropout = 0.9
        changed.data.synth.bars = 1
        fresh = freeze(module(file).get_config())
        assert fresh.features["log_return"].get("horizons") != (7,)
        assert fresh.model.options["dropout"] != 0.9 and fresh.data.synth["bars"] != 1


def test_the_learner_has_a_market_for_each_signal_but_the_default():
    config = grid.freeze(importlib.import_module("configs.learner").get_config())
    signals = {cell.stages[0].data.synth["signal"] for cell in grid.cells(config, dict.fromkeys(config.markets, 4))}
    assert signals == SIGNALS.keys() - {"flow"} == {*config.markets}
    assert "mlp" in config.models and get_args(SignalName) == tuple(SIGNALS)
    with pytest.raises(ConfigError, match="there is no variant 'lags'; did you mean 'lag'"):
        importlib.import_module("configs.learner").get_config("lags")


def test_the_page_on_data_downloads_every_folder_of_the_comparison():
    page = (ROOT / "docs" / "data.md").read_text().replace("\\\n", " ")
    commands = [shlex.split(line)[2:] for line in page.splitlines() if line.startswith("python scripts/fetch.py")]
    specs = [importlib.import_module("scripts.fetch").parse(command) for command in commands]
    intervals = {str(spec.out): spec.interval for spec in specs if spec.interval is not None}  # bars, not funding
    markets = importlib.import_module("configs.comparison").MARKETS.values()
    wanted = {f"data/{changes['data']['path']}" for changes in markets if "data" in changes}
    assert wanted == intervals.keys()
    assert intervals["data/bars_15m"] == "15m" and intervals["data/bars_1h"] == "1h"


@pytest.mark.parametrize("file", ["learner", "comparison"])
def test_what_a_budget_counts(file):
    """The steps of the docstring's example use the bars that it names."""
    config = importlib.import_module(f"configs.{file}").get_config("sim" if file == "comparison" else "lag")
    config.update(budget=409_600, evaluations=1, recipes=("plain",))
    (cell, *_) = grid.cells(grid.freeze(config), {config.markets[0]: 4})
    text = " ".join(module(file).__doc__.split())
    train = cell.stages[0].train
    assert f"{train.steps} steps of {train.batch} segments of {train.segment_length} bars" in text
    assert f"of 4 symbols are {config.budget:,}" in text


def test_presets_try_every_recipe_on_every_task():
    file = importlib.import_module("configs.presets")
    config = grid.freeze(file.get_config())
    found = grid.cells(config, dict.fromkeys(config.markets, 4))
    assert {(cell.market, cell.recipe) for cell in found} == {
        (market, recipe) for market in file.TASKS for recipe in ("plain", *file.RECIPES)
    }
    for name, cell in ((cell.recipe, cell) for cell in found):
        assert (cell.stages[0].model.encoding.name == "none") == ("unencoded" in name)
