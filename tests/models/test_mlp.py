"""The multilayer perceptron against NumPy float64."""

from __future__ import annotations

import pytest

from fxtrade.models.mlp import MLP
from tests.helpers.network_loops import assert_matches_numpy, dense, embed, relu


def hidden(model, p, x, a):
    h = relu(embed(p, x, a))
    for i in range(1, model.layers):
        h = relu(dense(p[f"layer{i}"], h))
    return h


@pytest.mark.parametrize("options", MLP.examples)
def test_mlp_matches_numpy(options):
    assert_matches_numpy("mlp", options, hidden)
