"""Mean and volatility against the likelihood of SciPy's normal distribution, horizons against the cross-entropy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fxtrade.core.config import AuxiliaryConfig, LabelConfig, LossConfig
from fxtrade.core.types import Output
from fxtrade.losses import auxiliary, build
from fxtrade.losses.classify import cross_entropy
from tests.helpers.loss_draws import A, B, T, draw, segment

H = 2


def draw_all(seed=0):
    """Draw an output and a segment with all auxiliary parts."""
    rng = np.random.default_rng(seed)
    logits, y, w = draw(seed)
    more = {
        "horizon_y": rng.integers(0, 3, (B, T, A, H)).astype(np.int32),
        "horizon_w": rng.random((B, T, A, H)).astype(np.float32),
        "ret": (0.02 * rng.standard_normal((B, T, A))).astype(np.float32),
        "ret_w": rng.integers(0, 2, (B, T, A)).astype(np.float32),
    }
    output = Output(
        jnp.asarray(logits),
        jnp.asarray(logits),
        jnp.asarray(0.01 * rng.standard_normal((B, T, A)), jnp.float32),
        jnp.asarray(np.log(0.02) + 0.3 * rng.standard_normal((B, T, A)), jnp.float32),
        jnp.asarray(rng.standard_normal((B, T, A, H, 3)), jnp.float32),
    )
    return output, segment(y, w).replace(**{k: jnp.asarray(v) for k, v in more.items()})


def test_likelihood_against_scipy():
    output, rows = draw_all()
    nll = -stats.norm.logpdf(rows.ret, output.mu, np.exp(output.log_sigma)) - 0.5 * np.log(2 * np.pi)
    expected = (nll * rows.ret_w).sum() / rows.ret_w.sum()
    np.testing.assert_allclose(auxiliary.volatility(output, rows), expected, rtol=1e-4)


def test_both_losses_have_the_gradient_of_one_likelihood():
    """Each head has the gradient of the likelihood, and no task has a gradient to the other's head."""
    output, rows = draw_all()

    def nll(mu, log_sigma):
        value = log_sigma + 0.5 * ((rows.ret - mu) / jnp.exp(log_sigma)) ** 2
        return (value * rows.ret_w).sum() / rows.ret_w.sum()

    def both(mu, log_sigma):
        changed = output.replace(mu=mu, log_sigma=log_sigma)
        return auxiliary.volatility(changed, rows) + auxiliary.expected_return(changed, rows)

    slopes, expected = (jax.grad(f, (0, 1))(output.mu, output.log_sigma) for f in (both, nll))
    for a, b in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for task, still in ((auxiliary.volatility, "mu"), (auxiliary.expected_return, "log_sigma")):
        slope = jax.grad(lambda v: task(output.replace(**{still: v}), rows))(getattr(output, still))  # noqa: B023
        assert not np.any(slope)


def test_horizons_are_averaged_cross_entropies():
    output, rows = draw_all()
    w = rows.horizon_w.sum((0, 1, 2))
    alone = [
        cross_entropy(
            output.replace(logits=output.horizon_logits[..., i, :]),
            rows.replace(y=rows.horizon_y[..., i], w=rows.horizon_w[..., i]),
        )
        for i in range(H)
    ]
    np.testing.assert_allclose(auxiliary.horizon_cross_entropy(output, rows), np.average(alone, weights=w), rtol=1e-5)


def test_zero_without_weight():
    output, rows = draw_all()
    empty = rows.replace(ret_w=0 * rows.ret_w, horizon_w=0 * rows.horizon_w)
    for task in (auxiliary.volatility, auxiliary.expected_return, auxiliary.horizon_cross_entropy):
        assert task(output, empty) == 0
        slopes = jax.grad(lambda o: task(o, empty))(output)  # noqa: B023
        assert all(np.isfinite(s).all() for s in jax.tree.leaves(slopes))


def total(**weights):
    return build(LossConfig("cross_entropy"), LabelConfig(classes=3), 0.0, AuxiliaryConfig(**weights))


def test_losses_are_summed_with_their_weights():
    output, rows = draw_all()
    parts = [
        f(output, rows)
        for f in (cross_entropy, auxiliary.volatility, auxiliary.expected_return, auxiliary.horizon_cross_entropy)
    ]
    value = total(direction=0.5, volatility=2.0, expected_return=3.0, horizons=(4, 8), horizon_weight=0.25)(
        output, rows
    )
    np.testing.assert_allclose(value, np.dot([0.5, 2, 3, 0.25], parts), rtol=1e-5)


@pytest.mark.parametrize("weights", [{}, {"horizon_weight": 5.0}, {"direction": 1.0}])
def test_without_auxiliary_losses_the_loss_is_unchanged(weights):
    """A weight without horizons has no effect; outputs and segments need no auxiliary parts."""
    logits, y, w = draw()
    output, rows = Output(jnp.asarray(logits), jnp.asarray(logits)), segment(y, w)
    assert total(**weights)(output, rows) == cross_entropy(output, rows)
