"""The feature study: it finds what was planted, nothing where nothing is, and never sees the future."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from fxtrade.core.config import RunConfig, freeze
from fxtrade.core.errors import ConfigError, DataError, FxtradeError
from fxtrade.core.files import to_jsonable
from fxtrade.core.registry import to_dict
from fxtrade.data.bars import Panel
from fxtrade.experiment import feature_study
from fxtrade.pipeline import dataset
from fxtrade.report.progress import Console
from fxtrade.runs import provenance, run_dir
from tests.helpers import markets, tiny

DAY, HOUR = 86_400 * 10**9, 3_600 * 10**9
FEATURES = {
    "taker_imbalance": {"windows": (4, 16)},
    "log_return": {"horizons": (1, 4)},
    "volume_zscore": {"windows": (32,)},
    "calendar": {"periods": ("day",)},
}
PLANTED = ("taker_imbalance_4", "taker_imbalance_16")
VALUES = {
    "name": "tiny",
    "features": FEATURES,
    "scaler": {"halflife": 50.0},
    "data": {"synth": {"bars": 8_000, "assets": 2, "interval": "1h", "edge": 1.0, "seed": 3}},
    "study": {"horizons": (1, 6), "bootstrap_samples": 200, "periods": 4},
}


def config(synth: dict[str, Any] | None = None, **options: Any) -> RunConfig:
    """The small study with options of the simulated market and of `study` changed."""
    values = {**VALUES, "data": {"synth": {**VALUES["data"]["synth"], **(synth or {})}}}
    return freeze({**values, "study": {**VALUES["study"], **options}})


def examined(config: RunConfig, panel: Panel | None = None, block: int = DAY) -> dict[str, Any]:
    """The outcome without its files."""
    data = dataset.prepare(config, panel or dataset.load(config.data))
    sample, column = feature_study.select(data, config.study)
    return to_jsonable(feature_study.test_columns(column, data.features.names, sample, config, block))


def test_of(outcome: dict, column: str, horizon: int) -> dict[str, Any]:
    return next(t for t in outcome["tests"] if (t["column"], t["horizon"]) == (column, horizon))


test_of.__test__ = False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return feature_study.run(config(), tmp_path_factory.mktemp("results"), "planted", Console(quiet=True))


@pytest.fixture(scope="module")
def outcome(folder):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads((folder / "study.json").read_text(), parse_constant=refuse)


@pytest.fixture(scope="module")
def gappy():
    """A market with holes: one asset comes late, both have gaps at different times."""
    bars = markets.bars(900, seed=4)
    for start in range(120, 800, 60):
        bars = markets.gap(markets.gap(bars, slice(start, start + 2), 0), slice(start + 30, start + 33), 1)
    bars = markets.gap(bars, slice(0, 200), 1)
    return Panel(bars, HOUR * np.arange(900), ("A", "B"), HOUR, "test")


class TestFolder:
    def test_it_holds_everything_and_nothing_else_is_there(self, folder):
        assert {p.name for p in folder.iterdir()} == {"config.json", "study.json", "study.md", "plots"}
        assert {p.stem for p in (folder / "plots").iterdir()} == {"ic", "columns", "stability", "redundancy"}
        assert [p.name for p in folder.parent.iterdir()] == ["planted"]  # no ledger: it is no trial
        assert run_dir.load_config(folder) == config()

    def test_where_it_comes_from(self, outcome):
        run, data = outcome["run"], outcome["data"]
        assert run["folder"] == "planted" and run["config"] == json.loads(json.dumps(to_dict(config())))
        assert run["data_fingerprint"] == dataset.load(config().data).fingerprint()
        assert {"code", "packages", "seed", "command", "seconds"} < run.keys()
        assert data["symbols"] == ["SIM0", "SIM1"] and data["interval"] == "1h"
        assert 8_000 * 0.6 < data["bars"] < 8_000 * 0.7  # the training span alone
        assert data["rows"] <= 2 * data["bars"]

    def test_the_study_is_not_part_of_a_trial(self):
        assert provenance.config_hash(config(horizons=(2,))) == provenance.config_hash(config())

    def test_stopping_leaves_nothing(self, tmp_path, monkeypatch):
        def stop(folder, outcome):
            assert (folder / "study.json").exists()  # in the middle of writing
            raise KeyboardInterrupt

        monkeypatch.setattr(feature_study.report, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            feature_study.run(config(horizons=(1,)), tmp_path, "stopped", Console(quiet=True))
        assert not list(tmp_path.iterdir())

    def test_the_script(self, tmp_path):
        changes = tiny.OVERRIDES | {"data.synth.bars": 3_000, "study.horizons": "(1, 3)", "study.bootstrap_samples": 50}
        flags = [f"--config.{k}={v}" for k, v in changes.items()]
        arguments = ("scripts/features.py", "--config=configs/wavenet.py", *flags, f"--results={tmp_path}")
        process = tiny.python(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        (made,) = tmp_path.iterdir()
        assert made.name.startswith("tiny-features-") and str(made / "study.md") in out
        assert "tests" in out and "taker_imbalance_16" in out


class TestNumbers:
    @pytest.mark.parametrize("horizon", [1, 6])
    def test_what_was_planted_is_found_with_its_sign(self, outcome, horizon):
        for column in PLANTED:
            test = test_of(outcome, column, horizon)
            assert test["found"] and test["ic"] > 0.05 and test["low"] > test["floor"] > 0
            assert test["q"] < 1e-4 and test["same_sign"] == 1

    def test_the_rest_is_not(self, outcome):
        for column in ("volume_zscore_32", "day_sin", "day_cos"):
            assert not any(test_of(outcome, column, h)["found"] for h in (1, 6))

    def test_an_edge_the_other_way_round_has_the_other_sign(self):
        """Mirrored prices, everything else as it was."""
        panel = dataset.load(config().data)
        bars = panel.bars
        mirrored = {"open": bars.open, "high": bars.low, "low": bars.high, "close": bars.close}
        mirrored = {k: (1e4 / np.asarray(v, np.float64)).astype(np.float32) for k, v in mirrored.items()}
        turned = examined(config(), dataclasses.replace(panel, bars=bars.replace(**mirrored)))
        straight = examined(config(), panel)
        for horizon in (1, 6):
            a, b = (test_of(made, "taker_imbalance_16", horizon) for made in (turned, straight))
            assert a["found"] and a["ic"] == pytest.approx(-b["ic"], abs=1e-3)

    def test_ic_is_spearman_of_every_asset(self, gappy):
        made = config(horizons=(1, 5))
        data = dataset.prepare(made, gappy)
        outcome = examined(made, gappy)
        stop = data.labels.end[data.split.train].max() + 1
        price = np.log(np.asarray(gappy.bars.open[:stop], np.float64))
        for f, column in enumerate(data.features.names):
            for h in (1, 5):
                value = rows = 0
                for a in range(2):
                    opens = lambda t: price[[t + 1, t + 2, t + 6], a]  # noqa: E731, B023
                    ok = data.split.train & data.features.ok[:, a]
                    t = np.array([t for t in range(stop - 6) if ok[t] and np.isfinite(opens(t)).all()])
                    value += len(t) * spearmanr(data.features.x[t, a, f], price[t + 1 + h, a] - price[t + 1, a])[0]
                    rows += len(t)
                assert test_of(outcome, column, h)["ic"] == pytest.approx(value / rows, abs=1e-9)

    def test_periods_and_stability(self, outcome):
        assert len(outcome["periods"]) == 5 and outcome["periods"] == sorted(outcome["periods"])
        for test in outcome["tests"]:
            parts = np.array(test["periods"])
            assert len(parts) == 4 and test["last"] == parts[-1]
            assert test["mean"] == pytest.approx(parts.mean()) and test["std"] == pytest.approx(parts.std(ddof=1))
            assert test["same_sign"] == np.mean(np.sign(parts) == np.sign(test["ic"]))
            assert test["mean"] == pytest.approx(test["ic"], abs=0.02)

    def test_clusters(self, outcome):
        columns = {c["name"]: c for c in outcome["columns"]}
        assert columns["taker_imbalance_16"]["representative"]
        assert {c["place"] for c in columns.values()} == set(range(len(columns)))
        clusters = {c["cluster"] for c in columns.values()}
        assert clusters == set(range(1, len(clusters) + 1))
        assert sum(c["representative"] for c in columns.values()) == len(clusters)
        names, correlation = list(columns), np.array(outcome["correlation"])
        np.testing.assert_allclose(np.diag(correlation), 1)
        everywhere = examined(config(cluster_threshold=1e-9, horizons=(1,)))
        assert len({c["cluster"] for c in everywhere["columns"]}) == 1
        assert names == [c["name"] for c in everywhere["columns"]]

    def test_the_same_seed_gives_the_same_numbers(self, outcome):
        again = examined(config())
        assert json.loads(json.dumps(again)) == {k: outcome[k] for k in again}

    def test_few_blocks_give_no_interval(self):
        made = examined(config({"bars": 2_000}), block=14 * DAY)
        for test in made["tests"]:
            assert test["blocks"] < feature_study.FEW and test["low"] is None and test["p"] is not None

    def test_blocks_are_longer_than_the_horizon(self, outcome):
        assert test_of(outcome, "day_sin", 6)["blocks"] < test_of(outcome, "day_sin", 1)["blocks"]


def test_on_random_walks_nothing_is_found():
    """At 5 % at most one market in twenty has a discovery; 2 or more of 8 have a chance of 6 %."""
    found = 0
    for seed in range(8):
        made = examined(config({"edge": 0.0, "seed": seed, "bars": 6_000}, bootstrap_samples=1))
        found += any(t["found"] for t in made["tests"])
    assert found <= 1


class TestTime:
    @pytest.mark.parametrize("span", ["train", "train+valid"])
    def test_what_comes_after_the_span_changes_nothing(self, span):
        made = config({"bars": 3_000}, span=span)
        panel = dataset.load(made.data)
        data = dataset.prepare(made, panel)
        inside = data.split.train | data.split.valid if span == "train+valid" else data.split.train
        stop = int(data.labels.end[inside].max()) + 1
        assert stop <= np.flatnonzero(data.split.test if span == "train+valid" else data.split.valid)[0]
        before = examined(made, panel)
        assert examined(made, changed(panel, stop)) == before
        assert examined(made, changed(panel, stop - 1)) != before

    def test_the_validation_span_counts_where_it_is_asked_for(self):
        rows = {}
        for span in ("train", "train+valid"):
            data = dataset.prepare(config({"bars": 2_000}), dataset.load(config({"bars": 2_000}).data))
            sample, _ = feature_study.select(data, config(span=span).study)
            rows[span] = set(sample.times[sample.place])
        assert rows["train"] < rows["train+valid"]
        assert max(rows["train+valid"]) < data.panel.times[data.split.test].min()


def changed(panel: Panel, start: int) -> Panel:
    """Every number of every bar from row `start` on is another one."""
    rng = np.random.default_rng(0)

    def other(a):
        if a.dtype != np.float32:
            return a
        return np.concatenate([a[:start], a[start:] * rng.uniform(0.5, 2, a[start:].shape).astype(np.float32)])

    return dataclasses.replace(panel, bars=jax.tree.map(other, panel.bars))


class TestAwkward:
    def sample(self, assets: int = 2) -> tuple[feature_study.Sample, np.random.Generator]:
        rng = np.random.default_rng(0)
        asset, place = np.repeat(np.arange(assets), 900), np.tile(np.arange(900), assets)
        returns = feature_study.rank_within_assets(rng.standard_normal(900 * assets), asset, assets)[None]
        return feature_study.Sample(returns, asset, place, HOUR * np.arange(900), assets), rng

    def outcome(self, sample, columns: dict[str, np.ndarray]) -> dict:
        made = config(horizons=(1,))
        values = list(columns.values())
        return to_jsonable(feature_study.test_columns(lambda f: values[f], tuple(columns), sample, made, DAY))

    def test_a_constant_column_is_undefined_and_no_error(self):
        sample, rng = self.sample()
        outcome = self.outcome(sample, {"flat": np.ones(1800), "noise": rng.standard_normal(1800)})
        flat, noise = outcome["tests"]
        assert [flat[k] for k in ("ic", "low", "high", "floor", "p", "q", "same_sign")] == [None] * 7
        assert not flat["found"]
        assert noise["q"] == noise["p"] > 0.01  # one test that counts

    def test_where_it_is_constant_in_one_asset_it_says_nothing_there(self):
        sample, _ = self.sample()
        column = np.concatenate([sample.returns[0][:900], np.ones(900)])
        (test,) = self.outcome(sample, {"half": column})["tests"]
        assert test["ic"] == pytest.approx(0.5)

    def test_one_column(self):
        sample, rng = self.sample(1)
        outcome = self.outcome(sample, {"only": rng.standard_normal(900)})
        assert outcome["correlation"] == [[1.0]] and outcome["columns"][0]["cluster"] == 1

    def test_prices_that_never_move(self):
        sample, rng = self.sample()
        sample = sample._replace(returns=np.zeros((1, 1800)))
        (test,) = self.outcome(sample, {"noise": rng.standard_normal(1800)})["tests"]
        assert test["ic"] is None and test["p"] is None

    def test_more_periods_than_rows(self):
        sample, rng = self.sample(1)
        made = config(horizons=(1,), periods=2_000)
        x = rng.standard_normal(900)
        (test,) = feature_study.test_columns(lambda f: x, ("noise",), sample, made, DAY)["tests"]
        assert len(test["periods"]) == 2_000 and np.isnan(test["periods"]).all()


class TestMistakes:
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"span": "test"}, "config.study.span = 'test': must be 'train' or 'train.valid'; test stays closed"),
            ({"horizons": ()}, "config.study.horizons"),
            ({"horizons": (1, 1)}, "config.study.horizons = .*must be distinct"),
            ({"horizons": (0,)}, "config.study.horizons"),
            ({"fdr": 0.0}, "config.study.fdr"),
            ({"cluster_threshold": 1.5}, "config.study.cluster_threshold"),
            ({"periods": 0}, "config.study.periods"),
            ({"bootstrap_samples": 0}, "config.study.bootstrap_samples"),
            ({"horizon": 3}, "config.study has no key 'horizon'; did you mean 'horizons'"),
        ],
    )
    def test_config(self, options, message):
        with pytest.raises(ConfigError, match=message):
            config(**options)

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"horizons": (1, 5_600)}, "study.horizons: 5600 bars do not fit into the train span of"),
            ({"block": "1x"}, "'1x' is not an interval"),
            ({"bootstrap_block": "52w"}, "study.bootstrap_block = '52w' .*: the span is one block alone"),
        ],
    )
    def test_data(self, tmp_path, options, message):
        with pytest.raises(DataError, match=message):
            feature_study.run(config(**options), tmp_path, "run", Console(quiet=True))
        assert not list(tmp_path.iterdir())

    def test_an_empty_span(self, gappy):
        made = config()
        data = dataset.prepare(made, gappy)
        data = data._replace(features=data.features.replace(ok=data.features.ok & ~data.split.train[:, None]))
        with pytest.raises(DataError, match="no row of the train span has features and the returns"):
            feature_study.select(data, made.study)

    def test_places(self, folder, tmp_path):
        with pytest.raises(FxtradeError, match="planted exists already; give another --run name"):
            feature_study.run(config(), folder.parent, "planted", Console(quiet=True))
        with pytest.raises(ConfigError, match="--run a/b must be a plain name"):
            feature_study.run(config(), tmp_path, "a/b", Console(quiet=True))
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(FxtradeError, match="file cannot be written: .*; choose another place with --results"):
            feature_study.run(config(), tmp_path / "file", "run", Console(quiet=True))
