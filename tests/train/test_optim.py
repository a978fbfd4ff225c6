from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fxtrade import models
from fxtrade.core.config import OptimConfig
from fxtrade.train.optim import averaging, decay_mask, optimizer, schedule
from tests.helpers.toys import ASSETS, FEATURES, MODEL

PARAMS = {"a": {"kernel": jnp.asarray([[1.0, -2.0]]), "bias": jnp.asarray([0.5])}, "asset": {"embedding": jnp.ones(2)}}


def rates(config: OptimConfig, steps: int) -> np.ndarray:
    return np.array([float(schedule(config, steps)(s)) for s in range(steps + 1)])


def test_cosine_rises_linearly_then_falls_to_one_percent():
    got = rates(OptimConfig(learning_rate=0.5, schedule="cosine", warmup=10), 110)
    np.testing.assert_allclose(got[:11], 0.5 * np.arange(11) / 10, atol=1e-7)
    phase = np.arange(101) / 100
    np.testing.assert_allclose(got[10:], 0.5 * (0.01 + 0.99 * (1 + np.cos(np.pi * phase)) / 2), rtol=1e-5)


def test_constant_rises_linearly_then_stays():
    got = rates(OptimConfig(learning_rate=0.5, schedule="constant", warmup=4), 50)
    np.testing.assert_allclose(got[:5], 0.5 * np.arange(5) / 4, atol=1e-7)
    np.testing.assert_allclose(got[4:], 0.5)


@pytest.mark.parametrize("name", ["cosine", "constant"])
@pytest.mark.parametrize("warmup, steps", [(0, 10), (50, 1), (50, 10), (50, 50)])
def test_any_warm_up_and_any_length_are_finite(name, warmup, steps):
    got = rates(OptimConfig(learning_rate=0.5, schedule=name, warmup=warmup), steps)
    assert np.isfinite(got).all() and (got >= 0).all() and got.max() <= 0.5
    assert got.max() > 0


def test_decay_pulls_on_kernels_only():
    mask = decay_mask(PARAMS)
    assert mask == {"a": {"kernel": True, "bias": False}, "asset": {"embedding": False}}
    params = models.init(MODEL, jax.random.PRNGKey(0), ASSETS, FEATURES)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), decays in zip(leaves, jax.tree.leaves(decay_mask(params)), strict=True):
        assert decays == (leaf.ndim > 1 and path[-1].key != "embedding"), path


def test_decay_alone_shrinks_kernels_by_rate_times_decay():
    config = OptimConfig(learning_rate=0.1, schedule="constant", warmup=0, weight_decay=0.2)
    tx = optimizer(config, 10)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, PARAMS), tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["a"]["kernel"], -0.1 * 0.2 * PARAMS["a"]["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(updates["a"]["bias"], 0)
    np.testing.assert_array_equal(updates["asset"]["embedding"], 0)


def adamw(grads: list[np.ndarray], p: np.ndarray, rate: float, decay: float, clip: float) -> np.ndarray:
    """Loshchilov & Hutter (2019), algorithm 2, after clipping, in float64."""
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        g = g * min(1.0, clip / np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - rate * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + decay * p)
    return p


@pytest.mark.parametrize("size", [0.01, 100.0], ids=["below the clip", "above the clip"])
def test_against_the_formula(size):
    rng = np.random.default_rng(0)
    grads = [size * rng.normal(size=(3, 4)) * (1 + 9 * (k == 2)) for k in range(6)]
    start = rng.normal(size=(3, 4))
    config = OptimConfig(learning_rate=0.03, schedule="constant", warmup=0, weight_decay=0.1, clip_norm=1.0)
    tx = optimizer(config, 6)
    params = {"kernel": jnp.asarray(start, jnp.float32)}
    state = tx.init(params)
    for g in grads:
        updates, state = tx.update({"kernel": jnp.asarray(g, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["kernel"], adamw(grads, start, 0.03, 0.1, 1.0), rtol=1e-4, atol=1e-6)


def test_sam_takes_the_gradient_uphill():
    """Foret et al. (2021), written out: the slope at p + rho g / |g| goes to the optimiser, not g."""
    config = OptimConfig(learning_rate=0.1, schedule="constant", warmup=0, weight_decay=0.0, clip_norm=1e9)
    slope = jax.grad(lambda p: jnp.sum(p["kernel"] ** 4) + p["bias"] ** 3)
    params = {"kernel": jnp.asarray([1.0, -2.0]), "bias": jnp.asarray(0.5)}
    g = slope(params)
    length = np.sqrt(sum((np.asarray(v) ** 2).sum() for v in g.values()))
    climbed = {k: params[k] + 0.05 * g[k] / length for k in params}
    tx, plain = (optimizer(dataclasses.replace(config, sam_rho=rho), 10) for rho in (0.05, None))
    got, _ = tx.update(g, tx.init(params), params, grad_fn=lambda p, _: slope(p))
    expected, _ = plain.update(slope(climbed), plain.init(params), params)
    for key in params:
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-6)


def test_sam_without_a_slope_stays():
    tx = optimizer(OptimConfig(sam_rho=0.1, weight_decay=0.0), 10)
    params = {"kernel": jnp.ones(3)}
    zero = {"kernel": jnp.zeros(3)}
    got, _ = tx.update(zero, tx.init(params), params, grad_fn=lambda p, _: zero)
    np.testing.assert_array_equal(got["kernel"], 0)


def test_the_heads_alone():
    params = models.init(MODEL, jax.random.PRNGKey(0), ASSETS, FEATURES)
    tx = optimizer(OptimConfig(warmup=0), 10, trainable="heads")
    slopes = jax.tree.map(jnp.ones_like, params)
    updates, _ = tx.update(slopes, tx.init(params), params)
    for name, part in updates.items():
        moved = [bool(np.any(u)) for u in jax.tree.leaves(part)]
        assert all(moved) if name == "head" else not any(moved)


class TestAveraging:
    def test_exponential_with_a_start_that_forgets(self):
        d = [float(averaging(OptimConfig(ema_decay=0.9), 100)(s)) for s in (0, 8, 1000)]
        np.testing.assert_allclose(d, [0.1, 0.5, 0.9], rtol=1e-6)
        assert [float(averaging(OptimConfig(ema_decay=None), 100)(s)) for s in (0, 8)] == [0, 0]

    def test_evenly_over_the_last_steps(self):
        """The weights themselves up to there, then the plain mean of all since."""
        decay, steps = averaging(OptimConfig(swa_fraction=0.4), 50), np.random.default_rng(0).standard_normal(50)
        average, seen = 0.0, []
        for i, p in enumerate(steps):
            d = float(decay(jnp.asarray(i)))
            average = d * average + (1 - d) * p
            seen.append(average)
        np.testing.assert_allclose(seen[:31], steps[:31], rtol=1e-6)
        np.testing.assert_allclose(seen[-1], steps[30:].mean(), rtol=1e-5)
