"""Weights that the benchmarks give to fxtrade and to its peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax
import flax.linen as nn
import jax
import numpy as np

from fxtrade import models


def random_weights(model: nn.Module, assets: int, features: int, path: Path) -> Any:
    """Return random parameters, and save them to the .npz file `path` by names like "block0a/kernel".

    Unlike those of a fresh network (small head, zero biases), outputs are far from constant, so that agreement is
    informative.
    """
    params = models.init(model, jax.random.PRNGKey(0), assets, features)
    rng = np.random.default_rng(1)
    flat = {}
    for name, value in flax.traverse_util.flatten_dict(params, sep="/").items():
        scale = 0.03 if name == "head/logits/kernel" else 0.0 if name.endswith("kernel") else 0.1
        flat[name] = (value + scale * rng.standard_normal(value.shape)).astype(np.float32)
    np.savez(path, **flat)
    return jax.tree.map(jax.numpy.asarray, flax.traverse_util.unflatten_dict(flat, sep="/"))
