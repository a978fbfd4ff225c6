"""The folder of a comparison of covariances, and the mistakes that it names."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console as Rich

from configs import covariance as preset
from fxtrade.core.covariance_config import CovarianceConfig, freeze
from fxtrade.core.errors import ConfigError, DataError, FxtradeError
from fxtrade.experiment import covariance_study
from fxtrade.pipeline import dataset
from fxtrade.report.covariance import CovarianceReport
from fxtrade.report.progress import Console
from fxtrade.risk.covariance import COVARIANCES

VALUES = {
    "data": {"synth": {"bars": 200, "interval": "1d", "assets": 3, "edge": 0.0}},
    "estimators": {"sample": {}, "ew": {"halflife": 20.0}, "detoned": {}},
    "window": 40,
    "bootstrap_samples": 100,
}


def config(**changed) -> CovarianceConfig:
    return freeze(VALUES | changed)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    text = io.StringIO()
    console = Console()
    console.rich = Rich(file=text, width=100)
    return covariance_study.run(config(), tmp_path_factory.mktemp("results"), "small", console), text.getvalue()


def test_the_folder(made):
    folder, text = made
    assert {p.name for p in folder.iterdir()} == {"report.md", "report.json", "plots"}
    report = CovarianceReport.read(folder / "report.json")
    assert report.config == config() and report.dates == 32 and report.assets == 3
    assert [s.name for s in report.scores] == ["sample", "ew", "detoned"]
    assert report.fingerprint == dataset.load(config().data).fingerprint()
    page = (folder / "report.md").read_text()
    assert "| ew (halflife 20.0) | " in page and "Singular, which" in page and "32, every 5 bars" in page
    assert "detoned" in text and f"report: {folder / 'report.md'}" in text


def test_returns_of_bars_beside_a_gap_are_missing():
    panel = dataset.load(config().data)
    ok = panel.bars.ok.copy()
    ok[10, 1] = False
    x = covariance_study.returns_of(panel.__class__(**{**vars(panel), "bars": panel.bars.replace(ok=ok)}))
    assert np.isnan(x[0]).all() and np.flatnonzero(np.isnan(x[1:, 1])).tolist() == [9, 10]
    assert x[5, 0] == pytest.approx(float(panel.bars.close[5, 0]) / float(panel.bars.close[4, 0]) - 1)


def test_mistakes(tmp_path, made):
    for changed, error, message in (
        ({"estimators": {}}, ConfigError, "config.estimators must name at least one estimator"),
        ({"reference": "oas"}, ConfigError, "config.reference: config.estimators has no 'oas'"),
        ({"estimators": {"sample": {}, "garber": {}}}, ConfigError, "did you mean 'gerber'"),
        ({"estimators": {"sample": {}, "ew": {"halflife": 0}}}, ConfigError, "option halflife must be above 0"),
        ({"bootstrap_block": "soon"}, DataError, "config.bootstrap_block"),
        ({"window": 199}, DataError, "0 dates with two assets or more in 200 bars, too few for two blocks of 30d"),
    ):
        with pytest.raises(error, match=message):
            covariance_study.run(config(**changed), tmp_path, "wrong", Console(quiet=True))
    assert not list(tmp_path.iterdir())
    with pytest.raises(FxtradeError, match="exists already; give another --name name"):
        covariance_study.run(config(), made[0].parent, "small", Console(quiet=True))


def test_the_preset_has_every_estimator_with_an_inverse():
    config = freeze(preset.get_config())
    assert COVARIANCES.keys() - config.estimators.keys() == {"detoned"} and config.data.path is None
    covariance_study.check(config)
    with pytest.raises(ConfigError, match="has no variants, and none is called 'hourly'"):
        preset.get_config("hourly")
