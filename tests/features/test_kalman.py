"""The local-level filter against statsmodels and a slow float64 filter; the noise ratio against the one simulated."""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import pytest

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.features.kalman import CLIP, SMALLEST, local_levels
from tests.helpers.causality import compiled, whole
from tests.helpers.feature_columns import by_name
from tests.helpers.markets import bars, gap, tick

RATIOS = tuple(4.0**i for i in range(-4, 4))
HALFLIFE, HORIZON = 128, 16


@partial(jax.jit, static_argnums=(1, 2, 3))
def levels(close, ratios, halflife=HALFLIFE, clip=None):
    return local_levels(Kernels(), close, ratios, halflife, clip)


@cache
def stream(*options):
    return compiled(features.build({"kalman": dict(options)}))


def columns(market, *options):
    return by_name(whole(stream(*options))(market))


def market(close):
    close = np.asarray(close, np.float32)
    return gap(bars(*close.shape).replace(close=close), np.isnan(close).any(1))


def noisy(n, q, assets=4, seed=0, noise=1e-4, price=100.0):
    """Closes `[n, A]` of a random walk behind white noise and the logs of the walk."""
    rng = np.random.default_rng(seed)
    level = np.log(price) + noise * np.cumsum(np.sqrt(q) * rng.standard_normal((n, assets)), 0)
    return np.exp(level + noise * rng.standard_normal((n, assets))).astype(np.float32), level


@pytest.mark.parametrize("ratios", [(2.0**-6, 0.5), (0.7, 30.0)])
def test_levels_are_those_of_statsmodels(ratios):
    """State, deviation and likelihood of known q with missing bars, at the price of Bitcoin."""
    structural = pytest.importorskip("statsmodels.tsa.statespace.structural")
    close = noisy(400, 0.5, 1, seed=5, price=1e5, noise=1e-3)[0][:, 0]
    close[[50, 200, 201, 202]] = np.nan
    y = np.log(close.astype(np.float64))
    seen = np.isfinite(y)[1:]
    row = levels(close[:, None], ratios, 1e6)
    likelihood = []
    for i, q in enumerate(ratios):
        model = structural.UnobservedComponents((y[1:] - y[0]) / 1e-3, "local level")
        model.ssm.initialize_known(np.zeros(1), np.full((1, 1), 1 + q))
        known = model.filter([1.0, q]).filter_results
        level = np.asarray(row.offset, np.float64)[1:, 0, i] + y[1:] - y[0]
        np.testing.assert_allclose(level[seen] / 1e-3, known.filtered_state[0][seen], atol=3e-6)
        v, f = known.forecasts_error[0][seen], known.forecasts_error_cov[0, 0][seen]
        noise = np.mean(v**2 / f)
        np.testing.assert_allclose(row.spread[-1, 0, i], 1e-3 * np.sqrt(f[-1] * noise), rtol=1e-4)
        likelihood.append(-0.5 * (np.log(noise) + np.mean(np.log(f))))
    np.testing.assert_allclose(row.likelihood[-1, 0, 0], likelihood[0] - likelihood[1], rtol=1e-3)
    np.testing.assert_allclose(row.likelihood[-1, 0, 1], 0, atol=1e-6)


def slow_filter(close):
    """The columns of one series of closes in float64, one bar and one q after the other."""
    y, n = np.log(close.astype(np.float64)), len(close)
    d, q = 0.5 ** (1 / HALFLIFE), np.array(RATIOS)
    level, var, noise, log_f, weight = None, None, 0.0, 0.0, 0.0
    out, mixed = np.full((n, 4), np.nan), np.full(n, np.nan)
    for t in range(n):
        if np.isnan(y[t]):
            var = None if level is None else var + q
            continue
        if level is None:
            level, var = np.full(len(q), y[t]), np.ones(len(q))
            continue
        p = var + q
        f = p + 1
        std = np.sqrt(f * np.maximum(noise, SMALLEST))
        v = y[t] - level
        if weight >= 0.4999:
            v = np.clip(v, -CLIP * std, CLIP * std)
        level, var = level + p / f * v, p / f
        weight = 1 - d * (1 - weight)
        noise = noise + (1 - d) / weight * (v**2 / f - noise)
        log_f = log_f + (1 - d) / weight * (np.log(f) - log_f)
        now = np.maximum(noise, SMALLEST)
        fit = weight / (1 - d) * -0.5 * (np.log(now) + log_f)
        share = np.exp(fit - fit.max()) / np.exp(fit - fit.max()).sum()
        if weight < 0.4999:
            continue
        mixed[t], spread = share @ level, share @ np.sqrt(f * now)
        slope = (mixed[t] - mixed[t - HORIZON]) / (spread * np.sqrt(HORIZON)) if t >= HORIZON else np.nan
        out[t] = share @ (v / std), (y[t] - mixed[t]) / spread, slope, share @ np.log(q)
    return out


NAMES = ("kalman_innovation_128", "kalman_gap_128", "kalman_slope_16", "kalman_log_q_128")


def assert_matches(close, tolerance=3e-5):
    made = columns(market(close))
    assert set(made) == set(NAMES)
    for asset in range(close.shape[1]):
        expected = slow_filter(close[:, asset])
        expected[~np.isfinite(expected).all(1)] = np.nan
        for i, name in enumerate(NAMES):
            np.testing.assert_allclose(made[name][:, asset], expected[:, i], rtol=tolerance, atol=tolerance)


def test_kalman():
    """With a jump, a bad tick, missing bars and a calm."""
    close = noisy(900, 0.3, 2)[0]
    close[300:] *= 1.01
    close[400, 0] *= 1.2
    close[500:510] = np.nan
    close[700:760] = close[700]
    assert_matches(close)


