"""Contrastive losses: definitions in float64, limits, and the properties they share."""

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
from fxtrade.core.errors import ConfigError
from fxtrade.losses import contrastive
from fxtrade.losses.contrastive import CONTRASTIVE, nt_xent, supcon
from tests.helpers.loss_views import A, B, D, T, cosines, draw, mean, nt_xent_rows, value, value_and_slope

TEMPERATURES = st.sampled_from([0.1, 0.5, 2.0])
SEEDS = st.integers(0, 1000)
each = pytest.mark.parametrize("loss", CONTRASTIVE.values(), ids=CONTRASTIVE)


@given(SEEDS, TEMPERATURES, st.sampled_from([0.0, 0.3, 0.9]))
def test_nt_xent_as_defined(seed, temperature, missing):
    embed, y, w = draw(seed, missing)
    used = w[:B] > 0
    rows = nt_xent_rows(embed[:B][used], embed[B:][used], temperature)
    expected = mean(rows, w[:B][used].astype(np.float64))
    made = value(nt_xent, embed, y, w, temperature=temperature)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


@given(SEEDS, TEMPERATURES)
def test_nt_xent_equals_optax_for_equal_weights(seed, temperature):
    embed, y, w = draw(seed)
    labels = jnp.tile(jnp.arange(B * T * A), 2)
    with jax.numpy_dtype_promotion("standard"):  # optax counts with booleans
        theirs = optax.losses.ntxent(jnp.asarray(embed.reshape(-1, D)), labels, temperature)
    made = value(nt_xent, embed, y, np.ones_like(w), temperature=temperature)
    np.testing.assert_allclose(made, theirs, rtol=1e-4)


@given(SEEDS, TEMPERATURES, st.sampled_from([0.0, 0.3, 0.9]))
def test_supcon_as_defined(seed, temperature, missing):
    embed, y, w = draw(seed, missing)
    used = w > 0
    s, y_, w_ = cosines(embed[used]) / temperature, y[used], w[used].astype(np.float64)
    loss = np.zeros(len(y_))
    for i in range(len(y_)):
        others = [k for k in range(len(y_)) if k != i]
        whole = np.log(sum(np.exp(s[i, k]) for k in others))
        loss[i] = -np.mean([s[i, p] - whole for p in others if y_[p] == y_[i]])
    made = value(supcon, embed, y, w, temperature=temperature)
    np.testing.assert_allclose(made, mean(loss, w_), rtol=1e-4, atol=1e-5)


def test_supcon_with_a_class_per_bar_is_nt_xent():
    embed, _, w = draw()
    bars = np.arange(B * T * A).reshape(B, T, A)
    made = value(supcon, embed, np.concatenate([bars, bars]), w)
    np.testing.assert_allclose(made, value(nt_xent, embed, bars, w), rtol=1e-5)


def test_a_row_alone_in_its_class_is_not_an_anchor():
    z = np.float32([[1, 0], [1, 0], [0, 1]]).reshape(3, 1, 1, 2)
    made = value(supcon, z, np.int32([0, 0, 1]).reshape(3, 1, 1), np.ones((3, 1, 1), np.float32), temperature=1.0)
    np.testing.assert_allclose(made, np.log((np.e + 1) / np.e), rtol=1e-5)


