"""The TCN against loops over time in NumPy float64."""

from __future__ import annotations

import pytest

from fxtrade import models
from fxtrade.models.tcn import TCN
from tests.helpers.network_loops import assert_matches_numpy, embed, residual_block


def hidden(model, p, x, a):
    h = embed(p, x, a)
    for i in range(model.blocks):
        h = residual_block(p, i, h)
    return h


@pytest.mark.parametrize("options", TCN.examples)
def test_tcn_matches_numpy(options):
    assert_matches_numpy("tcn", options, hidden)


def test_receptive_field():
    assert models.build("tcn", {"blocks": 5, "kernel": 3}).receptive_field == 125
