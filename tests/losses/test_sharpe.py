"""The Sharpe loss against a loop over bars, its gradient, costs and rows without weight."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from fxtrade.core import compat
from fxtrade.core.types import Output, Segment
from fxtrade.losses.trading import expected_position, sharpe

B, T, A = 2, 12, 3


def draw(seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((B, T, A, 2)).astype(np.float32)
    ret = (0.01 * rng.standard_normal((B, T, A))).astype(np.float32)
    w = np.where(rng.random((B, T, A)) < missing, 0, rng.random((B, T, A))).astype(np.float32)
    w[:, :3] = 0  # warm-up
    return logits, ret, w


def loss(logits, ret, w, **options):
    segment = Segment(jnp.zeros((B, T, A, 1)), jnp.zeros((B, T, A), jnp.int32), jnp.asarray(ret), jnp.asarray(w))
    return sharpe(Output(jnp.asarray(logits), jnp.asarray(logits)), segment, **options)


def by_loop(logits, ret, w, cost, horizon):
    p = 1 / (1 + np.exp(-(logits[..., 1] - logits[..., 0]).astype(np.float64)))
    bars = []
    for b in range(B):
        held = np.zeros((T, A))
        for t in range(T):
            for a in range(A):
                last = held[t - 1, a] if t else 0.0
                held[t, a] = 2 * p[b, t, a] - 1 if w[b, t, a] > 0 else last
        for t in range(T):
            if not (w[b, t] > 0).any():
                continue
            earned = 0.0
            for a in range(A):
                before = held[t - horizon, a] if t >= horizon else 0.0
                gain = held[t, a] * np.expm1(float(ret[b, t, a])) if w[b, t, a] > 0 else 0.0
                earned += (gain - cost * abs(held[t, a] - before)) / horizon / A
            bars.append(earned)
    return -np.mean(bars) / np.std(bars)


@given(st.integers(0, 1000), st.sampled_from([0.0, 1e-3, 0.01]), st.sampled_from([1, 2, 4]))
def test_against_a_loop(seed, cost, horizon):
    logits, ret, w = draw(seed)
    expected = by_loop(logits, ret, w, cost, horizon)
    np.testing.assert_allclose(loss(logits, ret, w, cost=cost, horizon=horizon), expected, rtol=2e-4, atol=1e-5)


def test_gradient_by_finite_differences():
    with compat.float64():
        logits, ret, w = (a.astype(np.float64) for a in draw())
        ret = 5 * ret
        wide = (jnp.asarray(logits),)
        check_grads(lambda a: loss(a, ret, w, cost=1e-3, horizon=3), wide, 1, ["rev"], rtol=1e-4)


def test_correct_positions_gain_and_costs_reduce_the_ratio():
    logits, ret, w = draw()
    right = np.stack([-50 * ret, 50 * ret], -1)
    assert loss(right, ret, w, cost=0.0) < -0.5 < 0.5 < loss(-right, ret, w, cost=0.0)
    assert loss(right, ret, w, cost=0.0) < loss(right, ret, w, cost=1e-3) < loss(right, ret, w, cost=1e-2)


def test_turnover_is_penalised():
    """Equal gains; in one case position and return change sign at every bar."""
    ret = np.full((B, T, A), 0.01, np.float32)
    w, steady = np.ones((B, T, A), np.float32), np.tile(np.float32([0, 3]), (B, T, A, 1))
    turn = np.where(np.arange(T) % 2, -1, 1)[None, :, None]
    wild = np.where(turn[..., None] > 0, steady, steady[..., ::-1])
    moves = np.log1p(turn * np.expm1(ret))
    noise = 1 + 0.1 * np.random.default_rng(0).standard_normal((B, T, A)).astype(np.float32)
    same = [loss(x, r * noise, w, cost=0.0) for x, r in ((steady, ret), (wild, moves))]
    np.testing.assert_allclose(*same, rtol=0.05)
    costly = [loss(x, r * noise, w, cost=1e-3) for x, r in ((steady, ret), (wild, moves))]
    assert costly[0] < costly[1]


def test_rows_without_weight_do_not_count():
    logits, ret, w = draw()
    other = np.where(w > 0, ret, 7.0).astype(np.float32)
    assert loss(logits, other, w) == loss(logits, ret, w)
    got, slope = jax.value_and_grad(lambda a: loss(a, ret, 0 * w))(logits)
    assert got == 0 and (np.asarray(slope) == 0).all()


def test_position_with_three_classes():
    logits = 5 * np.random.default_rng(0).standard_normal((B, T, A, 3)).astype(np.float32)
    position = np.asarray(expected_position(Output(logits, logits)))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(position, p[..., 2] - p[..., 0], atol=1e-5)
