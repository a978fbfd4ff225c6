"""The receptive field of every model: a bar further back has no influence, the last bar inside has."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models import MODELS, recurrent
from tests.helpers.networks import ASSETS, FEATURES, forward, made

EXAMPLES = [(name, dict(options)) for name, module in MODELS.items() for options in module.examples]
BOUNDED = [(name, options) for name, options in EXAMPLES if MODELS[name].bounded_memory]
RECURRENT = [(name, options) for name, options in EXAMPLES if not MODELS[name].bounded_memory]
EDGES = [
    ("tcn", {"blocks": 1, "kernel": 1}),
    ("wavenet", {"layers": 1, "kernel": 1}),
    ("transformer", {"layers": 1, "lookback": 1, "patch": 3}),
    ("attention_tcn", {"blocks": 1, "kernel": 2, "place": "between"}),
    ("gnn", {"blocks": 2, "kernel": 2, "graph": "correlation", "window": 4}),
]


@pytest.mark.parametrize("name, options", BOUNDED + EDGES)
def test_the_receptive_field_is_exact(name, options):
    model, params = made(name, **options | {"channels": 16})
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


@pytest.mark.parametrize("name, options", RECURRENT + [(name, {}) for name in dict(RECURRENT)])
@pytest.mark.slow
def test_a_fresh_recurrent_model_forgets_within_its_receptive_field(name, options):
    model = models.build(name, options)
    params = models.init(model, jax.random.PRNGKey(0), ASSETS, FEATURES)
    reach, rng = model.receptive_field, np.random.default_rng(0)
    x = rng.standard_normal((1, 3 * reach, ASSETS, FEATURES)).astype(np.float32)
    known = np.asarray(forward(model)(params, x).embed)

    def influence(rows):
        """Of all that is `rows` or more before the last reach / 2 rows, on these, relative to their deviation."""
        other, last = x.copy(), x.shape[1] - reach // 2
        other[:, : last - rows + 1] = rng.standard_normal(other[:, : last - rows + 1].shape)
        return np.abs(forward(model)(params, other).embed - known)[:, last:].max() / known.std()

    assert influence(reach) < recurrent.TOLERANCE
    assert influence(reach // 4) > recurrent.TOLERANCE
