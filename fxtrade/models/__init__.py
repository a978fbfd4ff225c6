"""Networks: causal maps over time, `[B, T, A, F] -> Output` for any number of rows T.

To add one, write a subclass of `Network` in a file of its own, a line in `MODELS`, and a test
`test_<name>_matches_numpy` which compares it with loops in NumPy. The tests of causality, of the receptive field and of
dense = chunked = streaming run over this registry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from fxtrade.core import registry
from fxtrade.core.config import EncodingConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Stream
from fxtrade.core.types import Features, Output
from fxtrade.models.attention_tcn import AttentionTCN
from fxtrade.models.cnn_lstm import CNNLSTM
from fxtrade.models.encoding import ENCODINGS, Encoding
from fxtrade.models.gnn import GNN
from fxtrade.models.heads import HeadSpec
from fxtrade.models.lru import LRU
from fxtrade.models.mlp import MLP
from fxtrade.models.network import Network
from fxtrade.models.tcn import TCN
from fxtrade.models.transformer import Transformer
from fxtrade.models.wavenet import WaveNet

MODELS: dict[str, type[Network]] = {
    "tcn": TCN,
    "wavenet": WaveNet,
    "gnn": GNN,
    "cnn_lstm": CNNLSTM,
    "lru": LRU,
    "transformer": Transformer,
    "attention_tcn": AttentionTCN,
    "mlp": MLP,
}


def build(
    name: str, options: Mapping[str, Any], head_spec: HeadSpec | None = None, encoding: EncodingConfig | None = None
) -> Network:
    """Return the network of a config, such as `build("tcn", {"channels": 64})`.

    Raises:
        ConfigError: an unknown network, encoding or option, or a value of the wrong type.
    """
    given = {"head_spec": head_spec or HeadSpec(), "encoding": _encoding(encoding or EncodingConfig())}
    return registry.build(MODELS, name, options, "model", "config.model", **given)


def _encoding(config: EncodingConfig) -> Encoding | None:
    where = "config.model.encoding"
    registry.check_names([config.name], {"none", *ENCODINGS}, f"{where}: there is no encoding")
    if config.name != "none":
        return registry.build(ENCODINGS, config.name, config.options, "encoding", where)
    if config.options:
        raise ConfigError(
            f"{where}.options are of an encoding, but {where}.name is 'none': set it to one of {', '.join(ENCODINGS)}"
        )
    return None


def init(model: nn.Module, seed: PRNGKeyArray, assets: int, features: int) -> Any:
    """Return randomly initialised float32 parameters."""
    return jax.jit(model.init)(seed, jnp.zeros((1, 1, assets, features)))["params"]


def parameter_count(params: Any) -> int:
    return sum(p.size for p in jax.tree.leaves(params))


def stream(model: nn.Module, params: Any) -> Stream:
    """Return the network as a stream from `Features` rows `x [T, A, F]` to `Output` rows `[T, A, ...]`.

    Rows of `Features` that are not ok are zeros, as in training. The first `receptive_field - 1` rows of a series have
    less past than the network can use. The parameters are part of the state, so that one compiled program serves all
    parameters.
    """

    def init(rows: Features):
        shape = (1, 1, *rows.x.shape[1:])
        variables = jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), jnp.zeros(shape)))
        return params, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), variables.get("cache", {}))

    return Stream(init, _step(model))


@functools.cache  # the same function for equal networks, so that `jit` compiles it once
def _step(model: nn.Module) -> Callable:
    def step(state, rows: Features):
        params, cache = state
        out, new = model.apply({"params": params, "cache": cache}, rows.x[None], mutable=["cache"])
        return (params, new.get("cache", {})), jax.tree.map(lambda a: a[0], out)

    return step


__all__ = ["ENCODINGS", "MODELS", "HeadSpec", "Network", "Output", "build", "init", "parameter_count", "stream"]
