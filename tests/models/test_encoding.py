"""Encodings against encoded values that are written out and multiplied by a matrix; and in every network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from fxtrade import models
from fxtrade.core.config import EncodingConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Features
from fxtrade.models import ENCODINGS, MODELS
from fxtrade.models.encoding import LIMIT, fit_edges, normal_quantiles
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, whole
from tests.helpers.networks import ASSETS, FEATURES, inputs

BINS, WIDTH = 6, 4
each = pytest.mark.parametrize("name", ENCODINGS)


def piecewise_linear(x, edges):
    """The definition of Gorishniy et al. (2022), one bin after the other, limited to the outermost edges."""
    values = np.zeros((*x.shape, len(edges) - 1))
    for j, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        values[..., j] = np.where(x < low, 0, np.where(x >= high, 1, (x - low) / max(high - low, 1e-300)))
    return values


def one_hot(x, edges):
    return np.eye(len(edges) - 1)[np.digitize(x, edges[1:-1])]


def soft_bins(x, centres, log_width):
    return special.softmax(-((x[..., None] - centres) ** 2) / (2 * np.exp(log_width) ** 2), -1)


def periodic(x, frequencies):
    angle = 2 * np.pi * x[..., None] * frequencies
    return np.concatenate([np.sin(angle), np.cos(angle)], -1)


def constants(params, f):
    """What an encoding's column f needs besides the weights, in NumPy float64."""
    names = ("edges", "centres", "log_width", "frequencies")
    found = [np.asarray(params[name][f], float) for name in names if name in params]
    return found or [np.asarray(normal_quantiles(BINS), float)]


REFERENCES = {
    "piecewise_linear": piecewise_linear,
    "one_hot": one_hot,
    "soft_bins": soft_bins,
    "periodic": periodic,
}


@each
def test_it_is_the_encoded_values_times_a_matrix(name):
    x, layer = 2 * inputs(40), ENCODINGS[name](bins=BINS)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.PRNGKey(0), x, WIDTH)["params"])
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda s: np.sort(rng.standard_normal(s.shape)).astype(np.float32), shapes)
    expected = np.zeros((*x.shape[:-1], WIDTH)) + np.asarray(params["bias"], float)
    for f in range(FEATURES):
        values = REFERENCES[name](x[..., f].astype(float), *constants(params, f))
        expected += values @ np.asarray(params["kernel"][f], float)
    np.testing.assert_allclose(layer.apply({"params": params}, x, WIDTH), expected, rtol=1e-4, atol=1e-4)


@each
def test_the_first_outputs_are_as_large_as_standard_inputs(name):
    x = np.random.default_rng(0).standard_normal((4000, 20)).astype(np.float32)
    out = ENCODINGS[name]().init_with_output(jax.random.PRNGKey(0), x, 64)[0]
    assert 0.5 < np.sqrt(np.mean(np.square(out))) < 2


@each
@pytest.mark.parametrize("model", MODELS)
def test_every_network_takes_it(model, name):
    options = MODELS[model].examples[0]
    network = models.build(model, options, encoding=EncodingConfig(name, {"bins": BINS}))
    assert network == models.build(model, options, encoding=EncodingConfig(name, {"bins": BINS}))
    assert network != models.build(model, options)
    shapes = jax.eval_shape(lambda: models.init(network, jax.random.PRNGKey(0), ASSETS, FEATURES))
    assert {"kernel", "bias"} <= shapes["encoding"].keys()
    assert shapes["encoding"]["kernel"].shape == (FEATURES, BINS, network.channels)


@pytest.mark.parametrize("model", ["wavenet", "transformer"])  # one that encodes and adds assets, one that convolves
def test_a_network_with_an_encoding_streams(model):
    network = models.build(model, MODELS[model].examples[0], encoding=EncodingConfig("piecewise_linear"))
    stream = compiled(models.stream(network, models.init(network, jax.random.PRNGKey(0), ASSETS, FEATURES)))
    history = Features(inputs(24)[0], np.ones((24, ASSETS), bool))
    future_is_unseen(whole(stream), history, 15)
    chunks_are_whole(stream, history, (1, *11 * (1,), 12))


class TestEdges:
    def build(self, name="piecewise_linear"):
        return models.build("mlp", {"channels": 8}, encoding=EncodingConfig(name, {"bins": 4, "edges": "quantiles"}))

    @pytest.mark.parametrize("name", ["piecewise_linear", "one_hot"])
    def test_they_are_quantiles_of_the_rows_that_count(self, name):
        rng = np.random.default_rng(0)
        x = rng.gamma(2.0, size=(500, ASSETS, FEATURES)).astype(np.float32)
        counts = rng.random((500, ASSETS)) < 0.5
        params = models.init(self.build(name), jax.random.PRNGKey(0), ASSETS, FEATURES)
        other = np.where(counts[..., None], x, 100).astype(np.float32)
        fitted, again = (fit_edges(params, rows, counts) for rows in (x, other))
        jax.tree.map(np.testing.assert_array_equal, fitted, again)
        edges = fitted["encoding"]["edges"]
        np.testing.assert_allclose(edges, np.quantile(x[counts], np.linspace(0, 1, 5), axis=0).T, rtol=1e-6)
        assert fitted["head"] is not None and fitted["encoding"]["kernel"] is params["encoding"]["kernel"]

    def test_no_gradient_changes_them(self):
        network, x = self.build(), inputs(20)
        params = models.init(network, jax.random.PRNGKey(0), ASSETS, FEATURES)
        grads = jax.grad(lambda p: jnp.sum(network.apply({"params": p}, x).embed))(params)
        assert not np.any(grads["encoding"]["edges"]) and np.any(grads["encoding"]["kernel"])

    def test_a_bin_without_width_is_a_step_at_its_value(self):
        layer = ENCODINGS["piecewise_linear"](bins=3, edges="quantiles")
        x = np.array([[-1.0], [0.0], [0.5], [1.0], [7.0]], np.float32)
        params = layer.init(jax.random.PRNGKey(0), x, 1)["params"]
        kernel = np.array([1.0, 10, 100], np.float32)[None, :, None]
        for edges, expected in [((0, 0, 1, 1), (0, 1, 6, 111, 111)), ((0, 0, 0, 0), (0, 111, 111, 111, 111))]:
            fixed = {**params, "kernel": kernel, "edges": np.array([edges], np.float32)}
            np.testing.assert_allclose(layer.apply({"params": fixed}, x, 1)[:, 0], expected)

    def test_those_of_a_normal_distribution_hold_equal_shares(self):
        edges = normal_quantiles(32)
        assert edges[0] == -LIMIT and edges[-1] == LIMIT
        np.testing.assert_allclose(np.diff(special.ndtr(edges[1:-1].astype(float))), 1 / 32, rtol=1e-4)


def test_wrong_options_are_named():
    for name, options, words in [
        ("piecewise_liner", {}, "config.model.encoding: there is no encoding 'piecewise_liner'; did you mean"),
        ("gauss", {}, r"there is no encoding 'gauss' \(known: none, one_hot, periodic, piecewise_linear, soft_bins\)"),
        ("none", {"binz": 8}, "encoding.options are of an encoding, but .*name is 'none': set it to one of piecewise_"),
        ("one_hot", {"bins": 0}, "option bins must be at least 1"),
        ("one_hot", {"edges": "even"}, "'normal' or 'quantiles'"),
        ("periodic", {"bins": 3}, "encoding 'periodic': option bins must be even, got 3"),
    ]:
        with pytest.raises(ConfigError, match=words):
            models.build("mlp", {}, encoding=EncodingConfig(name, options))
