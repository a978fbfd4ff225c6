from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fxtrade.experiment import dataset, judging, recipes
from tests import tiny, tiny_comparison


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a tiny run that nothing disturbed; not to be changed."""
    return tiny.carry_out(tmp_path_factory.mktemp("results"), "finished")


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of it, alone in its results folder with its ledger."""
    shutil.copytree(finished.parent, tmp_path / "results")
    return tmp_path / "results" / finished.name


@pytest.fixture(scope="module")
def few_features():
    """Markets of comparisons without the many features of their presets, whose compilation takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        original = recipes.presets.market

        def small(variant, model):
            config = original(variant, model)
            config.features = {}
            return config

        patch.setattr(recipes.presets, "market", small)
        yield


@pytest.fixture(scope="module")
def tiny_market(few_features):
    """That of the tiny comparison."""
    own = recipes.market_config(tiny_comparison.config(), "sim")
    return judging.market("sim", own, dataset.load(own.data), 128)
