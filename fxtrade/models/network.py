"""The base class of all networks: the options and heads that they share, and the properties that callers rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import flax.linen as nn
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Output
from fxtrade.models.encoding import Encoding
from fxtrade.models.heads import Heads, HeadSpec
from fxtrade.models.layers import AssetEmbedding, dense, fold_assets

Precision = Literal["float32", "bfloat16", "float16", "float64"]


class Network(nn.Module):
    """A causal network, `[B, T, A, F] -> Output` for any number of rows T.

    A subclass computes the hidden states in `hidden_states`, of layers that stream (`fxtrade.models.layers`), and
    states its `receptive_field`. There is no normalisation over time or batch: inputs are scaled causally, and the
    statistics of a window would include its future.

    Attributes:
        head_spec: what the heads predict.
        encoding: of the features; None takes them as they are.
        channels: width of the hidden layers.
        dropout: dropout rate.
        symbol_embedding: whether a learnt vector for each asset is added to its projected features.
        dtype: type in which the layers compute; parameters and outputs are float32. float64 needs JAX's x64 mode and is
            for tests of gradients.
        bounded_memory: whether outputs depend on nothing before the receptive field. A recurrent network forgets
            earlier rows only to within `recurrent.TOLERANCE`.
        examples: options of small networks, over which the contract tests run; the smallest first.
    """

    bounded_memory: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    head_spec: HeadSpec = HeadSpec()
    encoding: Encoding | None = None
    channels: int = 64
    dropout: float = 0.0
    symbol_embedding: bool = True
    dtype: Precision = "float32"

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"{type(self).__name__}: option dropout must be in [0, 1), got {self.dropout}")
        super().__post_init__()

    @property
    def receptive_field(self) -> int:
        """Number of rows that an output depends on, its own row included."""
        raise NotImplementedError

    @property
    def mixes_assets(self) -> bool:
        """Whether the outputs of an asset depend on the features of the others."""
        return False

    def hidden_states(self, x: Float[Array, "B T A F"], train: bool) -> Float[Array, "B T A D"]:
        """Return the last hidden states. It is called within a compact method, so that it may create submodules."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Float[Array, "B T A F"], train: bool = False) -> Output:
        return Heads(self.head_spec, name="head")(self.hidden_states(x, train))

    def encode(self, x: Float[Array, "B T A F"]) -> Float[Array, "B T A C"]:
        """Return the encoded features, projected to `channels`; without an encoding the features."""
        return x if self.encoding is None else self.encoding(x, self.channels, self.dtype)

    def embed_inputs(self, x: Float[Array, "B T A F"]) -> Float[Array, "M T C"]:
        """Project the features to `channels` and add the embedding of the asset; one series for each asset."""
        h = fold_assets(self.encode(x))
        if self.encoding is None:
            h = dense(h, self.channels, "inputs", self.dtype)
        return AssetEmbedding(x.shape[2], name="asset")(h) if self.symbol_embedding else h
