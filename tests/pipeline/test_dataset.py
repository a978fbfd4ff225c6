from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import labels
from fxtrade.core.config import AuxiliaryConfig, DataConfig, LabelConfig, RunConfig, ScalerConfig, SplitConfig
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.data import bar_table, synth, times
from fxtrade.labels.weights import known_at
from fxtrade.pipeline import dataset
from tests.helpers import markets
from tests.helpers.bar_files import START, columns, write
from tests.helpers.book_tables import snapshots

FEATURES = {"log_return": {"horizons": (1, 4)}, "volume_zscore": {"windows": (8,)}}
CONFIG = RunConfig(features=FEATURES, scaler=ScalerConfig(halflife=20.0))


def config(**changes) -> RunConfig:
    return dataclasses.replace(CONFIG, **changes)


@pytest.fixture(scope="module")
def data(panel):
    return dataset.prepare(CONFIG, panel)


class TestLoad:
    def test_the_simulated_market_is_that_of_the_spec(self):
        panel = dataset.load(DataConfig(synth={"bars": 300, "assets": 3, "interval": "15m", "seed": 5, "edge": 0.5}))
        market = synth.simulate(synth.SynthSpec(300, 3, 900 * synth.SECOND, seed=5, edge=0.5))
        np.testing.assert_array_equal(panel.bars.close, market.bars.close)
        np.testing.assert_array_equal(panel.edge, market.edge)
        assert panel.symbols == ("SIM0", "SIM1", "SIM2") and times.format_interval(panel.interval) == "15m"
        assert panel.source == "simulated market (planted edge)" and panel.simulated
        flat = dataset.load(DataConfig(synth={"bars": 300, "edge": 0.0}))
        assert flat.source == "simulated market (random walk)" and (flat.edge == 0.5).all()
        assert panel.planted_edge and flat.simulated and not flat.planted_edge

    def test_files_with_every_choice(self, tmp_path):
        for symbol in "AB":
            write(tmp_path / f"{symbol}.csv", columns(n=40))
        chosen = DataConfig(str(tmp_path), ("B",), "2024-01-01T00:05", "2024-01-01T00:35", resample="5m")
        panel = dataset.load(chosen)
        assert panel.symbols == ("B",) and not panel.simulated
        np.testing.assert_array_equal(panel.times, (START + 300 * np.arange(1, 7)) * 10**9)

    def test_files_of_books_make_rows_of_the_clock(self, tmp_path):
        for symbol in "AB":
            write(tmp_path / f"{symbol}.csv", snapshots(range(0, 8000, 500), range(100, 116)))
        chosen = DataConfig(str(tmp_path), ("B",), "2024-01-01T00:00:02", "2024-01-01T00:00:06")
        panel = dataset.load(chosen)
        assert panel.symbols == ("B",)
        np.testing.assert_array_equal(panel.times, (START + np.arange(2, 6)) * 10**9)
        np.testing.assert_array_equal(panel.bars.close[:, 0], [105, 107, 109, 111])
        updates = dataset.load(dataclasses.replace(chosen, clock=None))
        np.testing.assert_array_equal(np.diff(updates.times), 500_000_000)
        write(tmp_path / "C.csv", columns(n=40))
        assert dataset.load(dataclasses.replace(chosen, symbols=("C",), start=None, end=None)).bars.book is None
        coarse = dataset.load(dataclasses.replace(chosen, clock="500ms", resample="2s"))
        np.testing.assert_array_equal(coarse.bars.book.bid_price[:, 0, 0], [106, 110])

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"bar": 3}, "data.synth has no key 'bar'; did you mean 'bars'"),
            ({"bars": 2}, "bars"),
            ({"bars": "many"}, "bars"),
            ({"edge": -1.0}, "edge"),
        ],
    )
    def test_a_market_that_cannot_be(self, options, message):
        with pytest.raises(ConfigError, match=message):
            dataset.load(DataConfig(synth=options))

    @pytest.mark.parametrize(
        "source, key, value",
        [
            ("simulated", "symbols", ("BTC",)),
            ("simulated", "end", "2024-06-02"),
            ("simulated", "stamp", "close"),
            ("bars", "clock", "5s"),
            ("books", "empty_bars", "flat"),
            ("books", "date_format", "%d/%m/%Y"),
        ],
    )
    def test_a_key_without_effect_is_an_error(self, tmp_path, source, key, value):
        tables = {"bars": columns(n=40), "books": snapshots(range(0, 8000, 500), range(100, 116))}
        path = str(write(tmp_path / "A.csv", tables[source])) if source in tables else None
        with pytest.raises(ConfigError, match=f"data.{key} = .* has no effect on .*{source.rstrip('s')}"):
            dataset.load(DataConfig(path, **{key: value}))

    def test_every_way_of_reading_bars(self, tmp_path):
        times = [f"01/01/2024 00:{minute:02d}" for minute in (1, 2, 4, 5, 6)]
        table = columns(n=5) | {"timestamp": times}
        chosen = {"stamp": "close", "empty_bars": "flat", "date_format": "%d/%m/%Y %H:%M"}
        panel = dataset.load(DataConfig(str(write(tmp_path / "A.csv", table)), **chosen))
        np.testing.assert_array_equal(panel.times, (START + 60 * np.arange(6)) * 10**9)
        assert panel.bars.ok.all() and panel.bars.volume[2, 0] == 0

    def test_an_interval_that_is_none(self):
        with pytest.raises(DataError, match="'hour' is not an interval"):
            dataset.load(DataConfig(synth={"interval": "hour"}))


