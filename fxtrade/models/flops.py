"""How much arithmetic a network takes, counted in its program."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

ROWS = 1024  # of a series over which the count is averaged


def flops_per_sample(model: nn.Module, assets: int, features: int) -> float:
    """Floating point operations for one bar of one asset, when a series is scored dense.

    Of matrix products and convolutions, two for each multiplication with its addition, within loops as often as they
    run; elementwise work and what blocks of attention compute outside their band come on top or are counted in, as the
    program has it on this backend. XLA's own count leaves out the repetitions of loops.
    """
    x = jax.ShapeDtypeStruct((1, ROWS, assets, features), jnp.float32)
    params = jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), jnp.zeros((1, 1, assets, features)))["params"])
    program = jax.make_jaxpr(lambda p, x: model.apply({"params": p}, x))(params, x)
    return count(program.jaxpr) / (ROWS * assets)


def count(program: Any) -> float:
    """Of all products in a jaxpr and in those within it."""
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
            total += times * sum(count(inner) for inner in _inside(parameters))
    return total


def _inside(parameters: dict[str, Any]) -> list[Any]:
    """The jaxprs among the parameters of an equation."""
    leaves = jax.tree.leaves(list(parameters.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr"))
    return [getattr(v, "jaxpr", v) for v in leaves if hasattr(v, "eqns") or hasattr(v, "jaxpr")]
