"""The checks of contract 1 catch what they are there for: each leak below must fail, its causal twin must pass."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core.stream import Kernels, Stream, from_kernels
from fxtrade.core.types import Features, Output
from fxtrade.models import stream as model_stream
from fxtrade.models.layers import CausalConv, dilated_conv
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole

ROWS = np.random.default_rng(0).normal(size=(96, 2)).astype(np.float32)


def causal_mean(k: Kernels, x):
    return k.mean(x, 3)


def centred_mean(k: Kernels, x):
    return jnp.concatenate([k.mean(x, 3)[1:], jnp.zeros_like(x[:1])])


def scaled_by_the_whole_series(k: Kernels, x):
    return (x - x.mean(0)[None]) / x.std(0)[None]


def forgets_its_past(k: Kernels, x):
    return Kernels().mean(x, 3, 1)


class Network(nn.Module):
    """One convolution over time, causal or centred."""

    centred: bool

    @nn.compact
    def __call__(self, x, train: bool = False):
        h = jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1], x.shape[3])
        if self.centred:
            h = dilated_conv(h, self.param("w", nn.initializers.ones, (3, x.shape[3], 2)), 1, 1, 1)
        else:
            h = CausalConv(2, 3)(h)
        h = jnp.moveaxis(h.reshape(-1, x.shape[2], *h.shape[1:]), 1, 2)
        return Output(h, h)


def network(centred: bool) -> Stream:
    model = Network(centred)
    params = model.init(jax.random.PRNGKey(0), jnp.zeros((1, 1, 2, 3)))["params"]
    return model_stream(model, params)


def feature_rows() -> Features:
    x = np.random.default_rng(1).normal(size=(96, 2, 3)).astype(np.float32)
    return Features(x, np.ones(x.shape[:2], bool))


def every_check(stream: Stream, rows):
    f = whole(stream)
    return {
        "future": lambda: future_is_unseen(f, rows, 50),
        "prefix": lambda: prefix_is_whole(f, rows, 50),
        "chunks": lambda: chunks_are_whole(stream, rows, (1, 7, 32)),
    }


CAUSAL = {"mean": (from_kernels(causal_mean), ROWS), "network": (network(False), feature_rows())}
LEAKS = {
    "centred mean": (from_kernels(centred_mean), ROWS, {"future", "prefix", "chunks"}),
    "scaled by the whole series": (from_kernels(scaled_by_the_whole_series), ROWS, {"future", "prefix", "chunks"}),
    "forgets its past": (from_kernels(forgets_its_past), ROWS, {"chunks"}),
    "centred network": (network(True), feature_rows(), {"future", "prefix", "chunks"}),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_streams_pass(name):
    stream, rows = CAUSAL[name]
    for check in every_check(compiled(stream), rows).values():
        check()


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_are_caught(name):
    stream, rows, caught_by = LEAKS[name]
    for check, run in every_check(compiled(stream), rows).items():
        if check in caught_by:
            with pytest.raises(AssertionError, match="rows"):
                run()


def test_one_flag_or_one_bit_is_enough():
    def last_bit(x):
        later = np.concatenate([x[1:], x[:1]])
        return np.where(later > 0, np.nextafter(x, np.float32(np.inf)), x)

    with pytest.raises(AssertionError, match="rows <= 50 change"):
        future_is_unseen(last_bit, ROWS, 50)
    with pytest.raises(AssertionError, match="rows <= 50 change"):
        future_is_unseen(lambda x: np.concatenate([x[1:] > 0, x[:1] > 0]), ROWS, 50)