class TestPrepare:
    @pytest.mark.parametrize("clock", ["1s", None])
    def test_books_go_the_way_of_bars(self, tmp_path, clock):
        """Features, labels and spans of rows that carry a book."""
        mids = 100 + np.cumsum(np.random.default_rng(0).choice([-1, 1], 600)) / 8
        write(tmp_path / "A.csv", snapshots(range(0, 600_000, 1000), mids))
        chosen = config(features={"log_return": {"horizons": (1, 4)}}, data=DataConfig(str(tmp_path), clock=clock))
        made = dataset.prepare(chosen, dataset.load(chosen.data))
        assert made.features.ok.mean() > 0.9 and made.panel.bars.book.bid_price.shape == (600, 1, 2)
        np.testing.assert_allclose(np.nansum(made.labels.ret), np.log(mids[-1] / mids[1]), rtol=1e-4)

    def test_everything_has_a_row_for_every_bar(self, data, panel):
        n, assets = panel.bars.close.shape
        assert data.features.x.shape == (n, assets, 3) and data.features.names == (
            *("log_return_1", "log_return_4"),
            "volume_zscore_8",
        )
        assert data.labels.y.shape == data.features.ok.shape == (n, assets)
        assert np.isfinite(data.features.x).all()

    def test_spans_are_in_time_and_no_label_looks_into_a_later_one(self, data):
        first_valid, first_test = (int(span.argmax()) for span in (data.split.valid, data.split.test))
        assert data.labels.end[data.split.train].max() < first_valid
        assert data.labels.end[data.split.valid].max() < first_test
        present = data.split.train | data.split.valid | data.split.test
        assert present.sum() > 0.9 * len(present)

    def test_rows_in_spans_have_features_and_a_label(self, data):
        inside = data.split.train | data.split.valid | data.split.test
        assert (data.features.ok & np.isfinite(data.labels.ret)).any(1)[inside].all()

    def test_the_embargo_widens_the_gap(self, panel, data):
        wider = dataset.prepare(config(split=SplitConfig(embargo=24)), panel)
        assert wider.split.train.sum() == data.split.train.sum() - 24
        np.testing.assert_array_equal(wider.split.test, data.split.test)

    def test_the_dead_zone_is_that_of_the_training_rows(self, panel, data):
        """Prices after the training span do not move it."""
        three = config(label=LabelConfig(classes=3, horizon=2))
        made = dataset.prepare(three, panel)
        flat = (made.labels.y == 1)[made.split.train].mean()
        assert flat == pytest.approx(three.label.flat_fraction, abs=0.01)
        later = np.arange(len(panel.times))[:, None] > made.labels.end[made.split.train].max()
        wild = {k: np.where(later, getattr(panel.bars, k) ** 3, getattr(panel.bars, k)) for k in bar_table.PRICES}
        moved = dataset.prepare(three, dataclasses.replace(panel, bars=panel.bars.replace(**wild)))
        np.testing.assert_array_equal(moved.labels.y[made.split.train], made.labels.y[made.split.train])
        assert (moved.labels.y != made.labels.y)[made.split.test].any()

    def test_validation_blocks_are_described(self, panel):
        chosen = config(split=SplitConfig(name="by_blocks", options={"blocks": 4}))
        made = dataset.prepare(chosen, panel)
        spans, text = dataset.spans(made), dataset.describe(made)
        assert [len(s) for s in (spans.train, spans.valid, spans.test)] == [4, 4, 1]
        assert all(a.last < b.first for a, b in zip(spans.train, spans.valid, strict=True))
        assert all(a.last < b.first for a, b in zip(spans.valid, (*spans.train[1:], *spans.test), strict=True))
        assert text.count(", 4 blocks between  ") == 2 and "blocks between" not in text.splitlines()[-1]

    def test_a_feature_whose_clock_does_not_fit(self, panel):
        slow = dataclasses.replace(panel, times=25 * panel.times)
        with pytest.raises(ConfigError, match="'volatility_season' needs regular bars .* these are 90000 s long"):
            dataset.prepare(config(features={"volatility_season": {}}), slow)

    def test_labels_are_those_of_the_config(self, panel):
        label = LabelConfig(name="close_to_close", horizon=3)
        made = dataset.prepare(config(label=label), panel)
        np.testing.assert_array_equal(made.labels.y, labels.make(panel.bars, label).y)

    def test_ends_that_differ_by_row_and_asset(self, panel):
        label = LabelConfig("triple_barrier", 8, options={"volatility_window": 50})
        made = dataset.prepare(config(label=label), panel)
        ends = made.labels.end - np.arange(len(panel.times))[:, None]
        assert (ends[:, 0] != ends[:, 1]).any() and set(np.unique(ends[100:-20])) == set(range(2, 10))
        for earlier, later in (("train", "valid"), ("valid", "test")):
            first = int(getattr(made.split, later).argmax())
            rows = getattr(made.split, earlier)
            assert made.labels.end[rows].max() < first
            # nothing else is purged: a row before the border is left out only if its labels or weights reach it
            left = np.flatnonzero(~(made.split.train | made.split.valid | made.split.test))
            near = left[(left > np.flatnonzero(rows)[0]) & (left < first)]
            present = (made.features.ok & np.isfinite(made.labels.ret)).any(1)
            assert len(near) and (known_at(made.labels.end)[near] >= first)[present[near]].all()

    @pytest.mark.parametrize("name", ["open_to_open", "triple_barrier"])
    def test_labels_and_weights_of_a_span_do_not_depend_on_a_later_one(self, panel, name):
        """A missing bar leaves labels before it without an end, and those that overlap them weigh more."""
        chosen = config(label=LabelConfig(name, 8, options={"volatility_window": 50} if "barrier" in name else {}))
        made = dataset.prepare(chosen, panel)
        for earlier, later in (("train", "valid"), ("valid", "test")):
            rows, first = getattr(made.split, earlier), int(getattr(made.split, later).argmax())
            for missing in (slice(first, first + 1), slice(first, None)):
                other = labels.make(markets.gap(panel.bars, missing), chosen.label)
                np.testing.assert_array_equal(other.y[rows], made.labels.y[rows])
                np.testing.assert_array_equal(other.w[rows], made.labels.w[rows])

    def test_unknown_names_are_found_before_anything_is_read(self):
        dataset.check(CONFIG)
        for changes, message in [
            ({"features": {"rsii": {}}}, "no feature 'rsii'; did you mean 'rsi'"),
            ({"scaler": ScalerConfig(name="ew")}, "no scaler 'ew'"),
            ({"label": LabelConfig("tripel_barrier")}, "no label 'tripel_barrier'; did you mean 'triple_barrier'"),
            ({"label": LabelConfig(options={"stop": 1.0})}, "label 'open_to_open' has no option 'stop'"),
            ({"split": SplitConfig(name="by_tme")}, "no split 'by_tme'; did you mean 'by_time'"),
        ]:
            with pytest.raises(ConfigError, match=message):
                dataset.check(config(**changes))

    def test_progress_is_told(self, panel):
        ticks = []
        dataset.prepare(CONFIG, panel, ticks.append)
        assert sum(ticks) == len(panel.times)

    def test_a_horizon_beyond_the_data(self, panel):
        for key, changes in {
            "label.horizon": {"label": LabelConfig(horizon=2_000)},
            "auxiliary.horizons": {"auxiliary": AuxiliaryConfig(horizons=(5, 2_000))},
        }.items():
            with pytest.raises(DataError, match=f"{key}: a label of 2,000 bars does not fit into 2,000 bars of data"):
                dataset.prepare(config(**changes), panel)
        with pytest.raises(DataError, match="label.horizon = 1999: no row of these 2,000 bars has a label"):
            dataset.prepare(config(label=LabelConfig(horizon=1_999)), panel)

    def test_a_half_life_beyond_the_data(self, panel):
        with pytest.raises(DataError, match=r"no row of these 2,000 bars .* scaler.halflife \(here 9000 bars\)"):
            dataset.prepare(config(scaler=ScalerConfig(halflife=9_000.0)), panel)


