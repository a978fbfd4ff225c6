"""Mixup: lambda = 0 or 1 is identity, in between it is what the papers say, and only rows of training are mixed."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import Mixup, MixupConfig
from fxtrade.core.types import Output, Segment
from fxtrade.losses.classify import cross_entropy
from fxtrade.train import mixup
from fxtrade.train.mixup import Pairs

B, T, A, F, K, D = 4, 20, 2, 3, 2, 5
NAMES = [name for name in get_args(Mixup) if name != "none"]
PARTNER = np.array([2, 0, 3, 1])


def segment(seed=0):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((B, T, A, F)).astype(np.float32), rng.random((B, T, A)).astype(np.float32)
    ret = rng.standard_normal((B, T, A)).astype(np.float32)
    return Segment(jnp.asarray(x), jnp.asarray((ret > 0).astype(np.int32)), jnp.asarray(ret), jnp.asarray(w))


def linear(x):
    """A "model" whose last hidden state is a tanh of x."""
    rng = np.random.default_rng(9)
    h = jnp.tanh(x @ rng.standard_normal((F, D)).astype(np.float32))
    return Output(h @ rng.standard_normal((D, K)).astype(np.float32) + 0.3, h)


def pairs(share, place=0.5, partner=PARTNER):
    return Pairs(jnp.asarray(partner), jnp.broadcast_to(jnp.float32(share), (B,)), jnp.full(B, jnp.float32(place)))


def mixed_loss(name, whole, p):
    seen = mixup.mix_inputs(name, whole, p)
    return cross_entropy(*mixup.mix_outputs(name, linear(seen.x), seen, p))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_lambda_of_zero_or_one_is_identity(name, share):
    """With 1 every segment is itself, with 0 its partner: the same loss and the same slopes, since all are there."""
    whole = segment()
    plain = cross_entropy(linear(whole.x), whole)
    np.testing.assert_allclose(mixed_loss(name, whole, pairs(share)), plain, rtol=1e-6)
    seen = mixup.mix_inputs(name, whole, pairs(share))
    expected = whole if share == 1 or name == "manifold" else jax.tree.map(lambda a: a[PARTNER], whole)
    np.testing.assert_array_equal(seen.x, expected.x)


@given(st.floats(0, 1, width=32), st.integers(0, 50))
def test_inputs_and_labels_are_mixed(share, seed):
    whole, p = segment(seed), pairs(share)
    x = np.asarray(whole.x)
    seen = mixup.mix_inputs("input", whole, p)
    np.testing.assert_allclose(seen.x, share * x + (1 - share) * x[PARTNER], rtol=1e-5, atol=1e-6)
    logp = np.asarray(jax.nn.log_softmax(linear(seen.x).logits), np.float64)
    y, w = np.asarray(whole.y), np.asarray(whole.w, np.float64)
    both = [(share, y, w), (1 - share, y[PARTNER], w[PARTNER])]
    total = sum(s * (-w_ * np.take_along_axis(logp, y_[..., None], -1)[..., 0]).sum() for s, y_, w_ in both)
    expected = total / sum(s * w_.sum() for s, _, w_ in both)
    np.testing.assert_allclose(mixed_loss("input", whole, p), expected, rtol=1e-4)


@given(st.floats(0, 1, width=32))
def test_manifold_mixing_is_mixing_of_the_last_hidden_states(share):
    whole, p = segment(), pairs(share)
    output, rows = mixup.mix_outputs("manifold", linear(whole.x), whole, p)
    h = np.asarray(linear(whole.x).embed)
    mixed = share * h + (1 - share) * h[PARTNER]
    np.testing.assert_allclose(output.embed, np.concatenate([mixed, mixed]), rtol=1e-5, atol=1e-6)
    rng = np.random.default_rng(9)
    rng.standard_normal((F, D))
    head = rng.standard_normal((D, K)).astype(np.float32)
    np.testing.assert_allclose(output.logits[:B], mixed @ head + 0.3, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(rows.y, np.concatenate([whole.y, np.asarray(whole.y)[PARTNER]]))


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_a_cut_takes_one_stretch_of_the_partner_with_its_labels(share, place):
    whole = segment()
    rows = mixup.mix_inputs("cutmix", whole, pairs(share, place))
    from_partner = (np.asarray(rows.x) == np.asarray(whole.x)[PARTNER]).all((2, 3))
    own = (np.asarray(rows.x) == np.asarray(whole.x)).all((2, 3))
    assert (from_partner ^ own).all()
    assert (from_partner.sum(1) == round((1 - np.float32(share)) * T)).all()
    assert (np.diff(from_partner.astype(int), axis=1) != 0).sum(1).max() <= 2
    for name in ("y", "ret", "w"):
        a, b = np.asarray(getattr(whole, name)), np.asarray(getattr(whole, name))[PARTNER]
        np.testing.assert_array_equal(getattr(rows, name), np.where(from_partner[..., None], b, a))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_lambda_is_a_beta_variable_and_partners_are_of_the_batch(alpha):
    drawn = [mixup.draw(MixupConfig("input", alpha), jax.random.PRNGKey(i), 64) for i in range(30)]
    share = np.concatenate([d.share for d in drawn])
    np.testing.assert_allclose(share.mean(), 0.5, atol=0.05)
    np.testing.assert_allclose(share.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.15)
    for d in drawn:
        np.testing.assert_array_equal(np.sort(d.partner), np.arange(64))
