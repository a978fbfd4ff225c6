"""The Transformer against loops in NumPy float64; patches; independence of the row number."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core.types import Features
from fxtrade.models.transformer import Transformer
from tests.helpers.causality import in_chunks
from tests.helpers.network_loops import assert_matches_numpy, attention_loop, conv, dense, layer_norm, relu
from tests.helpers.networks import ASSETS, FEATURES, forward, inputs, made


def hidden(model, p, x, a):
    h = conv(p["inputs"], x[:, a]) + (p["asset"]["embedding"][a] if model.symbol_embedding else 0)
    for i in range(model.layers):
        h = h + attention_loop(p[f"attention{i}"], layer_norm(p[f"norm{i}a"], h), model, model.patch)
        y = relu(dense(p[f"forward{i}"]["wide"], layer_norm(p[f"norm{i}b"], h)))
        h = h + dense(p[f"forward{i}"]["outputs"], y)
    return layer_norm(p["norm"], h)


@pytest.mark.parametrize("options", [*Transformer.examples, {**Transformer.examples[0], "symbol_embedding": False}])
def test_transformer_matches_numpy(options):
    assert_matches_numpy("transformer", options, hidden)


def test_every_patch_th_row_is_that_of_a_model_of_disjoint_patches():
    patch, tokens, options = 4, 12, Transformer.examples[0]
    model, params = made("transformer", **options, patch=patch)
    x = inputs(patch * tokens)
    every_bar = forward(model)(params, x).logits
    disjoint, _ = made("transformer", **options)
    kernel = params["inputs"]["kernel"]
    of_patches = {**params, "inputs": {**params["inputs"], "kernel": kernel.reshape(1, -1, kernel.shape[-1])}}
    patches = x.reshape(1, tokens, patch, ASSETS, FEATURES).swapaxes(2, 3).reshape(1, tokens, ASSETS, -1)
    logits = forward(disjoint)(of_patches, patches).logits
    np.testing.assert_allclose(every_bar[:, patch - 1 :: patch], logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", Transformer.examples)
def test_a_stream_of_any_age_agrees_with_a_segment_of_its_last_rows(options):
    model, params = made("transformer", **options)
    reach, rows = model.receptive_field, 1200
    x = inputs(rows, seed=1)[0]
    stream = models.stream(model, params)
    stream = stream._replace(step=jax.jit(stream.step))
    old = in_chunks(stream, Features(x, np.ones((rows, ASSETS), bool)), (399, 1)).logits
    segment = forward(model)(params, x[None, -reach - 9 :]).logits[0]
    np.testing.assert_allclose(old[-10:], segment[-10:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options, bars", [({"layers": 4, "lookback": 32}, 125), ({"layers": 2, "lookback": 16, "patch": 8}, 248)]
)
def test_receptive_field(options, bars):
    assert models.build("transformer", options).receptive_field == bars
