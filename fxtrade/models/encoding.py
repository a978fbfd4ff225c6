"""Encodings of the inputs: each column becomes several values, so that a network can cut it as trees do.

An encoding and the linear map that follows are one layer, sum_f V_f(x_f), whose V_f is a learnt function of column f
with values in R^D. It acts on each row alone. The columns are added one after the other: the encoded values
`[rows, F x bins]` would take `bins` times the memory of the inputs. Looking V_f up, as the first two encodings do, is
twelve times as fast as multiplying encoded values by a matrix, and ten times with the gradient (on one core of a CPU,
benchmarks/RESULTS.md).

To add one, write a subclass of `Encoding` and a line in `ENCODINGS`; the tests of models run over this registry.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax import lax
from jaxtyping import Bool, Float, PyTree, Real

from fxtrade.core.registry import Positive, require
from fxtrade.core.types import Array
from fxtrade.core.validity import safe_divide
from fxtrade.models.layers import DType

Edges = Literal["normal", "quantiles"]
EDGES = "edges"  # name of the parameter that holds quantiles of training rows
LIMIT = 5.0  # outermost edge of the quantiles of a normal distribution, the default `clip` of scaled columns
FITTED_ROWS = 200_000  # the standard error of an edge of 32 bins is then at most 0.04 bins


class Encoding(nn.Module):
    """Base class: maps `x [..., F]` to `[..., width]` by a sum over columns of `column(x_f, kernel_f, ...)`.

    Attributes:
        bins: values that a column is encoded as.
    """

    bins: int = 32

    @property
    def active(self) -> float:
        """Sum of squares of the encoded values of a column, by which the initial weights are scaled."""
        raise NotImplementedError

    def constants(self, features: int) -> tuple[Array, ...]:
        """Return what `column` needs besides its weights, arrays `[F, ...]`; called in a compact method."""
        raise NotImplementedError

    def column(
        self, x: Float[Array, " R"], kernel: Float[Array, "bins D"], *constants: Float[Array, "*rest"]
    ) -> Float[Array, "R D"]:
        """Return the encoded values of one column times its weights."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Float[Array, "*rows F"], width: int, dtype: DType = "float32") -> Float[Array, "*rows D"]:
        features = x.shape[-1]
        initial = nn.initializers.normal((features * self.active) ** -0.5)
        kernel = self.param("kernel", initial, (features, self.bins, width)).astype(dtype)
        bias = self.param("bias", nn.initializers.zeros, (width,)).astype(dtype)
        rows = x.reshape(-1, features)

        def add(total: Array, column: tuple[Array, ...]) -> tuple[Array, None]:
            return total + self.column(*column).astype(dtype), None

        start = jnp.broadcast_to(bias[None], (len(rows), width))
        total, _ = lax.scan(add, start, (rows.T, kernel, *self.constants(features)))
        return total.reshape(*x.shape[:-1], width)


class Binned(Encoding):
    """Base class of encodings by fixed bins.

    Attributes:
        edges: of the bins: "normal" takes quantiles of a normal distribution and +-5, which suits scaled columns,
            "quantiles" those of each column in the training rows, which are stored with the weights (`fit_edges`).
    """

    edges: Edges = "normal"

    def constants(self, features: int) -> tuple[Array, ...]:
        normal = jnp.broadcast_to(jnp.asarray(normal_quantiles(self.bins))[None], (features, self.bins + 1))
        if self.edges == "normal":
            return (normal,)
        return (lax.stop_gradient(self.param(EDGES, lambda _: normal)),)


class PiecewiseLinear(Binned):
    """Piecewise-linear encoding (Gorishniy, Rubachev & Babenko 2022, arXiv 2203.05556).

    Value j is clip((x - b_j) / (b_{j+1} - b_j), 0, 1) with the edges b: V_f is piecewise linear between the edges, and
    constant beyond the outermost. The weights are its increments, so that weight decay makes it smooth. A bin
    without width, as a column of few values has, is a step at that value.
    """

    @property
    def active(self) -> float:
        return self.bins / 2

    def column(self, x: Float[Array, " R"], kernel: Float[Array, "bins D"], *constants: Float[Array, " edges"]):
        (edges,) = constants
        at = find_bin(x, edges)
        low, high = edges[at], edges[at + 1]
        share = jnp.clip(safe_divide(x - low, high - low, jnp.asarray(x >= high, x.dtype)), 0, 1)
        # the sums over the bins below; on the CPU `jnp.cumsum` takes longer than all the rest
        below = jnp.matmul(jnp.tri(self.bins, k=-1, dtype=kernel.dtype), kernel, precision=lax.Precision.HIGHEST)
        return below[at] + share[:, None].astype(kernel.dtype) * kernel[at]


