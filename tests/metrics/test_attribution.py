from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import attribution as m
from fxtrade.metrics.trades import trade_returns
from tests.helpers.refusals import refused

HOUR = 3600 * 10**9
START = int(datetime(2023, 3, 1, 5, tzinfo=UTC).timestamp()) * 10**9  # a Wednesday
QUICK = settings(deadline=None, max_examples=40)


def account(seed=0, bars=200, assets=3):
    rng = np.random.default_rng(seed)
    ret = rng.standard_t(4, (bars, assets)) * 0.01
    weight = rng.choice([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0], (bars, assets))
    return rng.normal(0, 0.01, (bars, assets)), rng.random((bars, assets)) * 1e-3, weight, ret


def split(seed, bars, assets):
    pnl, cost, weight, ret = account(seed, bars, assets)
    times = START + np.arange(bars) * 7 * HOUR
    parts = {
        "asset": m.by_asset(pnl, cost, [f"A{i}" for i in range(assets)]),
        "side": m.by_side(pnl, cost, weight),
        "hour": m.by_hour(pnl, cost, times),
        "weekday": m.by_weekday(pnl, cost, times),
        "volatility": m.by_volatility(pnl, cost, ret, 10),
    }
    return pnl, cost, parts


@QUICK
@given(st.integers(0, 999), st.integers(1, 120), st.integers(1, 4))
def test_the_parts_sum_to_the_whole(seed, bars, assets):
    pnl, cost, parts = split(seed, bars, assets)
    for name, rows in parts.items():
        for column, whole in (("profit", pnl.sum()), ("cost", cost.sum()), ("net", pnl.sum() - cost.sum())):
            assert sum(getattr(row, column) for row in rows) == pytest.approx(whole, abs=1e-12), (name, column)
        assert all(row.net == pytest.approx(row.profit - row.cost, abs=1e-15) for row in rows)


def test_hours_and_weekdays_are_those_of_the_calendar():
    pnl, cost, parts = split(0, 300, 2)
    opens = [datetime.fromtimestamp(START // 10**9, UTC) + timedelta(hours=7 * i) for i in range(300)]
    for part in parts["hour"]:
        rows = [o.strftime("%H") == part.name for o in opens]
        assert part.profit == pytest.approx(pnl[rows].sum(), abs=1e-12)
    for part in parts["weekday"]:
        rows = [o.strftime("%A") == part.name for o in opens]
        assert part.cost == pytest.approx(cost[rows].sum(), abs=1e-12)
    assert len(parts["hour"]) == 24 and len(parts["weekday"]) == 7


def test_assets_keep_their_names():
    pnl, cost, parts = split(0, 50, 3)
    assert [p.name for p in parts["asset"]] == ["A0", "A1", "A2"]
    np.testing.assert_allclose([p.net for p in parts["asset"]], (pnl - cost).sum(0), atol=1e-14)


@QUICK
@given(st.integers(0, 999))
def test_sides_are_those_of_the_trades(seed):
    """Each side alone, the other made flat, earns what its trades earn."""
    pnl, cost, weight, _ = account(seed, 60, 1)
    before = np.append(0, weight[:-1, 0])
    signs, trades = [], trade_returns(weight, pnl, cost)
    for now, was in zip(weight[:, 0], before, strict=True):
        if now and np.sign(now) != np.sign(was):
            signs.append(np.sign(now))
        elif not now and not was:
            signs.append(0)
    long, short, flat = (p.net for p in m.by_side(pnl, cost, weight))
    sides = np.array(signs)
    np.testing.assert_allclose([long, short, flat], [trades[sides == s].sum() for s in (1, -1, 0)], atol=1e-12)


def regime_bar_by_bar(ret, window):
    volatility, regime = [], []
    for t in range(len(ret)):
        seen = ret[t - window : t]
        value = np.sqrt((seen**2).mean()) if t >= window and np.isfinite(seen).all() else np.nan
        if np.isnan(value) or len(volatility) < window:
            regime.append(3)
        else:
            regime.append(min(int(3 * (np.array(volatility) <= value).mean() + 1e-12), 2))
        if not np.isnan(value):
            volatility.append(value)
    return regime


@QUICK
@given(st.integers(0, 999), st.integers(1, 150), st.integers(1, 12))
def test_regimes_equal_a_walk_bar_by_bar(seed, bars, window):
    rng = np.random.default_rng(seed)
    ret = rng.normal(size=(bars, 2)) * np.exp(rng.normal(size=(bars, 1)))
    ret[rng.random((bars, 2)) < 0.02] = np.nan
    expected = np.stack([regime_bar_by_bar(column, window) for column in ret.T], 1)
    np.testing.assert_array_equal(m.volatility_regime(ret, window), expected)


def test_regimes_do_not_depend_on_the_bar_itself_and_on_later_ones():
    ret = account(bars=300)[3]
    changed = ret.copy()
    changed[150:] = 5.0
    before, after = m.volatility_regime(ret, 20), m.volatility_regime(changed, 20)
    np.testing.assert_array_equal(before[:151], after[:151])
    assert (before[151:] != after[151:]).any()


def test_regimes_of_independent_returns_are_about_thirds():
    regime = m.volatility_regime(np.random.default_rng(0).normal(size=(6000, 2)), 24)
    assert (regime[:47] == 3).all() and (regime[48:] != 3).all()
    for k in range(3):
        assert np.mean(regime[48:] == k) == pytest.approx(1 / 3, abs=0.05)


def test_a_turbulent_year_after_a_calm_one_is_high():
    ret = np.random.default_rng(0).normal(size=(400, 1)) * np.repeat([0.01, 0.05], 200)[:, None]
    pnl = np.repeat([1.0, 2.0], 200)[:, None]
    parts = {p.name: p.profit for p in m.by_volatility(pnl, 0 * pnl, ret, 20)}
    assert parts["high"] > 0.8 * 400 and parts["unknown"] == 40


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.by_asset(np.ones((3, 2)), np.ones((3, 1)), ["A", "B"]), DataError, "equal"),
        (lambda: m.by_asset(np.ones((3, 2)), np.ones((3, 2)), ["A"]), DataError, "1 symbols for 2 assets"),
        (lambda: m.by_side(np.ones((3, 2)), np.ones((3, 2)), np.full((3, 2), np.nan)), DataError, "finite"),
        (lambda: m.by_hour(np.ones((3, 2)), np.ones((3, 2)), [0, 1]), DataError, "those of the 3 bars"),
        (lambda: m.by_volatility(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1)), 2), DataError, "shape of pnl"),
        (lambda: m.volatility_regime(np.ones((3, 2)), 0), ConfigError, "at least 1 bar"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
