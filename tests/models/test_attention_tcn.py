"""The attention TCN against loops over time in NumPy float64, and against the TCN."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models.attention_tcn import AttentionTCN
from tests.helpers.network_loops import assert_matches_numpy, attention_loop, embed, layer_norm, residual_block
from tests.helpers.networks import forward, inputs, made


def hidden(model, p, x, a):
    h = embed(p, x, a)
    for i in range(model.blocks):
        h = residual_block(p, i, h)
        if (model.place == "above") == (i == model.blocks - 1):
            h = h + attention_loop(p[f"attention{i}"], layer_norm(p[f"norm{i}"], h), model)
    return h


@pytest.mark.parametrize("options", AttentionTCN.examples)
def test_attention_tcn_matches_numpy(options):
    assert_matches_numpy("attention_tcn", options, hidden)


@pytest.mark.parametrize("place, layers", [("above", 1), ("between", 2)])
def test_without_attention_it_is_the_tcn(place, layers):
    model, params = made("attention_tcn", channels=6, blocks=3, place=place, lookback=8)
    attention = [name for name in params if name.startswith("attention")]
    assert len(attention) == layers
    silent = dict(params)
    for name in attention:
        silent[name] = {**params[name], "outputs": jax.tree.map(np.zeros_like, params[name]["outputs"])}
    tcn, of_tcn = made("tcn", channels=6, blocks=3)
    x = inputs(40)
    expected = forward(tcn)({name: params[name] for name in of_tcn}, x).logits
    np.testing.assert_allclose(forward(model)(silent, x).logits, expected, rtol=1e-6, atol=1e-6)
    assert np.abs(forward(model)(params, x).logits - expected).max() > 0.01


@pytest.mark.parametrize("place, bars", [("above", 61 + 64), ("between", 61 + 192)])
def test_receptive_field(place, bars):
    assert models.build("attention_tcn", {"blocks": 4, "lookback": 65, "place": place}).receptive_field == bars
