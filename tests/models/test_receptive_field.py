"""The stated receptive field of every model is exact: a bar further back changes nothing, the last one does."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.models import MODELS, recurrent
from tests.helpers.networks import ASSETS, CLASSES, FEATURES, forward, made

REACH = [
    *(("tcn", {"blocks": b, "kernel": k}) for b, k in ((1, 1), (1, 2), (2, 3), (3, 2), (2, 4))),
    *(("wavenet", {"layers": n, "cycles": c, "kernel": k}) for n, c, k in ((1, 1, 1), (3, 1, 2), (2, 2, 3), (3, 2, 2))),
    *(
        ("transformer", {"layers": n, "lookback": w, "patch": p, "positions": positions})
        for n, w, p, positions in (
            (1, 1, 1, "rotary"),
            (1, 50, 1, "rotary"),
            (3, 4, 1, "alibi"),
            (2, 3, 4, "sinusoidal"),
            (1, 1, 3, "rotary"),
        )
    ),
    *(
        ("attention_tcn", {"blocks": b, "kernel": k, "lookback": w, "place": place})
        for b, k, w, place in ((1, 2, 40, "above"), (2, 3, 5, "above"), (3, 2, 4, "between"), (1, 2, 9, "between"))
    ),
    *(("gnn", {"blocks": b, "kernel": k}) for b, k in ((1, 1), (2, 3))),
    ("gnn", {"blocks": 2, "kernel": 2, "graph": "learnt"}),
    *(
        ("gnn", {"blocks": b, "kernel": 2, "graph": "correlation", "window": w, "message": m})
        for b, w, m in ((1, 9, "attention"), (1, 9, "convolution"), (3, 4, "convolution"))
    ),
]

# recurrent models: what is older than the stated warm-up still counts, but for less than TOLERANCE
WARMUPS = [
    ("cnn_lstm", {"channels": 6, "hidden": 7, "lookback": 5, "warmup": 64}),
    ("cnn_lstm", {"channels": 4, "hidden": 6, "layers": 2, "kernel": 2, "lookback": 9, "front": "inception"}),
    ("cnn_lstm", {}),
    ("lru", {"channels": 8, "blocks": 2, "warmup": 40}),
    ("lru", {"channels": 6, "blocks": 3, "kernel": 2, "warmup": 20}),
    ("lru", {}),
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


@pytest.mark.parametrize("name, options", WARMUPS)
@pytest.mark.parametrize("seed", [0, 1])
def test_before_its_warmup_a_fresh_recurrent_model_knows_next_to_nothing(name, options, seed):
    model = models.build(name, options, CLASSES)
    params = models.init(model, jax.random.PRNGKey(seed), ASSETS, FEATURES)
    reach, rng = model.receptive_field, np.random.default_rng(seed)
    x = rng.standard_normal((1, 3 * reach, ASSETS, FEATURES)).astype(np.float32)
    known = np.asarray(forward(model)(params, x).embed)

    def influence(rows):
        """On the last rows, of everything that is `rows` or more before the first of them, relative to their spread."""
        other, last = x.copy(), x.shape[1] - reach // 2
        other[:, : last - rows + 1] = rng.standard_normal(other[:, : last - rows + 1].shape)
        return np.abs(forward(model)(params, other).embed - known)[:, last:].max() / known.std()

    assert influence(reach) < recurrent.TOLERANCE
    assert influence(reach // 4) > recurrent.TOLERANCE


def test_stated_receptive_fields():
    assert models.build("tcn", {"blocks": 5, "kernel": 3}).receptive_field == 125
    assert models.build("wavenet", {"layers": 7, "cycles": 1, "kernel": 2}).receptive_field == 128
    assert models.build("wavenet", {"layers": 4, "cycles": 3, "kernel": 3}).receptive_field == 91
    assert models.build("transformer", {"layers": 4, "lookback": 32}).receptive_field == 125
    assert models.build("transformer", {"layers": 2, "lookback": 16, "patch": 8}).receptive_field == 248
    assert models.build("attention_tcn", {"blocks": 4, "lookback": 65}).receptive_field == 61 + 64
    assert models.build("attention_tcn", {"blocks": 4, "lookback": 65, "place": "between"}).receptive_field == 61 + 192


def test_every_model_is_here():
    assert {name for name, _ in REACH + WARMUPS} == set(MODELS)
