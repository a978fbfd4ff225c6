"""TS2Vec's hierarchical loss against loops over levels, bars and series in float64."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.losses.contrastive import ts2vec
from tests.helpers.loss_views import A, B, draw, mean, nt_xent_rows, value, value_and_slope


def looped(embed, w, temperature, alpha, block, bars):
    """Compute the loss level by level; series are `[M, T, D]` in two views with weights `[M, T]`."""
    pairs = [(embed[b, :, a], embed[B + b, :, a], w[b, :, a].astype(np.float64)) for b in range(B) for a in range(A)]
    first, second, w = (np.stack(part) for part in zip(*pairs, strict=True))
    levels = []
    while True:
        used = [t for t in range(w.shape[1]) if w[:, t].any()]
        if len(used) > bars:
            used = [used[int((i + 0.5) * len(used) / bars)] for i in range(bars)]
        between = [_of(first[:, t], second[:, t], w[:, t], temperature) for t in used]
        within = [
            _of(first[m, t : t + block], second[m, t : t + block], w[m, t : t + block], temperature)
            for m in range(len(w))
            for t in range(0, w.shape[1], block)
        ]
        levels.append(alpha * _mean_of(between) + (1 - alpha) * _mean_of(within))
        if w.shape[1] == 1:
            return np.mean(levels)
        first, second, w = _halved(first, w), _halved(second, w), _summed(w)


def _of(first, second, w, temperature):
    known = w > 0
    return nt_xent_rows(first[known], second[known], temperature), w[known]


def _mean_of(parts):
    return mean(*(np.concatenate(side) for side in zip(*parts, strict=True))) if parts else 0.0


def _halved(z, w):
    out = np.zeros((len(z), -(-z.shape[1] // 2), z.shape[2]))
    for m in range(len(z)):
        for t in range(out.shape[1]):
            rows = [z[m, s] for s in (2 * t, 2 * t + 1) if s < z.shape[1] and w[m, s] > 0]
            if rows:
                out[m, t] = np.max(rows, 0)
    return out


def _summed(w):
    return np.stack([w[:, t : t + 2].sum(1) for t in range(0, w.shape[1], 2)], 1)


OPTIONS = [
    {"temperature": 0.2, "alpha": 0.8, "block": 3, "bars": 2},
    {"temperature": 1.0, "alpha": 0.0, "block": 4, "bars": 5},
]


@pytest.mark.parametrize("options", OPTIONS)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.9]))
def test_as_defined(options, seed, missing):
    embed, y, w = draw(seed, missing)
    expected = looped(embed, w, **options)
    np.testing.assert_allclose(value(ts2vec, embed, y, w, **options), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bars", [1, 2, 11])
def test_a_series_of_any_length(bars):
    embed, y, w = draw(bars=bars)
    options = {"temperature": 0.5, "alpha": 0.5, "block": 4, "bars": 64}
    np.testing.assert_allclose(value(ts2vec, embed, y, w, **options), looped(embed, w, **options), rtol=1e-4)


def test_equal_embeddings():
    embed, y, w = draw(bars=8, missing=0)
    same, series = np.ones_like(embed), np.log(2 * B * A - 1)
    within = np.mean([np.log(2 * n - 1) for n in (8, 4, 2, 1)])
    np.testing.assert_allclose(value(ts2vec, same, y, w, alpha=0.25), 0.25 * series + 0.75 * within, rtol=1e-5)


def test_warm_up_rows_only_add_a_level():
    """Leading rows without weight: the same groups of bars, and one more level without any contrast."""
    embed, y, w = draw(bars=4, missing=0)
    before = [np.pad(a, [(0, 0), (4, 0)] + [(0, 0)] * (a.ndim - 2)) for a in (embed, y, w)]
    options = {"temperature": 0.2, "alpha": 0.0, "block": 4}
    np.testing.assert_allclose(
        4 * value(ts2vec, *before, **options), 3 * value(ts2vec, embed, y, w, **options), rtol=1e-5
    )


def test_the_cost_is_linear_in_the_bars():
    def flops(bars):
        embed, y, w = draw(bars=bars)
        return jax.jit(lambda e: value(ts2vec, e, y, w, block=16, bars=16)).lower(embed).cost_analysis()["flops"]

    assert flops(256) < 2.5 * flops(128)


def test_every_bar_with_weight_has_a_gradient():
    embed, y, w = draw()
    slope = np.asarray(value_and_slope(ts2vec, embed, y, w)[1])
    np.testing.assert_array_equal((slope != 0).any(-1), w > 0)
