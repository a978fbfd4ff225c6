"""Focal and ordinal losses and label smoothing against their definitions in float64 and against optax."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.losses.classify import cross_entropy, focal, ordinal
from tests.helpers.loss_draws import draw, value

GAMMAS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])
SMOOTHING = st.sampled_from([0.0, 0.1, 0.5])
SCALES = st.sampled_from([0.1, 1.0, 5.0])


def probabilities(logits):
    e = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def smooth(hot, s):
    return (1 - s) * hot + s / hot.shape[-1]


def focal_term(p, target, gamma):
    return (-target * (1 - p) ** gamma * np.log(p)).sum(-1)


def mean(loss, w):
    return (loss * w.astype(np.float64)).sum() / w.astype(np.float64).sum()


@given(st.integers(0, 1000), st.sampled_from([2, 3]), SCALES, GAMMAS, SMOOTHING)
def test_focal_as_defined(seed, classes, scale, gamma, smoothing):
    logits, y, w = draw(seed, classes, scale)
    expected = mean(focal_term(probabilities(logits), smooth(np.eye(classes)[y], smoothing), gamma), w)
    made = value(focal, logits, y, w, gamma=gamma, smoothing=smoothing)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-6)


@given(st.integers(0, 1000), st.sampled_from([2, 3, 4]), SCALES, GAMMAS, SMOOTHING)
def test_ordinal_as_defined(seed, classes, scale, gamma, smoothing):
    logits, y, w = draw(seed, classes, scale)
    above = np.cumsum(probabilities(logits)[..., ::-1], -1)[..., ::-1][..., 1:]
    higher = y[..., None] > np.arange(classes - 1)
    both, target = np.stack([1 - above, above], -1), smooth(np.eye(2)[higher.astype(int)], smoothing)
    expected = mean(focal_term(both, target, gamma).mean(-1), w)
    made = value(ordinal, logits, y, w, gamma=gamma, smoothing=smoothing)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-6)


def test_gamma_zero_is_the_cross_entropy():
    logits, y, w = draw(classes=3)
    assert value(focal, logits, y, w, gamma=0.0) == value(cross_entropy, logits, y, w)
    plain = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), y)
    np.testing.assert_allclose(value(focal, logits, y, w, gamma=0.0), mean(np.asarray(plain), w), rtol=1e-6)


@given(st.integers(0, 1000), st.sampled_from([1.0, 2.0, 3.5]))
def test_the_binary_case_equals_optax(seed, gamma):
    logits, y, w = draw(seed, 2, 3.0)
    theirs = optax.sigmoid_focal_loss(jnp.asarray(logits[..., 1] - logits[..., 0]), jnp.asarray(y), gamma=gamma)
    np.testing.assert_allclose(value(focal, logits, y, w, gamma=gamma), mean(np.asarray(theirs), w), rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"gamma": 2.0}, {"gamma": 1.0, "smoothing": 0.2}])
def test_ordinal_with_two_classes_equals_focal(options):
    logits, y, w = draw(classes=2)
    np.testing.assert_allclose(
        value(ordinal, logits, y, w, **options), value(focal, logits, y, w, **{"gamma": 0.0} | options), rtol=1e-5
    )


def test_a_forecast_two_classes_away_costs_more_than_one():
    y, w = np.zeros((1, 1, 1), np.int32), np.ones((1, 1, 1), np.float32)
    nothing, rise = (np.float32(p).reshape(1, 1, 1, 3) for p in ([0, 2, 0], [0, 0, 2]))
    assert value(ordinal, rise, y, w) > 1.2 * value(ordinal, nothing, y, w)
    np.testing.assert_allclose(value(cross_entropy, rise, y, w), value(cross_entropy, nothing, y, w), rtol=1e-6)


def test_confident_forecasts_count_less():
    y, w = np.zeros((1, 1, 1), np.int32), np.ones((1, 1, 1), np.float32)
    sure = np.float32([4, 0]).reshape(1, 1, 1, 2)
    share = [float(value(focal, sure, y, w, gamma=g) / value(focal, sure, y, w, gamma=0.0)) for g in (1.0, 2.0)]
    p = 1 / (1 + np.exp(-4))
    np.testing.assert_allclose(share, [1 - p, (1 - p) ** 2], rtol=1e-3)


@pytest.mark.parametrize("loss", [focal, ordinal])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_confident_forecasts_have_finite_losses_and_gradients(loss, gamma):
    logits, y, w = draw(scale=80.0)
    got, slope = jax.value_and_grad(lambda a: value(loss, a, y, w, gamma=gamma))(logits)
    assert np.isfinite(got) and np.isfinite(slope).all()
    w[:] = 0
    got, slope = jax.value_and_grad(lambda a: value(loss, a, y, w, gamma=gamma))(logits)
    assert got == 0 and (np.asarray(slope) == 0).all()


@pytest.mark.parametrize("loss, gamma", [(focal, 0.5), (ordinal, 2.0)])
@pytest.mark.slow
def test_gradient_by_finite_differences(loss, gamma):
    with compat.float64():
        logits, y, w = draw()
        wide = (jnp.asarray(logits, jnp.float64),)
        options = {"gamma": gamma, "smoothing": 0.1}
        check_grads(lambda a: value(loss, a, y, w.astype(np.float64), **options), wide, 1, ["rev"], rtol=1e-5)
