"""Tests of columns: they find what was planted, nothing where nothing is, and never read the future."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from fxtrade.core.config import RunConfig
from fxtrade.core.errors import DataError
from fxtrade.data.panel import Panel
from fxtrade.evaluate import columns
from fxtrade.evaluate.results import FeatureTest
from fxtrade.pipeline import dataset
from tests.helpers import markets
from tests.helpers.tiny_study import DAY, HOUR, PLANTED, config


def evaluated(config: RunConfig, panel: Panel | None = None, block: int = DAY) -> columns.ColumnResults:
    data = dataset.prepare(config, panel or dataset.load(config.data))
    sample, column = columns.select(data, config.study)
    return columns.evaluate_columns(column, data.features.names, sample, config, block)


def test_of(outcome: columns.ColumnResults, column: str, horizon: int) -> FeatureTest:
    return next(t for t in outcome.tests if (t.column, t.horizon) == (column, horizon))


test_of.__test__ = False


@pytest.fixture(scope="module")
def outcome():
    return evaluated(config())


@pytest.fixture(scope="module")
def gappy():
    """A market with holes: one asset comes late, both have gaps at different times."""
    bars = markets.bars(900, seed=4)
    for start in range(120, 800, 60):
        bars = markets.gap(markets.gap(bars, slice(start, start + 2), 0), slice(start + 30, start + 33), 1)
    bars = markets.gap(bars, slice(0, 200), 1)
    return Panel(bars, HOUR * np.arange(900), ("A", "B"), HOUR, "test")


class TestNumbers:
    @pytest.mark.parametrize("horizon", [1, 6])
    def test_what_was_planted_is_found_with_its_sign(self, outcome, horizon):
        for column in PLANTED:
            test = test_of(outcome, column, horizon)
            assert test.discovery and test.ic > 0.05 and test.low > test.null_quantile > 0
            assert test.q < 1e-4 and test.same_sign == 1

    def test_nothing_else_is_found(self, outcome):
        for column in ("volume_zscore_32", "day_sin", "day_cos"):
            assert not any(test_of(outcome, column, h).discovery for h in (1, 6))

    def test_an_edge_the_other_way_round_has_the_other_sign(self):
        """Mirrored prices, everything else as it was."""
        panel = dataset.load(config().data)
        bars = panel.bars
        mirrored = {"open": bars.open, "high": bars.low, "low": bars.high, "close": bars.close}
        mirrored = {k: (1e4 / np.asarray(v, np.float64)).astype(np.float32) for k, v in mirrored.items()}
        turned = evaluated(config(), dataclasses.replace(panel, bars=bars.replace(**mirrored)))
        straight = evaluated(config(), panel)
        for horizon in (1, 6):
            a, b = (test_of(made, "taker_imbalance_16", horizon) for made in (turned, straight))
            assert a.discovery and a.ic == pytest.approx(-b.ic, abs=1e-3)

    def test_ic_is_spearman_of_every_asset(self, gappy):
        made = config(horizons=(1, 5))
        data = dataset.prepare(made, gappy)
        outcome = evaluated(made, gappy)
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
                assert test_of(outcome, column, h).ic == pytest.approx(value / rows, abs=1e-9)

    def test_periods_and_stability(self, outcome):
        assert len(outcome.periods) == 5 and (np.diff(outcome.periods) > 0).all()
        for test in outcome.tests:
            parts = np.array(test.periods)
            assert len(parts) == 4 and test.last == parts[-1]
            assert test.mean == pytest.approx(parts.mean()) and test.std == pytest.approx(parts.std(ddof=1))
            assert test.same_sign == np.mean(np.sign(parts) == np.sign(test.ic))
            assert test.mean == pytest.approx(test.ic, abs=0.02)

    def test_clusters(self, outcome):
        found = {c.name: c for c in outcome.columns}
        assert found["taker_imbalance_16"].representative
        assert {c.place for c in found.values()} == set(range(len(found)))
        clusters = {c.cluster for c in found.values()}
        assert clusters == set(range(1, len(clusters) + 1))
        assert sum(c.representative for c in found.values()) == len(clusters)
        names, correlation = list(found), outcome.correlation
        np.testing.assert_allclose(np.diag(correlation), 1)
        everywhere = evaluated(config(cluster_threshold=1e-9, horizons=(1,)))
        assert len({c.cluster for c in everywhere.columns}) == 1
        assert names == [c.name for c in everywhere.columns]

    def test_the_same_seed_gives_the_same_numbers(self, outcome):
        assert repr(evaluated(config())) == repr(outcome)

    def test_few_blocks_give_no_interval(self):
        made = evaluated(config({"bars": 2_000}), block=14 * DAY)
        for test in made.tests:
            assert test.blocks < columns.FEW_BLOCKS and np.isnan(test.low) and not np.isnan(test.p)

    def test_blocks_are_longer_than_the_horizon(self, outcome):
        assert test_of(outcome, "day_sin", 6).blocks < test_of(outcome, "day_sin", 1).blocks


@pytest.mark.slow
def test_on_random_walks_nothing_is_found():
    """At 5 % at most one market in twenty has a discovery; 2 or more of 8 have a chance of 6 %."""
    found = 0
    for seed in range(8):
        made = evaluated(config({"edge": 0.0, "seed": seed, "bars": 6_000}, bootstrap_samples=1))
        found += any(t.discovery for t in made.tests)
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
        before = repr(evaluated(made, panel))
        assert repr(evaluated(made, changed(panel, stop))) == before
        assert repr(evaluated(made, changed(panel, stop - 1))) != before

    def test_the_validation_span_counts_where_it_is_asked_for(self):
        rows = {}
        for span in ("train", "train+valid"):
            data = dataset.prepare(config({"bars": 2_000}), dataset.load(config({"bars": 2_000}).data))
            sample, _ = columns.select(data, config(span=span).study)
            rows[span] = set(sample.times[sample.row])
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
    def sample(self, assets: int = 2) -> tuple[columns.Sample, np.random.Generator]:
        rng = np.random.default_rng(0)
        asset, place = np.repeat(np.arange(assets), 900), np.tile(np.arange(900), assets)
        returns = columns.rank_within_assets(rng.standard_normal(900 * assets), asset, assets)[None]
        return columns.Sample(returns, asset, place, HOUR * np.arange(900), assets), rng

    def outcome(self, sample, values: dict[str, np.ndarray]) -> columns.ColumnResults:
        arrays = list(values.values())
        return columns.evaluate_columns(lambda f: arrays[f], tuple(values), sample, config(horizons=(1,)), DAY)

    def test_a_constant_column_is_undefined_and_no_error(self):
        sample, rng = self.sample()
        outcome = self.outcome(sample, {"flat": np.ones(1800), "noise": rng.standard_normal(1800)})
        flat, noise = outcome.tests
        numbers = (flat.ic, flat.low, flat.high, flat.null_quantile, flat.p, flat.q, flat.same_sign)
        assert np.isnan(numbers).all()
        assert not flat.discovery
        assert noise.q == noise.p > 0.01  # one test that counts

    def test_where_it_is_constant_in_one_asset_it_says_nothing_there(self):
        sample, _ = self.sample()
        column = np.concatenate([sample.returns[0][:900], np.ones(900)])
        (test,) = self.outcome(sample, {"half": column}).tests
        assert test.ic == pytest.approx(0.5)

    def test_one_column(self):
        sample, rng = self.sample(1)
        outcome = self.outcome(sample, {"only": rng.standard_normal(900)})
        assert outcome.correlation == pytest.approx(np.ones((1, 1))) and outcome.columns[0].cluster == 1

    def test_prices_that_never_move(self):
        sample, rng = self.sample()
        sample = sample._replace(returns=np.zeros((1, 1800)))
        (test,) = self.outcome(sample, {"noise": rng.standard_normal(1800)}).tests
        assert np.isnan(test.ic) and np.isnan(test.p)

    def test_more_periods_than_rows(self):
        sample, rng = self.sample(1)
        made = config(horizons=(1,), periods=2_000)
        x = rng.standard_normal(900)
        (test,) = columns.evaluate_columns(lambda f: x, ("noise",), sample, made, DAY).tests
        assert len(test.periods) == 2_000 and np.isnan(test.periods).all()


class TestHoles:
    """Held-out blocks between training rows."""

    HORIZONS = (1, 5, 40)

    @pytest.fixture(params=["train", "train+valid"])
    def holed(self, request):
        """Data whose test rows are two blocks in the middle, and validation rows another; only the label is purged."""
        made = config(horizons=self.HORIZONS, span=request.param)
        data = dataset.prepare(
            made, Panel(markets.bars(1500, seed=4), HOUR * np.arange(1500), ("A", "B"), HOUR, "test")
        )
        rows = np.arange(1500)
        test = ((rows >= 500) & (rows < 600)) | ((rows >= 900) & (rows < 960))
        valid = (rows >= 700) & (rows < 800)
        reach = data.labels.end.max(1)
        train = data.split.train | data.split.valid | data.split.test
        for block in (test, valid):
            ahead = np.array([block[t + 1 : end + 1].any() for t, end in enumerate(reach)])
            train &= ~block & ~ahead
        held_out = test | valid if request.param == "train" else test
        return data._replace(split=data.split.replace(train=train, valid=valid, test=test)), made.study, held_out

    def test_prices_of_rows_that_are_held_out_do_not_matter(self, holed):
        data, study, held_out = holed
        bars = data.panel.bars
        names = ("open", "high", "low", "close")
        wild = {n: np.where(held_out[:, None], 1e3, getattr(bars, n)).astype(np.float32) for n in names}
        other = data._replace(panel=dataclasses.replace(data.panel, bars=bars.replace(**wild)))
        for one, two in zip(columns.select(data, study)[0], columns.select(other, study)[0], strict=True):
            np.testing.assert_array_equal(one, two)

    def test_rows_are_kept_up_to_the_longest_horizon(self, holed):
        data, study, held_out = holed
        sample, _ = columns.select(data, study)
        inside = data.split.train | (data.split.valid if study.span == "train+valid" else False)
        kept = np.unique(sample.row) + np.flatnonzero(inside)[0]
        stop = data.labels.end[inside].max() + 1
        ok = data.features.ok.any(1)
        expected = [
            t for t in np.flatnonzero(inside & ok) if t + 1 + 40 < stop and not held_out[t + 1 : t + 1 + 40 + 1].any()
        ]
        np.testing.assert_array_equal(kept, expected)
        assert max(expected) > 960 and min(expected) < 400


@pytest.mark.parametrize("horizon", [1, 3, 50])
def test_reaches_equals_a_loop(horizon):
    rows = np.random.default_rng(horizon).random(60) < 0.1
    expected = [rows[t + 1 : t + 1 + horizon + 1].any() for t in range(60)]
    np.testing.assert_array_equal(columns.reaches(rows, horizon), expected)


def test_an_empty_span(gappy):
    made = config()
    data = dataset.prepare(made, gappy)
    data = data._replace(features=data.features.replace(ok=data.features.ok & ~data.split.train[:, None]))
    with pytest.raises(DataError, match="no row of the train span has features and the returns"):
        columns.select(data, made.study)
