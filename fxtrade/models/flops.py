"""The number of floating point operations of a network, counted in its jaxpr."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

ROWS = 1024  # of a series over which the count is averaged


def flops_per_sample(model: nn.Module, assets: int, features: int) -> float:
    """Return the floating point operations for one bar of one asset in a dense pass over a series.

    Counts matrix products and convolutions, at two operations for each multiplication and its addition, including those
    in loops and those that blocked attention computes outside its band. Elementwise operations are not counted. XLA's
    own count ignores the repetitions of loops.
    """
    x = jax.ShapeDtypeStruct((1, ROWS, assets, features), jnp.float32)
    params = jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), jnp.zeros((1, 1, assets, features)))["params"])
    program = jax.make_jaxpr(lambda p, x: model.apply({"params": p}, x))(params, x)
    return count_flops(program.jaxpr) / (ROWS * assets)


def count_flops(program: Any) -> float:
    """Return the operations of all products in a jaxpr and in the jaxprs inside it."""
    total = 0.0
    for equation in program.eqns:
        name, parameters = equation.primitive.name, equation.params
        shapes = [v.aval.shape for v in equation.invars if hasattr(v.aval, "shape")]
        if name == "dot_general":
            contracted = parameters["dimension_numbers"][0][0]
            size = np.prod(equation.outvars[0].aval.shape, dtype=float)
            total += 2 * size * np.prod([shapes[0][i] for i in contracted], dtype=float)
        elif name == "conv_general_dilated":
            kernel, spec = shapes[1], parameters["dimension_numbers"].rhs_spec  # output channel, input channel, space
            size = np.prod(equation.outvars[0].aval.shape, dtype=float)
            total += 2 * size * np.prod(kernel, dtype=float) / kernel[spec[0]]
        else:
            times = parameters.get("length", 1) if name == "scan" else 1
            total += times * sum(count_flops(inner) for inner in _inner_jaxprs(parameters))
    return total


def _inner_jaxprs(parameters: dict[str, Any]) -> list[Any]:
    leaves = jax.tree.leaves(list(parameters.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr"))
    return [getattr(v, "jaxpr", v) for v in leaves if hasattr(v, "eqns") or hasattr(v, "jaxpr")]
