"""The simulated market: the planted edge is exact, nothing else is predictable, and it has the stylised facts."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy.special import erf

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.data import planted, synth
from fxtrade.data.planted import MEMORY, SIGNALS
from fxtrade.data.synth import SynthSpec, simulate, up_probability

SPEC = SynthSpec(bars=20_000, assets=3, seed=5)
SMALL = SynthSpec(bars=300, assets=2)  # one shape for all tests that need no statistics


@pytest.fixture(scope="module")
def market():
    return simulate(SPEC)


@pytest.fixture(scope="module")
def walk():
    return simulate(dataclasses.replace(SPEC, edge=0.0))


def up(market):
    """Tradable label of rows 0..N-3: whether the open rises from bar t+1 to bar t+2."""
    return (market.bars.open[2:] > market.bars.open[1:-1]).astype(float)


def hits(market):
    """Whether the rule "up if q > 0.5" is right, rows 0..N-3."""
    return ((market.edge[:-2] > 0.5) == (up(market) > 0.5)).astype(float)


def expected_accuracy(market):
    """Expectation of the accuracy of that rule given the volatility: the mean of 0.5 + |q_t - 0.5| (2 a_t - 1).

    a_t is the probability that the bounce leaves the sign of bar t+1's mid return. The bounces of the two opens differ
    by -2h, 0, 0 or 2h (h: half spread), so a_t = 1 - P(|R_{t+1}| < 2h) / 4 = 1 - erf(sqrt(2) h / sigma_{t+1}) / 4.
    """
    lost = erf(math.sqrt(2) * 1e-4 * market.spec.half_spread / market.sigma[1:-1]) / 4
    return float(np.mean(0.5 + np.abs(market.edge[:-2] - 0.5) * (1 - 2 * lost), dtype=np.float64))


def returns(market):
    return np.diff(np.log(market.bars.close.astype(np.float64)), axis=0)


def imbalance(market):
    return 2 * market.bars.taker_buy.astype(np.float64) / market.bars.volume - 1


def autocorrelation(x, lag):
    return np.mean([np.corrcoef(x[lag:, a], x[:-lag, a])[0, 1] for a in range(x.shape[1])])


def z_score(x):
    """Mean over its standard error of `[n, A]`: assets move together, so only bars count as independent."""
    x = x.mean(1)
    return x.mean() / (x.std() / math.sqrt(len(x)))


def past(market):
    """Candidate features known at the close of t, rows 64..N-3, `[n, A, k]`."""
    r, u, v = np.pad(returns(market), ((1, 0), (0, 0))), imbalance(market), np.log(market.bars.volume)
    bounce = np.log(market.bars.open[1:].astype(np.float64) / market.bars.close[:-1])
    columns = [r, u, v, np.pad(bounce, ((1, 0), (0, 0))), np.log(market.bars.high / market.bars.low), market.sigma]
    lagged = [np.roll(c, k, axis=0) for c in columns for k in (0, 1, 2, 5)]
    slow = [sum(np.roll(c, k, axis=0) for k in range(12)) for c in (r, u)]
    return np.stack(lagged + slow, -1)[64:-2]


def test_columns_keep_the_contract_of_bars(market):
    bars = market.bars
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy"):
        column = getattr(bars, name)
        assert column.shape == (20_000, 3) and column.dtype == np.float32, name
        assert np.isfinite(column).all() and (column > 0).all(), name
    assert bars.ok.dtype == bool and bars.ok.all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.taker_buy < bars.volume).all()
    price = bars.quote_volume / bars.volume
    assert (price >= bars.low * (1 - 1e-6)).all() and (price <= bars.high * (1 + 1e-6)).all()
    assert (bars.trades == np.round(bars.trades)).all()


@pytest.mark.parametrize("seconds", [60, 3_600, 86_400])
def test_clock_starts_on_monday(seconds):
    market = simulate(dataclasses.replace(SMALL, interval=seconds * 10**9))
    opens = market.times.astype("datetime64[ns]")
    assert opens[0] == np.datetime64("2024-01-01T00:00")
    assert (np.diff(market.times) == seconds * 10**9).all()
    monday = (opens.astype("datetime64[D]").astype(int) + 3) % 7 * 86_400
    time_of_day = (opens - opens.astype("datetime64[D]")).astype("timedelta64[s]").astype(int)
    assert (market.bars.second_of_week == monday + time_of_day).all()
    assert market.bars.second_of_week.dtype == np.int32


def test_edge_against_a_loop(market):
    fast = np.array([(k + 1) * math.exp(-k / 3) for k in range(MEMORY)])
    busy = np.array([math.exp(-k / 6) for k in range(MEMORY)])
    for t in (MEMORY - 1, MEMORY, 1_234, len(market.times) - 1):
        for a in range(SPEC.assets):
            newest_first = slice(t, t - MEMORY if t >= MEMORY else None, -1)
            u, v = imbalance(market)[newest_first, a], np.log(market.bars.volume[newest_first, a].astype(np.float64))
            assert len(u) == MEMORY
            pressure = np.average(u, weights=fast)
            surge = np.average(v, weights=busy) - v.mean()
            gate = planted.TILT + math.tanh(planted.SHARPNESS * surge)
            z = planted.STRENGTH * math.tanh(pressure / planted.IMBALANCE) * gate
            assert market.edge[t, a] == pytest.approx((1 + math.erf(z / math.sqrt(2))) / 2, abs=1e-5)
    assert (market.edge[: MEMORY - 1] == 0.5).all()


@pytest.mark.parametrize("signal", SIGNALS)
def test_edge_is_causal_and_remembers_no_more_than_it_says(market, signal):
    memory, rng = SIGNALS[signal].memory, np.random.default_rng(0)
    volume, taker_buy = market.bars.volume[:400], market.bars.taker_buy[:400]
    move = np.abs(rng.standard_normal(volume.shape)).astype(np.float32)
    q = jax.jit(functools.partial(up_probability, edge=1.0, signal=signal))
    before = np.asarray(q(volume, taker_buy, move))
    late = np.arange(400)[:, None] > 300
    after = np.asarray(q(*(np.where(late, x[::-1], x) for x in (volume, taker_buy, move))))
    assert (before[:301] == after[:301]).all()
    assert (before[301:] != after[301:]).any()
    np.testing.assert_allclose(q(volume[:301], taker_buy[:301], move[:301]), before[:301], atol=1e-6)
    short = q(*(x[301 - memory : 301] for x in (volume, taker_buy, move)))
    np.testing.assert_allclose(short[-1], before[300], atol=1e-5)
    assert (before[: memory - 1] == 0.5).all()


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_has_an_oracle_of_about_60_percent(signal):
    market = simulate(dataclasses.replace(SPEC, signal=signal))
    hit = hits(market)
    standard_error = hit.mean(1).std() / math.sqrt(len(hit))
    assert abs(hit.mean() - expected_accuracy(market)) < 3 * standard_error
    assert 0.58 < expected_accuracy(market) < 0.65


@pytest.mark.parametrize("half_spread", [1.0, 60.0])
def test_accuracy_of_the_oracle_equals_the_formula(half_spread):
    market = simulate(dataclasses.replace(SPEC, half_spread=half_spread))
    hit = hits(market)
    standard_error = hit.mean(1).std() / math.sqrt(len(hit))
    assert abs(hit.mean() - expected_accuracy(market)) < 3 * standard_error
    if half_spread == 1.0:
        assert 0.60 < expected_accuracy(market) < 0.62
    else:  # a formula without the bounce would be wrong
        without = float(np.mean(0.5 + np.abs(market.edge - 0.5)))
        assert without - hit.mean() > 5 * standard_error


def test_edge_is_a_calibrated_probability(market):
    q, y = market.edge[:-2], up(market)
    edges = np.quantile(q, np.linspace(0, 1, 9))
    for low, high in zip(edges, edges[1:], strict=False):
        inside = (q >= low) & (q <= high)
        # At most A labels of one bar are correlated: the independent bound times sqrt(A) is safe.
        bound = 3 * math.sqrt(0.25 * SPEC.assets / inside.sum())
        assert abs(y[inside].mean() - q[inside].mean()) < bound
    assert q.max() > 0.7 and q.min() < 0.3


def test_no_other_feature_predicts_the_direction(market):
    surprise = (up(market) - market.edge[:-2])[64:]
    x = past(market)
    x = (x - x.mean((0, 1))) / x.std((0, 1))
    scores = [z_score(surprise * x[..., k]) for k in range(x.shape[-1])]
    assert np.abs(scores).max() < 4
    raw = [z_score((up(market)[64:] - 0.5) * x[..., k]) for k in range(x.shape[-1])]
    assert np.abs(raw).max() > 8  # the same test sees the planted edge


def test_no_rule_predicts_the_random_walk(walk):
    assert (walk.edge == 0.5).all()
    y = up(walk)
    interval = 3 * y.mean(1).std() / math.sqrt(len(y))
    assert abs(hits(walk).mean() - 0.5) < interval

    rule = (
        np.asarray(up_probability(walk.bars.volume, walk.bars.taker_buy, np.ones_like(walk.bars.volume), 1.0))[:-2]
        > 0.5
    )
    assert abs((rule == (y > 0.5)).mean() - 0.5) < interval

    x, y = past(walk), y[64:]
    half = len(x) // 2
    x = (x - x[:half].mean((0, 1))) / x[:half].std((0, 1))
    flat = x[:half].reshape(-1, x.shape[-1])
    beta = np.linalg.lstsq(flat, y[:half].ravel() - 0.5, rcond=None)[0]
    accuracy = ((x[half:] @ beta > 0) == (y[half:] > 0.5)).mean()
    assert abs(accuracy - 0.5) < 3 * math.sqrt(0.25 / half)


def test_gated_rules_reach_the_oracle_and_linear_ones_do_not(market):
    """Least squares on smoothed flow and volume, without and with their product."""
    u, v = imbalance(market), np.log(market.bars.volume.astype(np.float64))

    def mean(x, decay):
        out = np.zeros_like(x)
        for t in range(1, len(x)):
            out[t] = out[t - 1] + (x[t] - out[t - 1]) / decay
        return out

    pressure, surge = np.tanh(10 * mean(mean(u, 3.5), 3.5)), mean(v, 6.0) - mean(v, 30.0)
    linear = np.stack([pressure, surge, u], -1)[64:-2]
    gated = np.stack([pressure, surge, u, pressure * np.tanh(4 * surge)], -1)[64:-2]
    y, half, accuracy = up(market)[64:], 10_000, {}
    for name, x in (("linear", linear), ("gated", gated)):
        beta = np.linalg.lstsq(x[:half].reshape(-1, x.shape[-1]), y[:half].ravel() - 0.5, rcond=None)[0]
        accuracy[name] = ((x[half:] @ beta > 0) == (y[half:] > 0.5)).mean()
    best = hits(market)[64 + half :].mean()
    assert accuracy["linear"] > 0.53
    assert best - accuracy["linear"] > 0.025
    assert best - accuracy["gated"] < 0.015


def test_forecast_persists(market):
    turns = (market.edge[MEMORY:] > 0.5) != (market.edge[MEMORY - 1 : -1] > 0.5)
    assert 0.05 < turns.mean() < 0.2
    assert abs((market.edge > 0.5).mean() - 0.5) < 0.02
    assert abs(up(market).mean() - 0.5) < 0.02


def test_stylised_facts(walk):
    r = returns(walk)
    assert np.sqrt((r**2).mean()) == pytest.approx(0.008, rel=0.1)
    kurtosis = ((r - r.mean(0)) ** 4).mean(0) / r.var(0) ** 2
    assert (kurtosis > 4).all()
    for lag in (1, 20):
        assert autocorrelation(np.abs(r), lag) > 0.05
        assert abs(autocorrelation(r, lag)) < 0.03
    pairs = np.corrcoef(r.T)[np.triu_indices(3, 1)]
    assert (pairs > 0.3).all() and (pairs < 0.6).all()
    flow = [np.corrcoef(imbalance(walk)[1:, a], r[:, a])[0, 1] for a in range(3)]
    assert min(flow) > 0.3 and max(flow) < 0.7
    assert autocorrelation(imbalance(walk), 1) > 0.1
    size = np.corrcoef(np.log(walk.bars.volume[1:, 0]), np.abs(r[:, 0]))[0, 1]
    assert size > 0.2


def test_season_of_hourly_and_daily_bars(walk):
    hour = walk.bars.second_of_week[1:] // 3_600 % 24
    variance = [np.mean(returns(walk)[hour == h] ** 2) for h in (15, 3)]
    assert variance[0] > 1.8 * variance[1]
    season, hours, days = synth._log_seasonal_volatility, np.arange(168, dtype=np.int32), np.arange(7, dtype=np.int32)
    assert np.mean(np.exp(2 * season(3_600 * hours, 3_600.0))) == pytest.approx(1, abs=1e-12)
    assert np.mean(np.exp(2 * season(86_400 * days, 86_400.0))) == pytest.approx(1, abs=1e-12)
    assert np.allclose(season(604_800 * days, 604_800.0), 0)


@pytest.fixture(scope="module")
def frictionless():
    return simulate(dataclasses.replace(SPEC, edge=0.0, half_spread=0.0))


def test_without_spread_a_bar_opens_at_the_last_close(frictionless):
    np.testing.assert_allclose(frictionless.bars.open[1:], frictionless.bars.close[:-1], rtol=1.3e-7)


def test_high_and_low_have_the_range_of_a_brownian_motion(frictionless):
    """E[log(high / low)] = sqrt(8 / pi) sigma (Feller 1951): here per unit of the bar's own volatility."""
    spread = np.log(frictionless.bars.high.astype(np.float64) / frictionless.bars.low) / frictionless.sigma
    assert spread.mean() == pytest.approx(math.sqrt(8 / math.pi), rel=0.01)