def test_real_prices(real_panel):
    assert_matches(np.asarray(real_panel.bars.close)[:600])


@pytest.mark.parametrize("q", [2.0**-6, 0.125, 1.0, 4.0, 16.0])
def test_the_noise_ratio_is_learnt(q):
    """Within the spacing of the grid; the level is nearly as precise as with q known, and no less than by moments.

    Where there is little noise moments estimate q as well, and estimates are biased to the grid's middle (.5 at q = 4).
    """
    close, level = noisy(6_000, q)
    made = columns(market(close))
    error = made[NAMES[3]][600:] - np.log(q)
    assert abs(error.mean()) < 0.7 and np.sqrt(np.mean(error**2)) < 0.9
    y = np.log(close.astype(np.float64))

    def rmse(x):
        return np.sqrt(np.mean((x - level)[600:] ** 2))

    def filtered(gain):
        out = y.copy()
        for t in range(1, len(y)):
            out[t] = out[t - 1] + gain[t] * (y[t] - out[t - 1])
        return out

    def gain(q):
        p = (q + np.sqrt(q**2 + 4 * q)) / 2
        return p / (1 + p)

    r = np.diff(y, axis=0, prepend=y[:1])
    weights = 0.5 ** (np.arange(600) / HALFLIFE)
    autocovariance = [
        np.apply_along_axis(lambda x: np.convolve(x, weights)[: len(x)], 0, x)
        for x in (r**2, np.concatenate([r[:1], r[1:] * r[:-1]]))
    ]
    moments = -autocovariance[0] / np.minimum(autocovariance[1], -1e-30) - 2
    by_moments = rmse(filtered(gain(np.clip(moments, RATIOS[0], RATIOS[-1]))))
    known = rmse(filtered(np.full(len(y), gain(q))))
    learnt = rmse(np.asarray(y + mixed_offset(close)))
    assert known <= learnt < 1.03 * known
    assert learnt < 1.001 * by_moments
    assert learnt < rmse(y)


def mixed_offset(close):
    """Filtered level over the price."""
    row = levels(close, RATIOS, HALFLIFE, CLIP)
    memory = np.asarray(row.weight) / (1 - 0.5 ** (1 / HALFLIFE))
    return (jax.nn.softmax(memory[..., None] * row.likelihood, -1) * row.offset).sum(-1)


def test_a_pure_random_walk_has_no_noise():
    made = columns(market(noisy(3_000, 1e6, noise=1e-6)[0]))
    assert (made[NAMES[3]][600:] > np.log(16)).mean() > 0.95
    innovation, gap_ = made[NAMES[0]][600:], made[NAMES[1]][600:]
    assert abs(innovation.mean()) < 0.05 and innovation.std() == pytest.approx(1, abs=0.05)
    assert np.abs(gap_).max() < 0.3


def test_innovations_of_noise_are_standard_and_uncorrelated():
    made = columns(market(noisy(6_000, 0.25, seed=1)[0]))[NAMES[0]][600:]
    assert abs(made.mean()) < 0.02 and made.std() == pytest.approx(1, abs=0.03)
    assert abs(np.mean(made[1:] * made[:-1])) < 0.03
    assert np.abs(made).max() <= CLIP


def test_a_missing_bar_widens_the_level():
    """One innovation after a gap of m bars has the variance f = gain + (m + 1) q + 1."""
    q, close = 0.5, noisy(400, 0.5, 1)[0]
    close[300:310] = np.nan
    gain = (np.sqrt(q**2 + 4 * q) - q) / 2
    row = levels(close, (q,))
    spread, likelihood = (np.asarray(x)[:, 0, 0] for x in (row.spread, row.likelihood))
    assert (np.asarray(row.offset)[300:310] == np.asarray(row.offset)[299]).all()
    assert np.isfinite(likelihood).all()
    noise = spread[309] ** 2 / (gain + 10 * q + 1)  # the same as before the gap
    assert noise == pytest.approx(spread[299] ** 2 / (gain + q + 1), rel=1e-4)
    assert spread[310] ** 2 / noise == pytest.approx(gain + 11 * q + 1, rel=0.1)


def test_a_bad_tick_fades():
    """A bad tick is clipped to `CLIP` standard deviations, and the memory is exponential."""
    clean = market(noisy(1000, 0.5, 2)[0])
    for value in (1e12, 1e-12, 150.0):
        before, after = columns(clean), columns(tick(clean, 600, 0, "close", value))
        for name in NAMES:
            assert np.isfinite(after[name][601 + HORIZON :]).all()
            difference = np.abs(after[name] - before[name])
            np.testing.assert_array_equal(difference[256:, 1], 0)
            assert np.nanmax(difference[600:, 0]) > 0.1
            assert difference[600 + HALFLIFE :, 0].max() < 0.5, (name, value)
            assert difference[600 + 256 :, 0].max() < 0.2, (name, value)


def test_a_constant_price():
    made = columns(market(np.full((400, 2), 0.003)))
    for name in NAMES[:3]:
        assert (made[name][160:] == 0).all()
    assert (made[NAMES[3]][160:] < np.log(4 * RATIOS[0])).all()


@pytest.mark.parametrize("options", [{"ratios": (1.0, 0.0)}, {"ratios": (-1.0,)}, {"halflife": 1}])
def test_wrong_options(options):
    with pytest.raises(ConfigError, match="feature 'kalman' needs ratios above 0 and a halflife of 2, got"):
        features.names({"kalman": options}, bars(3))
