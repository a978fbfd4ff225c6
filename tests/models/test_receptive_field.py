"""The stated receptive field of every model is exact: a bar further back changes nothing, the last one does."""

from __future__ import annotations

import numpy as np
import pytest
from networks import ASSETS, FEATURES, forward, made

from fxtrade import models
from fxtrade.models import MODELS

REACH = [
    *(("tcn", {"blocks": b, "kernel": k}) for b, k in ((1, 1), (1, 2), (2, 3), (3, 2), (2, 4))),
    *(("wavenet", {"layers": n, "cycles": c, "kernel": k}) for n, c, k in ((1, 1, 1), (3, 1, 2), (2, 2, 3), (3, 2, 2))),
]


@pytest.mark.parametrize("name, options", REACH)
def test_the_receptive_field_is_exact(name, options):
    model, params = made(name, channels=16, **options)
    reach = model.receptive_field
    x = np.random.default_rng(0).standard_normal((1, reach + 4, ASSETS, FEATURES)).astype(np.float32)
    t = reach + 2

    def logits(row):
        changed = x.copy()
        changed[:, row] += 50 * np.sign(x[:, row])
        return np.asarray(forward(model)(params, changed).logits[:, t])

    unchanged = np.asarray(forward(model)(params, x).logits[:, t])
    np.testing.assert_array_equal(logits(t - reach), unchanged)
    assert np.abs(logits(t - reach + 1) - unchanged).max() > 1e-6
    np.testing.assert_array_equal(logits(t + 1), unchanged)


def test_stated_receptive_fields():
    assert models.build("tcn", {"blocks": 5, "kernel": 3}).receptive_field == 125
    assert models.build("wavenet", {"layers": 7, "cycles": 1, "kernel": 2}).receptive_field == 128
    assert models.build("wavenet", {"layers": 4, "cycles": 3, "kernel": 3}).receptive_field == 91


def test_every_model_is_here():
    assert {name for name, _ in REACH} == set(MODELS)
