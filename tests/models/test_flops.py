"""Arithmetic counted in a program equals what one counts by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fxtrade import models
from fxtrade.models.attention import BLOCK
from fxtrade.models.flops import count_flops, flops_per_sample


def counted(f, *shapes) -> float:
    return count_flops(jax.make_jaxpr(f)(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)).jaxpr)


def test_products():
    assert counted(lambda a, b: a @ b, (3, 5), (5, 7)) == 2 * 3 * 5 * 7
    assert counted(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (4, 3, 5), (4, 5, 7)) == 4 * 2 * 3 * 5 * 7
    assert counted(lambda a: jnp.tanh(a) + 1, (3, 5)) == 0


def test_loops_count_as_often_as_they_run():
    def loop(a, b):
        return lax.scan(lambda c, _: (c @ b, None), a, None, 11)[0]

    assert counted(loop, (3, 5), (5, 5)) == 11 * 2 * 3 * 5 * 5
    assert counted(jax.jit(loop), (3, 5), (5, 5)) == 11 * 2 * 3 * 5 * 5


def test_a_tcn():
    """Inputs, 2 x 3 convolutions of 8 channels over 3 rows, and the head: two operations for each weight."""
    model = models.build("tcn", {"channels": 8, "blocks": 3})
    assert flops_per_sample(model, 4, 5) == 2 * (5 * 8 + 6 * 3 * 8 * 8 + 8 * 2)


def test_an_lstm_within_a_scan():
    options = {"channels": 4, "hidden": 6, "kernel": 2, "lookback": 33, "warmup": 8}
    model = models.build("cnn_lstm", options)
    products = 5 * 4 + 2 * 2 * 4 * 4 + (4 + 6) * 24 + 6 * 6 + 12 * 6 + 6 * 2
    attention = 2 * 2 * BLOCK * 6  # scores and sums of every state with those of its block and the one before
    assert flops_per_sample(model, 3, 5) == pytest.approx(2 * (products + attention), rel=1e-3)


def test_more_assets_of_a_model_that_does_not_mix_them_cost_the_same_each():
    for model in (models.build(name, module.examples[0]) for name, module in models.MODELS.items()):
        one, many = (flops_per_sample(model, n, 6) for n in (1, 8))
        assert (np.isclose(one, many) or model.mixes_assets) and one > 0
