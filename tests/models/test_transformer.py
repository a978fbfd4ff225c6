"""Transformer and attention TCN: the former in NumPy float64, patches, and what becomes of a series' beginning."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core.types import Features
from fxtrade.models.attention import POSITIONS
from tests.helpers.attention_loops import layer_loop, norm_loop
from tests.helpers.causality import in_chunks
from tests.helpers.networks import ASSETS, FEATURES, forward, made

HEADS, SIZE, LOOKBACK, LAYERS = 2, 4, 5, 2
SMALL = {"heads": HEADS, "head_channels": SIZE, "lookback": LOOKBACK, "layers": LAYERS}


def drawn(steps, assets=ASSETS, features=FEATURES, seed=0):
    return np.random.default_rng(seed).standard_normal((2, steps, assets, features)).astype(np.float32)


def transformer(p, x, asset, positions, patch):
    """One asset `[T, F]`; returns the last hidden state `[T, C]`."""
    kernel = p["inputs"]["kernel"]
    h = np.tile(p["inputs"]["bias"] + asset, (len(x), 1))
    for t in range(len(x)):
        for i in range(min(patch, t + 1)):
            h[t] += x[t - i] @ kernel[patch - 1 - i]
    for i in range(LAYERS):
        y = norm_loop(p[f"norm{i}a"], h)
        h = h + layer_loop(p[f"attention{i}"], y, HEADS, SIZE, LOOKBACK, positions, patch)
        y, w = norm_loop(p[f"norm{i}b"], h), p[f"forward{i}"]
        y = np.maximum(y @ w["wide"]["kernel"] + w["wide"]["bias"], 0)
        h = h + y @ w["outputs"]["kernel"] + w["outputs"]["bias"]
    return norm_loop(p["norm"], h)


@pytest.mark.parametrize(
    "positions, patch, embedding",
    [("rotary", 1, True), ("alibi", 1, False)] + [("sinusoidal", 3, True), ("rotary", 4, False)],
)
def test_the_transformer_as_written_in_numpy(positions, patch, embedding):
    options = {"channels": 7, "expansion": 3, "positions": positions, "patch": patch, "symbol_embedding": embedding}
    model, params = made("transformer", **SMALL, **options)
    x = drawn(41)
    out = forward(model)(params, x)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    for b, a in np.ndindex(2, ASSETS):
        asset = p["asset"]["embedding"][a] if embedding else 0
        hidden = transformer(p, x[b, :, a].astype(np.float64), asset, positions, patch)
        np.testing.assert_allclose(out.embed[b, :, a], hidden, rtol=1e-5, atol=1e-5)
        logits = hidden @ p["head"]["logits"]["kernel"] + p["head"]["logits"]["bias"]
        np.testing.assert_allclose(out.logits[b, :, a], logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_model_on_patches_says_every_bar_what_one_on_patches_side_by_side_says(positions):
    patch, tokens = 4, 12
    model, params = made("transformer", **SMALL, channels=6, positions=positions, patch=patch)
    x = drawn(patch * tokens)
    every_bar = forward(model)(params, x).logits
    side_by_side, _ = made("transformer", **SMALL, channels=6, positions=positions)
    kernel = params["inputs"]["kernel"]
    inputs = {**params["inputs"], "kernel": kernel.reshape(1, -1, kernel.shape[-1])}
    patches = x.reshape(2, tokens, patch, ASSETS, FEATURES).swapaxes(2, 3).reshape(2, tokens, ASSETS, -1)
    logits = forward(side_by_side)({**params, "inputs": inputs}, patches).logits
    np.testing.assert_allclose(every_bar[:, patch - 1 :: patch], logits, rtol=1e-5, atol=1e-5)


CASES = [("transformer", {**SMALL, "positions": p, "patch": n}) for p, n in zip(POSITIONS, (1, 2, 3), strict=True)] + [
    ("attention_tcn", {"blocks": 2, "lookback": 9, "positions": p}) for p in POSITIONS
]


@pytest.mark.parametrize("name, options", CASES)
def test_a_stream_of_any_age_says_what_a_fresh_segment_says(name, options):
    """Without an absolute position a stream's age cannot matter: the last segment of it, scored alone, agrees."""
    model, params = made(name, channels=8, **options)
    warm, rows = model.receptive_field - 1, 3000
    x = np.random.default_rng(1).standard_normal((rows, ASSETS, FEATURES)).astype(np.float32)
    stream = models.stream(model, params)
    stream = stream._replace(step=jax.jit(stream.step))
    old = in_chunks(stream, Features(x, np.ones((rows, ASSETS), bool)), (700, 1, 1, 1, 797)).logits
    fresh = forward(model)(params, x[None, -warm - 50 :]).logits[0]
    np.testing.assert_allclose(old[-50:], fresh[warm:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place, layers", [("above", 1), ("between", 2)])
def test_the_attention_tcn_without_attention_is_the_tcn(place, layers):
    model, params = made("attention_tcn", channels=6, blocks=3, place=place)
    attention = [name for name in params if name.startswith("attention")]
    assert len(attention) == layers
    silent = dict(params)
    for name in attention:
        silent[name] = {**params[name], "outputs": jax.tree.map(np.zeros_like, params[name]["outputs"])}
    tcn, its = made("tcn", channels=6, blocks=3)
    x = drawn(60)
    expected = forward(tcn)({name: params[name] for name in its}, x).logits
    np.testing.assert_allclose(forward(model)(silent, x).logits, expected, rtol=1e-6, atol=1e-6)
    assert np.abs(forward(model)(params, x).logits - expected).max() > 0.01
