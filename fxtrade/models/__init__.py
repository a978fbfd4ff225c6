"""Models: causal maps over time, `[B, T, A, F] -> Output` at every T.

To add one, write a Flax module with a `receptive_field` property in its family's file and one line in `MODELS`. The
tests of causality, receptive field and of dense = chunked = streaming run over this registry and apply by themselves.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.options import check_like, check_options, nearest
from fxtrade.core.stream import Stream
from fxtrade.core.types import Array, Features, Output
from fxtrade.models.attention_tcn import AttentionTCN
from fxtrade.models.cnn_lstm import CNNLSTM
from fxtrade.models.gnn import GNN
from fxtrade.models.heads import Says
from fxtrade.models.lru import LRU
from fxtrade.models.tcn import TCN
from fxtrade.models.transformer import Transformer
from fxtrade.models.wavenet import WaveNet

MODELS = {
    "tcn": TCN,
    "wavenet": WaveNet,
    "gnn": GNN,
    "cnn_lstm": CNNLSTM,
    "lru": LRU,
    "transformer": Transformer,
    "attention_tcn": AttentionTCN,
}


def build(name: str, options: Mapping[str, Any], classes: int = 2, **more: Any) -> nn.Module:
    """The module of a config such as `name="tcn", options={"channels": 64}`; dtype may be given by name ("bfloat16").

    It says what `Says(classes, **more)` says.

    Raises:
        ConfigError: an unknown model or option, or a value of the wrong type.
    """
    if name not in MODELS:
        raise ConfigError(f"there is no model '{name}'{nearest(name, MODELS)}")
    module = MODELS[name]
    known = {f.name: f for f in dataclasses.fields(module) if f.name not in ("parent", "name", "says")}
    check_options(known, options, f"model '{name}'")
    values = dict(options)
    for key, value in options.items():
        where = f"model '{name}': option {key}"
        if key == "dtype":
            values[key] = _dtype(value, where)
            continue
        check_like(known[key].default, value, where)
        if key == "dropout" and not 0 <= value < 1:
            raise ConfigError(f"{where} must be in [0, 1), got {value}")
    return module(says=Says(classes, **more), **values)


def init(model: nn.Module, seed: Array, assets: int, features: int) -> Any:
    """Fresh parameters, float32."""
    return jax.jit(model.init)(seed, jnp.zeros((1, 1, assets, features)))["params"]


def parameter_count(params: Any) -> int:
    return sum(p.size for p in jax.tree.leaves(params))


def stream(model: nn.Module, params: Any) -> Stream:
    """The model as a stream from `Features` rows `x [T, A, F]` to `Output` rows `[T, A, ...]`.

    Rows of `Features` that are not ok are zeros, as in training. The first `receptive_field - 1` rows of a series know
    less past than the model can use. The parameters travel in the state, so that one compiled program serves all of
    them.
    """

    def init(rows: Features):
        shape = (1, 1, *rows.x.shape[1:])
        variables = jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), jnp.zeros(shape)))
        return params, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), variables.get("cache", {}))

    return Stream(init, _step(model))


@functools.cache  # one function for each model, which `jit` then compiles once
def _step(model: nn.Module) -> Callable:
    def step(state, rows: Features):
        params, cache = state
        out, new = model.apply({"params": params, "cache": cache}, rows.x[None], mutable=["cache"])
        return (params, new["cache"]), jax.tree.map(lambda a: a[0], out)

    return step


def _dtype(name: Any, where: str):
    if name not in ("float32", "bfloat16", "float16"):
        raise ConfigError(f"{where} must be 'float32', 'bfloat16' or 'float16', got {name!r}")
    return jnp.dtype(name)


__all__ = ["MODELS", "Output", "Says", "build", "init", "parameter_count", "stream"]
