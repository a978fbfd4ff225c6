"""WaveNet against loops over time in NumPy float64, with all its conditions."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade import models
from fxtrade.models.wavenet import WaveNet
from tests.helpers.network_loops import assert_matches_numpy, conv, dense, embed, relu, sigmoid
from tests.helpers.networks import forward, inputs, made


def hidden(model, p, x, a):
    h, skip = embed(p, x, a), 0
    for i in range(model.cycles * model.layers):
        y = conv(p[f"gate{i}"], h, 2 ** (i % model.layers))
        if model.condition in ("asset", "both"):
            y = y + p["identity"][a] @ p[f"of_asset{i}"]["kernel"]
        if model.condition in ("market", "both"):
            y = y + relu(dense(p["market"], x.mean(1))) @ p[f"of_market{i}"]["kernel"]
        z = np.tanh(y[:, : model.channels]) * sigmoid(y[:, model.channels :])
        y = dense(p[f"mix{i}"], z)
        h, skip = h + y[:, : model.channels], skip + y[:, model.channels :]
    return relu(dense(p["outputs"], relu(skip)))


@pytest.mark.parametrize("options", [*WaveNet.examples, {**WaveNet.examples[-1], "condition": "market"}])
def test_wavenet_matches_numpy(options):
    assert_matches_numpy("wavenet", options, hidden)


def test_absent_assets_do_not_count_in_the_market():
    model, params = made("wavenet", **WaveNet.examples[0], condition="market", symbol_embedding=False)
    x, others = inputs(12), [0, 2]
    alone = forward(model)(params, x[:, :, others]).logits
    assert np.abs(forward(model)(params, x).logits[:, :, others] - alone).max() > 1e-3
    x[:, :, 1] = 0
    np.testing.assert_allclose(forward(model)(params, x).logits[:, :, others], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers, cycles, kernel, bars", [(7, 1, 2, 128), (4, 3, 3, 91), (1, 1, 1, 1)])
def test_receptive_field(layers, cycles, kernel, bars):
    assert models.build("wavenet", {"layers": layers, "cycles": cycles, "kernel": kernel}).receptive_field == bars