def test_limits_of_nt_xent():
    """Equal embeddings: log of the number of others. n orthogonal pairs: log(1 + (2 n - 2) / e^(1 / tau))."""
    _, y, w = draw(missing=0)
    n = B * T * A
    same = np.ones((2 * B, T, A, D), np.float32)
    np.testing.assert_allclose(value(nt_xent, same, y, w), np.log(2 * n - 1), rtol=1e-5)
    apart = np.eye(n, dtype=np.float32).reshape(B, T, A, n)
    made = value(nt_xent, np.concatenate([apart, apart]), y, w, temperature=0.5)
    np.testing.assert_allclose(made, np.log1p((2 * n - 2) * np.exp(-2)), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_alignment_and_uniformity_of_many_rows(temperature):
    """-1 / tau + log(2 n) + log E e^(u / tau), u a coordinate of the sphere (Wang & Isola 2020): tau sinh(1 / tau)."""
    n = 600
    z = np.random.default_rng(0).standard_normal((1, n, 1, 3)).astype(np.float32)
    ones = np.ones((2, n, 1))
    made = value(nt_xent, np.concatenate([z, z]), ones, ones, temperature=temperature, anchors=n)
    expected = -1 / temperature + np.log(2 * n) + np.log(temperature * np.sinh(1 / temperature))
    np.testing.assert_allclose(made, expected, atol=0.02)


def test_limits_of_supcon():
    """Equal embeddings: log of the number of others. Two opposite classes: only rows of the same class count."""
    _, y, w = draw(missing=0)
    rows, of_class = y.size, np.bincount(y.ravel())
    same = np.ones((*y.shape, D), np.float32)
    np.testing.assert_allclose(value(supcon, same, y, w), np.log(rows - 1), rtol=1e-5)
    opposite = (2 * y - 1)[..., None] * same
    others = (of_class - 1) + of_class[::-1] * np.exp(-2 / 0.5)
    made = value(supcon, opposite, y, w, temperature=0.5)
    np.testing.assert_allclose(made, mean(np.log(others)[y], w.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize("loss", [nt_xent, supcon])
@given(SEEDS)
def test_rotation_and_length_of_embeddings_do_not_matter(loss, seed):
    embed, y, w = draw(seed)
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0].astype(np.float32)
    length = rng.uniform(0.5, 3, (*y.shape, 1)).astype(np.float32)
    plain = value(loss, embed, y, w)
    np.testing.assert_allclose(value(loss, embed @ turn, y, w), plain, rtol=1e-4)
    np.testing.assert_allclose(value(loss, embed * length, y, w), plain, rtol=1e-4)


@pytest.mark.parametrize("loss, views", [(nt_xent, 2), (supcon, 1)])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_anchors_are_evenly_spread_rows_with_weight(loss, views, missing):
    """Rows with a gradient are anchors."""
    embed, y, w = draw(bars=200, missing=missing)
    _, slope = value_and_slope(loss, embed, y, w, anchors=120)
    anchor = (np.asarray(slope) != 0).any(-1)
    assert anchor.sum() == 120 * views and (w[anchor] > 0).all()
    np.testing.assert_array_equal(anchor[:B], anchor[B:])
    assert (anchor.sum((1, 2)) == 120 * views // (2 * B)).all(), "equally many of each segment"
    among = np.moveaxis(anchor, 2, 1)[np.moveaxis(w, 2, 1) > 0].astype(int)
    gaps = np.diff(np.flatnonzero(among))
    fair = (w > 0).sum() / anchor.sum()
    assert gaps.max() <= 2 * fair and gaps.min() >= fair / 2
    np.testing.assert_allclose(anchor.sum((0, 1)), 60 * views, atol=6 * views, err_msg="equally many of each asset")


@each
def test_few_rows_are_enough(loss):
    """One bar with weight, and fewer anchors than segments."""
    embed, y, w = draw()
    if loss is not contrastive.ts2vec:
        assert np.isfinite(value(loss, embed, y, w, anchors=1))
    w[:], w[0, 4, 0], w[B, 4, 0] = 0, 1, 1
    np.testing.assert_allclose(value_and_slope(loss, embed, y, w)[0], 0, atol=1e-6)


@each
@given(SEEDS)
def test_the_order_of_the_segments_does_not_matter(loss, seed):
    embed, y, w = draw(seed)
    order = np.random.default_rng(seed).permutation(B)
    order = np.concatenate([order, B + order])
    options = {} if loss is contrastive.ts2vec else {"anchors": 12}
    plain, _ = value_and_slope(loss, embed, y, w, **options)
    for rows in (order, np.roll(np.arange(2 * B), B)):
        other, _ = value_and_slope(loss, embed[rows], y[rows], w[rows], **options)
        np.testing.assert_allclose(other, plain, rtol=1e-5)


@each
@given(SEEDS, st.sampled_from([0.2, 0.8]))
def test_rows_without_weight_do_not_matter(loss, seed, missing):
    embed, y, w = draw(seed, missing)
    other = np.where((w > 0)[..., None], embed, 1e4 * draw(seed + 1)[0])
    made, slope = value_and_slope(loss, embed, y, w)
    assert value_and_slope(loss, other, y, w)[0] == made
    assert (np.asarray(slope)[w == 0] == 0).all()


@each
def test_zero_without_weight(loss):
    embed, y, w = draw()
    made, slope = value_and_slope(loss, embed, y, 0 * w)
    assert made == 0 and (np.asarray(slope) == 0).all()


@each
def test_similar_related_rows_have_a_lower_loss(loss):
    embed, y, w = draw()
    rng = np.random.default_rng(1)
    center = rng.standard_normal((2, D))[y] if loss is supcon else np.concatenate([embed[:B], embed[:B]])
    near = (center + 0.1 * embed).astype(np.float32)
    assert value_and_slope(loss, near, y, w)[0] < 0.7 * value_and_slope(loss, embed, y, w)[0]


@each
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4])
@pytest.mark.parametrize("dtype, options", [(jnp.float32, {"temperature": 0.01}), (jnp.bfloat16, {})])
@pytest.mark.slow
def test_finite_for_any_embedding(loss, scale, dtype, options):
    embed, y, w = draw()
    made, slope = value_and_slope(loss, jnp.asarray(scale * embed, dtype), y, w, **options)
    assert made.dtype == jnp.float32 and slope.dtype == dtype
    assert np.isfinite(made) and np.isfinite(np.asarray(slope, np.float32)).all()


@each
def test_bfloat16_is_near(loss):
    embed, y, w = draw()
    made, _ = value_and_slope(loss, jnp.asarray(embed, jnp.bfloat16), y, w)
    np.testing.assert_allclose(made, value_and_slope(loss, embed, y, w)[0], rtol=0.02)


@each
def test_compiled_and_for_many_members_at_once(loss):
    drawn = [np.stack(arrays) for arrays in zip(*(draw(seed) for seed in range(3)), strict=True)]
    together = jax.jit(jax.vmap(lambda *arrays: value(loss, *arrays)))(*drawn)
    alone = [value_and_slope(loss, *(a[i] for a in drawn))[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@each
@pytest.mark.slow
def test_gradient_by_finite_differences(loss):
    with compat.float64():
        embed, y, w = draw(bars=3)
        wide = (jnp.asarray(embed, jnp.float64),)
        check_grads(lambda e: value(loss, e, y, w.astype(np.float64), temperature=0.3), wide, 1, ["rev"], rtol=1e-5)


def test_options_are_used():
    embed, y, w = draw()
    made = contrastive.build("simclr", {"temperature": 0.7, "anchors": 12})
    assert value(made, embed, y, w) == value(nt_xent, embed, y, w, temperature=0.7, anchors=12)
    assert value(made, embed, y, w) != value(nt_xent, embed, y, w)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("simcl", {}, "there is no contrastive loss 'simcl'; did you mean 'simclr'"),
        ("ts2vec", {"blocks": 8}, "contrastive loss 'ts2vec' has no option 'blocks'; did you mean 'block'"),
        ("ts2vec", {"alpha": 1.5}, "option alpha must be at least 0 and below 1, got 1.5"),
        ("simclr", {"temperature": 0.0}, "option temperature must be at least 0.001"),
        ("supcon", {"anchors": 0}, "option anchors must be at least 1, got 0"),
    ],
)
def test_errors(name, options, message):
    with pytest.raises(ConfigError, match=message):
        contrastive.build(name, options)
