"""Labels against loops over their definition, and what each row may look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import labels
from fxtrade.core.config import LabelConfig
from fxtrade.core.errors import ConfigError
from fxtrade.labels import LABELS, horizon
from tests.helpers.causality import futures
from tests.helpers.markets import bars, gap, messy

N = 120
TRAIN = np.arange(N) < 70
OPTIONS = {"volatility_direction": {"median_window": 20}, "triple_barrier": {"volatility_window": 20}}


def make(market, name="open_to_open", h=1, classes=2, train=TRAIN, **options):
    return labels.make(market, LabelConfig(name, h, classes, options=OPTIONS.get(name, {}), **options), train)


def rows_after(n):
    return np.tile(np.minimum(np.arange(N) + n, N - 1)[:, None], 2)


def by_loop(market, f):
    """f(t, a) for every row and asset, NaN where it needs a bar that is not there."""
    out = np.full(market.ok.shape, np.nan)
    for t, a in np.ndindex(out.shape):
        try:
            out[t, a] = f(t, a)
        except IndexError:
            pass
    return out


def doubled(market, rows):
    """With other prices in some rows."""
    return market.replace(**{c: np.where(rows, 2, 1) * getattr(market, c) for c in ("open", "close")})


MARKET = gap(bars(N, seed=1), slice(40, 43), 0)
HOLED = {c: np.asarray(getattr(MARKET, c), np.float64) for c in ("open", "close")}


@pytest.mark.parametrize("h", [1, 3, 10])
def test_tradable_runs_from_the_next_open_to_the_open_h_bars_later(h):
    made = make(MARKET, "open_to_open", h)
    expected = by_loop(MARKET, lambda t, a: np.log(HOLED["open"][t + 1 + h, a] / HOLED["open"][t + 1, a]))
    np.testing.assert_allclose(made.ret, expected, rtol=1e-6)
    np.testing.assert_array_equal(made.y, np.where(np.isnan(expected), -1, expected > 0))
    np.testing.assert_array_equal(made.end, rows_after(1 + h))
    assert np.isnan(made.ret[-1 - h :]).all() and np.isfinite(made.ret[-2 - h]).all()


@pytest.mark.parametrize("h", [1, 3, 10])
def test_close_runs_from_this_close_to_the_close_h_bars_later(h):
    made = make(MARKET, "close_to_close", h)
    expected = by_loop(MARKET, lambda t, a: np.log(HOLED["close"][t + h, a] / HOLED["close"][t, a]))
    np.testing.assert_allclose(made.ret, expected, rtol=1e-6)
    np.testing.assert_array_equal(made.y, np.where(np.isnan(expected), -1, expected > 0))
    np.testing.assert_array_equal(made.end, rows_after(h))


@pytest.mark.parametrize("h", [1, 4])
def test_volatility_is_compared_with_its_own_trailing_median(h):
    close, window = HOLED["close"], 20

    def log_rv(t, a):
        """Of bars t-h+1 .. t."""
        if t < h:
            return np.nan
        steps = np.log(close[t - h + 1 : t + 1, a] / close[t - h : t, a])
        return np.log(np.sqrt(np.sum(steps**2)))

    def value(t, a):
        if t + h >= N:
            return np.nan
        past = np.array([log_rv(s, a) for s in range(max(t - window + 1, 0), t + 1)])
        past = past[np.isfinite(past)]
        return log_rv(t + h, a) - np.median(past) if len(past) >= window // 2 else np.nan

    expected = by_loop(MARKET, value)
    forward = horizon.volatility_direction(MARKET, horizon=h, median_window=window)
    np.testing.assert_allclose(forward.value, expected, rtol=1e-6, atol=1e-9)
    made = make(MARKET, "volatility_direction", h)
    np.testing.assert_array_equal(made.y, np.where(np.isnan(expected), -1, expected > 0))
    np.testing.assert_array_equal(made.end, rows_after(h))
    np.testing.assert_array_equal(np.isfinite(made.ret), np.isfinite(make(MARKET, "close_to_close", h).ret))


def test_volatility_of_a_still_market_is_undefined():
    still = bars(60, volatility=0.0)
    assert (make(still, "volatility_direction", 4, train=None).y == -1).all()


def test_two_classes_leave_zero_moves_out_but_tell_of_them():
    market = bars(30)
    flat = market.replace(open=np.where(np.arange(30)[:, None] % 3 < 2, np.float32(5), market.open))
    made = make(flat, train=None)
    zero = np.asarray(made.ret) == 0
    assert zero.sum() > 10
    assert (made.y[zero] == -1).all() and (made.w[zero] == 0).all()
    moved = np.isfinite(made.ret) & ~zero
    assert (made.y[moved] >= 0).all() and (made.w[moved] > 0).all()


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_three_classes_with_a_dead_zone_for_each_asset(share):
    market = bars(N, volatility=0.01)
    market = market.replace(open=market.open ** np.array([1, 3], np.float32))
    made = make(market, classes=3, flat_fraction=share)
    for a in range(2):
        size = np.abs(np.asarray(made.ret, np.float64)[:, a])
        zone = np.quantile(size[TRAIN], share)
        expected = np.where(size <= zone, 1, np.where(made.ret[:, a] > 0, 2, 0))
        near = np.isclose(size, zone, rtol=1e-5)
        known = np.isfinite(size)
        np.testing.assert_array_equal(made.y[known & ~near, a], expected[known & ~near])
        assert abs((made.y[TRAIN, a] == 1).mean() - share) < 0.03
        assert (made.w[known, a] > 0).all() and (made.y[~known, a] == -1).all()


def test_the_dead_zone_does_not_see_beyond_the_training_rows():
    market = bars(N)
    last = int(make(market).end[TRAIN].max())
    wild = market.replace(open=np.where(np.arange(N)[:, None] > last, market.open * 50, market.open))
    before, after = make(market, classes=3), make(wild, classes=3)
    np.testing.assert_array_equal(before.y[TRAIN], after.y[TRAIN])
    later = np.arange(N) > last
    wilder = make(market.replace(open=np.where(later[:, None], market.open ** np.float32(1.5), market.open)), classes=3)
    moves = np.abs(np.asarray(wilder.ret)[last + 1 : -2])
    np.testing.assert_allclose(moves, 1.5 * np.abs(np.asarray(before.ret)[last + 1 : -2]), rtol=1e-2, atol=1e-6)
    assert (wilder.y[last + 1 : -2] == 1).sum() < (before.y[last + 1 : -2] == 1).sum()


def test_an_asset_without_training_rows_has_no_third_class_to_learn():
    late = gap(bars(N), slice(0, 80), 1)
    made = make(late, classes=3)
    assert (made.y[:, 1] == -1).all() and (made.w[:, 1] == 0).all()
    assert (made.y[:-2, 0] >= 0).all()


@pytest.mark.parametrize("train", [None, np.zeros(N, bool)])
def test_three_classes_need_training_rows(train):
    with pytest.raises(ConfigError, match="label.classes = 3 .* training rows"):
        make(bars(N), classes=3, train=train)


def test_an_unknown_label():
    with pytest.raises(ConfigError, match="there is no label 'open_to_opem'; did you mean 'open_to_open'"):
        make(bars(N), "open_to_opem")


@pytest.mark.parametrize("name", LABELS)
@given(messy(N), st.integers(1, 5), st.integers(0, N - 1))
def test_a_label_looks_at_nothing_after_its_end(name, recipe, h, t):
    market = recipe.bars()
    made = make(market, name, h)
    for end in set(made.end[t].tolist()):
        ended = made.end <= end
        for _, changed in futures(market, end):
            again = make(changed, name, h)
            for field in ("y", "ret", "end"):
                np.testing.assert_array_equal(getattr(again, field)[ended], getattr(made, field)[ended])
    assert made.y.dtype == np.int32 and made.end.dtype == np.int32
    assert made.ret.dtype == np.float32 and made.w.dtype == np.float32
    assert ((made.w > 0) == (made.y >= 0)).all() and (made.w <= 1).all()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("h", [1, 4])
def test_the_end_is_not_later_than_it_must_be(name, h):
    market = bars(N)
    made = make(market, name, h)
    t = 50
    at_end = np.arange(N)[:, None] == made.end[t]
    assert (make(doubled(market, at_end), name, h).ret[t] != made.ret[t]).all()


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_the_tradable_kind_start_after_the_decision(name):
    """Prices up to the close of t are known; a tradable label must not contain them."""
    market, t = bars(N), 50
    past = np.arange(N)[:, None] <= t
    same = np.array_equal(make(doubled(market, past), name).ret[t], make(market, name).ret[t])
    assert same == LABELS[name].tradable


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 100))
def test_short_series_and_long_horizons(rows, h, seed):
    market = bars(rows, seed=seed)
    for name in LABELS:
        made = make(market, name, h, train=None)
        assert made.y.shape == made.ret.shape == made.w.shape == (rows, 2) and made.end.shape == (rows, 2)
        open_end = 2 if LABELS[name].path_dependent else h
        assert (made.y[max(rows - open_end, 0) :] == -1).all()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_further_horizons_come_along(name, classes):
    """Each is the label of that horizon by itself; `end` is that of the longest, so that purging sees it."""
    market, train = bars(120), np.arange(120) < 80
    configs = {h: LabelConfig(name, h, classes, options=OPTIONS.get(name, {})) for h in (2, 1, 7)}
    got = labels.make(market, configs[2], train, horizons=(1, 7))
    alone = {h: labels.make(market, c, train) for h, c in configs.items()}
    np.testing.assert_array_equal(got.y, alone[2].y)
    for i, h in enumerate((1, 7)):
        np.testing.assert_array_equal(got.horizon_y[..., i], alone[h].y)
        np.testing.assert_array_equal(got.horizon_w[..., i], alone[h].w)
    np.testing.assert_array_equal(got.end, alone[7].end)


def test_every_label_says_what_it_is():
    for name, entry in LABELS.items():
        for classes in (2, 3):
            spec = labels.spec(LabelConfig(name, 4, classes))
            assert (spec.name, spec.horizon, spec.classes, spec.tradable) == (name, 4, classes, entry.tradable)
            assert "4 bars" in spec.question and "{" not in spec.question
        assert entry.directional == (entry.persistence is None)
    own = LabelConfig("volatility_direction", 4, options={"median_window": 96})
    assert labels.spec(own).question.endswith("its median over the last 96 bars")
    with pytest.raises(ConfigError, match="there is no label 'open_to_opem'"):
        labels.spec(LabelConfig("open_to_opem"))


def test_labels_that_forecasts_are_compared_on():
    assert list(labels.alternatives(LabelConfig("triple_barrier", 3))) == ["open_to_open", "close_to_close"]
    assert labels.alternatives(LabelConfig("close_to_close", 3))["open_to_open"] == LabelConfig("open_to_open", 3)
    assert not labels.alternatives(LabelConfig("volatility_direction"))
    assert not labels.alternatives(LabelConfig("open_to_open", classes=3))
