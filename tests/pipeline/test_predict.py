from __future__ import annotations

import jax
import numpy as np
import pytest

from fxtrade import models
from fxtrade.core.types import Features, Forecast
from fxtrade.pipeline import predict

NETWORKS = [("wavenet", {"channels": 4, "skip_channels": 4, "layers": 3}), ("tcn", {"channels": 4, "blocks": 2})]


@pytest.mark.parametrize("name, options", NETWORKS, ids=["wavenet", "tcn"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_forecast_is_the_network_over_the_whole_series(name, options, classes, monkeypatch):
    """In chunks of any size, with the probabilities of a softmax; where features and receptive field are there."""
    monkeypatch.setattr(predict, "SAMPLES", 74)  # 37 rows of two assets
    model = models.build(name, options, models.HeadSpec(classes))
    rng = np.random.default_rng(0)
    ok = rng.random((100, 2)) < 0.9
    x = np.where(ok[..., None], rng.normal(size=(100, 2, 3)), 0).astype(np.float32)
    params = models.init(model, jax.random.PRNGKey(0), 2, 3)
    params["head"]["logits"]["kernel"] *= 100  # opinions
    ticks = []
    made = predict.score(model, params, Features(x, ok), ticks.append)
    logits = np.asarray(model.apply({"params": params}, x[None]).logits[0], np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(made.prob, expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(made.prob) > 0.1
    warm = np.arange(100)[:, None] >= model.receptive_field - 1
    np.testing.assert_array_equal(made.ok, ok & warm)
    assert sum(ticks) == 100 and len(ticks) == 3


def test_forecasts_of_some_rows_among_all():
    prob = np.random.default_rng(0).dirichlet((1, 1, 1), (2, 2)).astype(np.float32)
    ok = np.array([[True, False], [True, True]])
    made = predict.among_all(Forecast(prob, ok), np.array([1, 3]), 5)
    np.testing.assert_array_equal(made.prob[[1, 3]], prob)
    np.testing.assert_allclose(made.prob[[0, 2, 4]], 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(made.ok, [[False] * 2, ok[0], [False] * 2, ok[1], [False] * 2])
