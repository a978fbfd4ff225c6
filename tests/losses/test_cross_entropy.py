"""Cross-entropy against NumPy; rows without weight."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.losses.classify import cross_entropy
from tests.helpers.loss_draws import A, B, T, draw, value


def loss(logits, y, w):
    return value(cross_entropy, logits, y, w)


def by_numpy(logits, y, w):
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    w = w.astype(np.float64)
    return np.sum(-w * np.log(np.take_along_axis(p, y[..., None], -1)[..., 0])) / np.sum(w)


@given(st.integers(0, 1000), st.sampled_from([2, 3]), st.sampled_from([0.1, 1.0, 30.0]))
def test_against_numpy(seed, classes, scale):
    logits, y, w = draw(seed, classes, scale)
    np.testing.assert_allclose(loss(logits, y, w), by_numpy(logits, y, w), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_equal_logits_cost_log_k(classes):
    _, y, w = draw(classes=classes)
    np.testing.assert_allclose(loss(np.zeros((B, T, A, classes), np.float32), y, w), np.log(classes), rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 7, -100])
def test_rows_without_weight_do_not_count_whatever_their_label(label):
    logits, y, w = draw()
    w[:, :2] = 0
    kept = by_numpy(logits[:, 2:], y[:, 2:], w[:, 2:])
    y[:, :2] = label
    np.testing.assert_allclose(loss(logits, y, w), kept, rtol=1e-5)
    slope = np.asarray(jax.grad(lambda a: loss(a, y, w))(logits))
    assert np.isfinite(slope).all() and (slope[:, :2] == 0).all() and (slope[:, 2:] != 0).all()


def test_the_scale_of_the_weights_does_not_matter():
    logits, y, w = draw()
    np.testing.assert_allclose(loss(logits, y, 100 * w), loss(logits, y, w), rtol=1e-5)


def test_without_any_weight_loss_and_gradient_are_zero():
    logits, y, w = draw(scale=50.0)
    value, slope = jax.value_and_grad(lambda a: loss(a, np.full_like(y, -1), 0 * w))(logits)
    assert value == 0 and (np.asarray(slope) == 0).all()


def test_gradient_by_finite_differences():
    with compat.float64():
        logits, y, w = draw()
        wide = (jnp.asarray(logits, jnp.float64),)
        check_grads(lambda a: loss(a, y, w.astype(np.float64)), wide, order=1, modes=["rev"], rtol=1e-5)