@given(st.integers(1, 2_000), st.integers(1, 64))
def test_thin_validation(data, most, length):
    thin, valid = dataset.thin_validation(data, length, most), data.split.valid
    assert not (thin & ~valid).any() and thin.any()
    assert 2 * thin.sum() <= max(most, 2 * length)
    if most >= 2 * valid.sum() + 2 * length:
        usable = (data.features.ok & (data.labels.y >= 0)).any(1)
        np.testing.assert_array_equal(thin & usable, valid & usable)


def test_validation_stretches_spread_over_the_span(data):
    rows = np.flatnonzero(dataset.thin_validation(data, 8, 128))
    whole = np.flatnonzero(data.split.valid)
    assert rows.mean() == pytest.approx(whole.mean(), abs=0.1 * len(whole))


def test_symbols_that_are_left_out(tmp_path):
    for symbol in ("AAA", "BBB", "BBC"):
        write(tmp_path / f"{symbol}.parquet", columns(30))
    assert dataset.load(DataConfig(path=str(tmp_path), exclude=("BB*",))).symbols == ("AAA",)
    assert dataset.load(DataConfig(path=str(tmp_path), exclude=("BBC",), symbols=("BBC", "BBB"))).symbols == ("BBB",)
    with pytest.raises(ConfigError, match="data.exclude: no symbol of .* is 'CC\\*'"):
        dataset.load(DataConfig(path=str(tmp_path), exclude=("BBC", "CC*")))
    with pytest.raises(ConfigError, match="leaves no symbol"):
        dataset.load(DataConfig(path=str(tmp_path), exclude=("*",)))
