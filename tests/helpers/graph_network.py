"""A small graph network for tests, and the same network in loops in NumPy float64."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from fxtrade import models
from fxtrade.models import HeadSpec, Network
from tests.helpers.network_loops import dense, embed, layer_norm, relu, residual_block
from tests.helpers.networks import random_params

T, A, F = 24, 4, 5
SMALL = {"channels": 6, "blocks": 2, "kernel": 2, "rounds": 2, "window": 9, "links": 1, "column": 2, "rank": 3}
MIN_ROWS = 4  # rows that a correlation needs


@cache
def network(graph: str, message: str, embedding: bool = True, assets: int = A) -> tuple[Network, dict]:
    """A network and random parameters, so large that messages matter."""
    options = {**SMALL, "graph": graph, "message": message, "symbol_embedding": embedding}
    model = models.build("gnn", options, HeadSpec(3))
    return model, random_params(model, np.zeros((1, 1, assets, F)), scale=0.5, seed=1)


def rows(seed: int = 0, missing: float = 0.1, assets: int = A) -> np.ndarray:
    """`[2, T, A, F]` of assets that move together; rows of zeros where one is missing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, T, assets, F)) + 0.7 * rng.standard_normal((2, T, 1, F))
    return np.where(rng.random((2, T, assets, 1)) < missing, 0, x).astype(np.float32)


def of_assets(params, index):
    """The parameters of a market of these assets alone, in this order."""
    names = {"asset", "graph"}
    return {k: jax.tree.map(lambda a: a[np.array(index)], p) if k in names else p for k, p in params.items()}


def correlations(column, present, t, window, links):
    """The graph at row t, pair by pair."""
    assets = column.shape[1]
    rho = np.zeros((assets, assets))
    for i, j in np.ndindex(assets, assets):
        span = slice(max(t - window + 1, 0), t + 1)
        both = present[span, i] & present[span, j]
        if i != j and present[t, i] and present[t, j] and both.sum() >= max(window // 2, MIN_ROWS):
            rho[i, j] = max(np.corrcoef(column[span][both][:, [i, j]].T)[0, 1], 0)
    strongest = np.array([rho[i] >= np.sort(rho[i])[::-1][min(links, assets) - 1] for i in range(assets)])
    return np.where(strongest | strongest.T, rho, 0)


def learnt(p, present):
    strength = np.where(present, np.exp(relu(p["receiver"] @ p["sender"].T)), 0)
    return strength / np.maximum(strength.sum(1, keepdims=True), 1e-300)


def messages(p, h, edges):
    out = np.zeros(h.shape)
    for i in range(len(h)):
        near = np.flatnonzero(edges[i])
        if "values" in p:
            share = edges[i, near] / np.sqrt(edges[i].sum() * edges[:, near].sum(0))
            out[i] = share @ (h[near] @ p["values"]["kernel"]) + p["bias"]
            continue
        receiver, sender = np.split(dense(p["ends"], h), 2, -1)
        size = len(p["attention"])
        for head, a in enumerate(p["attention"].T):
            part = slice(head * size, (head + 1) * size)
            z = receiver[i, part] + sender[near, part]
            share = edges[i, near] * np.exp(np.where(z > 0, z, 0.2 * z) @ a)
            out[i, part] = share / share.sum() @ sender[near, part]
    return out


def by_hand(p, x, graph):
    """Of one series `[T, A, F]`: logits and the last hidden state."""
    present = (x != 0).any(-1)
    h = np.stack([embed(p, x, a) for a in range(x.shape[1])], 1)
    for i, a in np.ndindex(SMALL["blocks"], x.shape[1]):
        h[:, a] = residual_block(p, i, h[:, a])
    for t in range(len(x)):
        edges = np.ones((x.shape[1], x.shape[1]))
        if graph == "learnt":
            edges = learnt(p["graph"], present[t])
        if graph == "correlation":
            edges = correlations(x[..., SMALL["column"] - 1], present, t, SMALL["window"], SMALL["links"])
        edges = edges * present[t] * present[t][:, None]
        np.fill_diagonal(edges, 1)
        for i in range(SMALL["rounds"]):
            h[t] = h[t] + relu(messages(p[f"message{i}"], layer_norm(p[f"norm{i}"], h[t], 1e-6), edges))
    return dense(p["head"]["logits"], h), h
