import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Forecast, Output, Segment
from fxtrade.losses.trading import sharpe
from fxtrade.risk import SIZING, sizing
from fxtrade.risk.rule import replay


def forecast_of(rng, n=30, assets=3, classes=2, gaps=0.2):
    ok = rng.random((n, assets)) >= gaps
    prob = rng.dirichlet(np.ones(classes), (n, assets)).astype(np.float32)
    return Forecast(prob=np.where(ok[..., None], prob, np.nan), ok=ok)


def test_two_classes():
    prob = np.array([[[0.2, 0.8]], [[0.9, 0.1]], [[0.5, 0.5]], [[np.nan, np.nan]]])
    f = Forecast(prob=prob, ok=np.arange(4)[:, None] < 3)
    np.testing.assert_allclose(sizing.confidence(f)[:, 0], [0.6, 0.8, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(sizing.direction(f)[:, 0], [1, -1, 0, 0])


def test_three_classes_are_down_flat_up():
    f = Forecast(prob=np.array([[[0.1, 0.6, 0.3]], [[0.5, 0.1, 0.4]], [[0.2, 0.6, 0.2]]]), ok=np.ones((3, 1), bool))
    np.testing.assert_allclose(sizing.confidence(f)[:, 0], [0.2, 0.1, 0], atol=1e-7)
    np.testing.assert_array_equal(sizing.direction(f)[:, 0], [1, -1, 0])


@pytest.mark.parametrize("function", [sizing.confidence, sizing.direction])
def test_other_classes_have_no_direction(function):
    with pytest.raises(ConfigError, match="4 classes"):
        function(Forecast(prob=np.full((2, 1, 4), 0.25), ok=np.ones((2, 1), bool)))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1.0))
def test_the_threshold_lets_the_asked_share_of_ok_rows_in(seed, coverage):
    rng = np.random.default_rng(seed)
    confidence = rng.permutation(120).reshape(40, 3).astype(np.float32) / 120
    ok = rng.random((40, 3)) < 0.7
    kept = (confidence >= np.asarray(sizing.confidence_threshold(confidence, ok, coverage)))[ok].sum()
    assert kept >= 1
    assert kept == 1 or abs(kept - coverage * ok.sum()) <= 0.5 + 1e-4


def test_the_threshold_reads_only_ok_rows_that_have_a_number():
    confidence = np.array([[0.1], [0.2], [0.9], [np.nan]])
    ok = np.array([[True], [True], [False], [True]])
    assert sizing.confidence_threshold(confidence, ok, 0.3) == np.float32(0.2)
    assert sizing.confidence_threshold(confidence, ok, 1.0) == np.float32(0.1)
    assert sizing.confidence_threshold(confidence, np.zeros_like(ok), 0.5) == np.inf


@pytest.mark.parametrize("coverage", [0, -0.1, 1.01, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(ConfigError, match="coverage"):
        sizing.confidence_threshold(np.ones((2, 1)), np.ones((2, 1), bool), coverage)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("allow_short", [True, False])
@pytest.mark.parametrize("horizon", [1, 4, 100])
def test_threshold_is_the_sum_of_the_slices_that_are_open(classes, allow_short, horizon):
    f = forecast_of(np.random.default_rng(horizon), classes=classes)
    n, assets = f.ok.shape
    expected = np.zeros((n, assets))
    for t in range(n):
        for a in range(assets):
            down, up = float(f.prob[t, a, 0]), float(f.prob[t, a, -1])
            if not f.ok[t, a] or abs(up - down) < 0.3:
                continue
            side = 1 if up > down else -1
            if side == 1 or allow_short:
                expected[t : t + horizon, a] += side * 1.5 / (assets * horizon)
    rule = sizing.threshold(threshold=0.3, horizon=horizon, max_gross_exposure=1.5, allow_short=allow_short)
    np.testing.assert_allclose(replay(rule, f), expected, rtol=1e-6, atol=1e-7)
    assert np.abs(expected).sum() > 0


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("allow_short", [True, False])
@pytest.mark.parametrize("horizon", [1, 4, 100])
def test_proportional_is_the_mean_edge_of_the_slices_that_are_open(classes, allow_short, horizon):
    f = forecast_of(np.random.default_rng(horizon), classes=classes)
    n, assets = f.ok.shape
    edge = np.where(f.ok, f.prob[..., -1] - f.prob[..., 0], 0).astype(float)
    edge = edge if allow_short else np.maximum(edge, 0)
    expected = [1.5 / assets * edge[max(t - horizon + 1, 0) : t + 1].sum(0) / horizon for t in range(n)]
    rule = sizing.proportional(horizon=horizon, max_gross_exposure=1.5, allow_short=allow_short)
    np.testing.assert_allclose(replay(rule, f), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("horizon", [1, 3])
def test_proportional_earns_what_the_loss_says(horizon):
    """Minus the Sharpe loss of the logits is the ratio of the portfolio that these weights are."""
    rng = np.random.default_rng(0)
    f = forecast_of(rng, gaps=0.0)
    n, assets = f.ok.shape
    ret = 0.01 * rng.standard_normal((n, assets)).astype(np.float32)
    rows = Segment(jnp.zeros((1, n, assets, 1)), jnp.zeros((1, n, assets), int), ret[None], jnp.ones((1, n, assets)))
    loss = sharpe(Output(jnp.log(f.prob)[None], f.prob[None]), rows, cost=0.001, horizon=horizon)
    slices = np.diff(np.asarray(replay(sizing.proportional(horizon=horizon), f), float), axis=0, prepend=0.0)
    edge = f.prob[..., -1] - f.prob[..., 0]
    earned = (edge * np.expm1(ret)).mean(1) / horizon - 0.001 * np.abs(slices).sum(1)
    np.testing.assert_allclose(-loss, earned.mean() / earned.std(), rtol=1e-4)


@pytest.mark.parametrize("name", SIZING)
def test_impossible_options_are_refused(name):
    for horizon in (0, -1):
        with pytest.raises(ConfigError, match=f"{name}: horizon"):
            SIZING[name].function(horizon=horizon)
    with pytest.raises(ConfigError, match=f"{name}: max_gross_exposure"):
        SIZING[name].function(max_gross_exposure=-1.0)


@pytest.mark.parametrize("k", [1, 7, 29])
def test_the_future_does_not_reach_the_past(k):
    rng = np.random.default_rng(k)
    now, other = forecast_of(rng), forecast_of(rng)
    changed = Forecast(*(np.concatenate([a[:k], b[k:]]) for a, b in ((now.prob, other.prob), (now.ok, other.ok))))
    for function in (sizing.confidence, sizing.direction):
        np.testing.assert_array_equal(np.asarray(function(now))[:k], np.asarray(function(changed))[:k])
        assert not np.array_equal(function(now), function(changed))