class OneHot(Binned):
    """The bin of the value: V_f is constant within a bin. The outermost bins have no end."""

    @property
    def active(self) -> float:
        return 1.0

    def column(self, x: Float[Array, " R"], kernel: Float[Array, "bins D"], *constants: Float[Array, " edges"]):
        return kernel[find_bin(x, *constants)]


class SoftBins(Encoding):
    """Bins whose places are learnt: softmax_j(-(x - c_j)^2 / (2 s^2)), with centres c_j and a width s for each column.

    The centres start at quantiles of a normal distribution, the widths at 4 / bins standard deviations.
    """

    @property
    def active(self) -> float:
        return 0.25

    def constants(self, features: int) -> tuple[Array, ...]:
        levels = (np.arange(self.bins) + 0.5) / self.bins
        start = np.broadcast_to(scipy.special.ndtri(levels).astype(np.float32), (features, self.bins))
        centres = self.param("centres", lambda _: jnp.asarray(start))
        log_width = self.param("log_width", nn.initializers.constant(np.log(4 / self.bins)), (features,))
        return centres, log_width

    def column(self, x: Float[Array, " R"], kernel: Float[Array, "bins D"], *constants: Array):
        centres, log_width = constants
        distance = (x[:, None] - centres[None]) * jnp.exp(-log_width)
        return nn.softmax(-(distance**2) / 2).astype(kernel.dtype) @ kernel


class Periodic(Encoding):
    """sin(2 pi c_j x) and cos(2 pi c_j x) with learnt frequencies c_j, at first normal with deviation `sigma`.

    The periodic activations of Gorishniy, Rubachev & Babenko (2022); half of the `bins` values are sines.

    Raises:
        ConfigError: an odd number of bins.
    """

    sigma: Positive = 0.3

    def __post_init__(self):
        require(self.bins % 2 == 0, "encoding 'periodic': option bins", self.bins, "be even")
        super().__post_init__()

    @property
    def active(self) -> float:
        return self.bins / 2

    def constants(self, features: int) -> tuple[Array, ...]:
        return (self.param("frequencies", nn.initializers.normal(self.sigma), (features, self.bins // 2)),)

    def column(self, x: Float[Array, " R"], kernel: Float[Array, "bins D"], *constants: Array):
        angle = 2 * jnp.pi * x[:, None] * constants[0][None]
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1).astype(kernel.dtype) @ kernel


ENCODINGS: dict[str, type[Encoding]] = {
    "piecewise_linear": PiecewiseLinear,
    "one_hot": OneHot,
    "soft_bins": SoftBins,
    "periodic": Periodic,
}


def normal_quantiles(bins: int) -> Float[np.ndarray, " edges"]:
    """Return the edges of bins of equal probability of a standard normal value, the outermost at +-LIMIT."""
    inner = scipy.special.ndtri(np.arange(1, bins) / bins)
    return np.concatenate([[-LIMIT], inner, [LIMIT]]).astype(np.float32)


def find_bin(x: Float[Array, " R"], edges: Float[Array, " edges"]) -> Array:
    """Return the index of the bin of each value; an edge belongs to the bin above it."""
    # comparisons with all inner edges are vectorised, a binary search is not
    return jnp.sum(x[:, None] >= edges[None, 1:-1], -1, dtype=jnp.int32)


def fit_edges(params: PyTree, x: Float[Array, "N A F"], w: Real[Array, "N A"] | Bool[Array, "N A"]) -> PyTree:
    """Return parameters whose edges, if there are any, are the quantiles of each column in the rows with w > 0.

    The outermost edges are the smallest and largest value. At most `FITTED_ROWS` evenly spaced rows are used.
    """

    def fit(path: tuple[Any, ...], leaf: Array) -> Array:
        if getattr(path[-1], "key", None) != EDGES:
            return leaf
        rows = np.asarray(x)[np.asarray(w) > 0]
        rows = rows[:: -(-len(rows) // FITTED_ROWS)]
        return jnp.asarray(np.quantile(rows, np.linspace(0, 1, leaf.shape[-1]), axis=0).T.astype(np.float32))

    return jax.tree_util.tree_map_with_path(fit, params)