def test_bounce_of_a_wide_spread():
    """Roll (1984): the covariance of successive close returns is minus the square of the half spread."""
    market = simulate(dataclasses.replace(SPEC, edge=0.0, half_spread=60.0))
    r = returns(market)
    assert np.mean(r[1:] * r[:-1]) == pytest.approx(-((60e-4) ** 2), rel=0.1)
    assert autocorrelation(r, 1) < -0.15


def test_seed_determines_the_market():
    one, again, other = simulate(SMALL), simulate(SMALL), simulate(dataclasses.replace(SMALL, seed=1))
    for a, b, c in zip(*(jax.tree.leaves(m[:-1]) for m in (one, again, other)), strict=True):
        assert (a == b).all()
        if a.ndim == 2 and a.dtype == np.float32:
            assert (a != c)[MEMORY:].mean() > 0.9


def test_edge_changes_directions_only():
    one, none = simulate(SMALL), simulate(dataclasses.replace(SMALL, edge=0.0))
    for name in ("volume", "taker_buy", "trades"):
        assert (getattr(one.bars, name) == getattr(none.bars, name)).all()
    assert (one.sigma == none.sigma).all() and (one.bars.close != none.bars.close).any()


def test_64_bit_types_of_the_caller_change_nothing():
    narrow = simulate(SMALL)
    with compat.float64():
        wide = simulate(SMALL)
    for a, b in zip(jax.tree.leaves(narrow[:-1]), jax.tree.leaves(wide[:-1]), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    "name, value",
    [
        ("bars", 2),
        ("bars", 100.0),
        ("assets", 0),
        ("interval", 10**8),
        ("interval", 10**9 + 1),
        ("interval", "1h"),
        ("seed", -1),
        ("edge", -0.1),
        ("edge", math.nan),
        ("volatility", 0.0),
        ("volatility", 0.8),
        ("half_spread", -1.0),
        ("half_spread", "1"),
    ],
)
def test_bad_spec_names_its_field(name, value):
    with pytest.raises((ConfigError, TypeCheckError), match=f"{name} must be|parameter '{name}'"):
        SynthSpec(**{name: value})


def test_prices_beyond_float32_are_refused(monkeypatch):
    monkeypatch.setattr(synth, "PRICE", 3e38)
    with pytest.raises(ConfigError, match="volatility"):
        simulate(SMALL)
