"""Two views of a segment: each change does what it says, and none tells anything of later rows."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.config import ViewsConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Segment
from fxtrade.train import augment

B, T, A, F = 4, 50, 2, 3
OFF = {"scaling": 0.0, "jitter": 0.0, "dropout": 0.0, "masking": 0.0, "crop": 0.0}
ALL = {"scaling": 0.3, "jitter": 0.2, "dropout": 0.3, "masking": 0.2, "crop": 0.6}
SEEDS = st.integers(0, 1000)


def segment(seed=0, shape=(B, T, A), missing=0.2):
    """A share of the rows is not there; the first ten bars are warm-up."""
    rng = np.random.default_rng(seed)
    there = rng.random(shape) >= missing
    x = np.where(there[..., None], rng.standard_normal((*shape, F)), 0).astype(np.float32)
    w = np.where(there & (np.arange(shape[1]) >= 10)[:, None], rng.uniform(0.5, 1, shape), 0).astype(np.float32)
    ret = rng.standard_normal(shape).astype(np.float32)
    further = rng.integers(0, 2, (*shape, 2)).astype(np.int32)
    y = (ret > 0).astype(np.int32)
    return Segment(*map(jnp.asarray, (x, y, ret, w, (w > 0).astype(np.float32), further, w[..., None] * further)))


@cache
def compiled(**strengths):
    config = ViewsConfig(**OFF | strengths)
    return jax.jit(lambda rows, seed: augment.two_views(config, rows, jax.random.PRNGKey(seed)))


def made(rows, seed=0, **strengths):
    return compiled(**strengths)(rows, seed)


def twice(a):
    return np.concatenate([a, a])


@given(SEEDS)
def test_without_any_change_both_views_are_the_segment(seed):
    rows = segment(seed)
    jax.tree.map(np.testing.assert_array_equal, made(rows, seed), jax.tree.map(twice, rows))


@given(SEEDS, st.integers(0, T - 2))
def test_the_future_is_unseen(seed, t):
    """Another future, values and gaps, and all rows up to t of both views stay as they were, bit for bit."""
    rows, other = segment(seed), segment(seed + 1)
    later = (np.arange(T) > t)[None, :, None, None]
    changed = rows.replace(x=jnp.where(later, 100 * other.x, rows.x))
    before, after = made(rows, seed, **ALL), made(changed, seed, **ALL)
    np.testing.assert_array_equal(before.x[:, : t + 1], after.x[:, : t + 1])
    assert not np.array_equal(before.x, after.x)
    np.testing.assert_array_equal(before.w, after.w)


@given(SEEDS)
def test_a_row_without_values_stays_without(seed):
    rows = segment(seed)
    missing = twice((np.asarray(rows.x) == 0).all(-1))
    assert missing.any() and (np.asarray(made(rows, seed, **ALL).x)[missing] == 0).all()


@given(SEEDS)
def test_labels_are_repeated(seed):
    rows = segment(seed)
    seen = made(rows, seed, **ALL)
    for name in ("y", "ret", "horizon_y"):
        np.testing.assert_array_equal(getattr(seen, name), twice(np.asarray(getattr(rows, name))))


@given(SEEDS, st.sampled_from([0.2, 0.9]))
def test_a_view_forgets_its_beginning_and_rows_that_both_know_count(seed, crop):
    rows = segment(seed, missing=0)
    seen = made(rows, seed, crop=crop)
    known = (np.asarray(seen.x) != 0).all((2, 3))
    begin = known.argmax(1)
    assert (begin <= crop * T).all()
    np.testing.assert_array_equal(known, np.arange(T) >= begin[:, None])
    np.testing.assert_array_equal(seen.x, np.where(known[..., None, None], twice(rows.x), 0))
    both = twice(known[:B] & known[B:])
    for name in ("w", "ret_w", "horizon_w"):
        whole = twice(getattr(rows, name))
        expected = np.where(both.reshape(*both.shape, *(1,) * (whole.ndim - 2)), whole, 0)
        np.testing.assert_array_equal(getattr(seen, name), expected)


def test_crops_are_uniform_and_differ_between_views():
    rows = segment(shape=(400, T, 1), missing=0)
    begin = (np.asarray(made(rows, crop=0.5).x) != 0).all((2, 3)).argmax(1)
    count = np.bincount(begin, minlength=25)
    assert len(count) == 25 and count.min() > 10 and count.max() < 60
    assert abs(np.corrcoef(begin[:400], begin[400:])[0, 1]) < 0.15


def test_jitter_is_noise_of_the_stated_size_on_every_value():
    rows = segment(missing=0)
    noise = np.asarray(made(rows, jitter=0.3).x) - twice(rows.x)
    np.testing.assert_allclose(noise.std((1, 2)), 0.3, rtol=0.35)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.3], atol=0.02)
    assert abs(np.corrcoef(noise[:B].ravel(), noise[B:].ravel())[0, 1]) < 0.1


def test_scaling_is_one_positive_factor_for_each_feature_of_a_segment():
    rows = segment(shape=(300, 5, A), missing=0)
    factor = np.asarray(made(rows, scaling=0.2).x) / twice(rows.x)
    one = factor[:, :1, :1]
    np.testing.assert_allclose(factor, np.broadcast_to(one, factor.shape), rtol=1e-5)
    logs = np.log(one[:, 0, 0])
    np.testing.assert_allclose([logs.mean(), logs.std()], [0, 0.2], atol=0.02)
    assert abs(np.corrcoef(logs[:300].ravel(), logs[300:].ravel())[0, 1]) < 0.1


def test_dropout_takes_a_feature_out_of_all_of_a_segment():
    rows = segment(shape=(300, 5, A), missing=0)
    kept = np.asarray(made(rows, dropout=0.25).x) != 0
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[:, :1, :1], kept.shape))
    np.testing.assert_allclose(1 - kept.mean((0, 1, 2)), 0.25, atol=0.06)


def test_masking_takes_bars_out_and_leaves_their_weight():
    rows = segment(shape=(40, T, A), missing=0)
    seen = made(rows, masking=0.25)
    kept = np.asarray(seen.x) != 0
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[..., :1], kept.shape))
    np.testing.assert_allclose(1 - kept.mean((0, 1, 3)), 0.25, atol=0.03)
    assert not np.array_equal(kept[..., 0, :], kept[..., 1, :])
    np.testing.assert_array_equal(seen.w, twice(rows.w))


def test_views_differ_by_the_key_alone():
    rows = segment()
    first, again, other = made(rows, 1, **ALL), made(rows, 1, **ALL), made(rows, 2, **ALL)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first.x, other.x) and not np.array_equal(first.x[:B], first.x[B:])


def test_as_a_hook():
    rows, key = segment(), jax.random.PRNGKey(3)
    config = ViewsConfig(**ALL)
    seen, for_loss = augment.make_augment(config)(rows, key)
    jax.tree.map(np.testing.assert_array_equal, seen, augment.two_views(config, rows, key))
    assert for_loss("what the model said") == ("what the model said", seen)


@pytest.mark.parametrize("key, value", [("jitter", -0.1), ("masking", 1.0), ("crop", 1.5), ("scaling", float("nan"))])
def test_an_impossible_strength_is_named(key, value):
    with pytest.raises(ConfigError, match=f"{key} must be at least 0.*, got {value}"):
        ViewsConfig(**{key: value})
