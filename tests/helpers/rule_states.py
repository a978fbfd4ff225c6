"""The states of a rule after every bar, and markets whose bars a rule can read."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

from fxtrade.core import compat
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.risk.rule import replay
from tests.helpers.markets import bars, gap


def market(n: int = 400, assets: int = 2, seed: int = 0, price: float = 100.0, volatility: float = 0.01) -> Observation:
    return Observation(bars=bars(n, assets, seed, price, volatility).replace(book=None))


@st.composite
def gappy(draw, n: int, assets: int = 2) -> Observation:
    """Markets at any price, some of them constant, with gaps that may be at the beginning or leave nothing."""
    size = {"price": 10.0 ** draw(st.integers(-6, 6)), "volatility": draw(st.sampled_from([0.0, 1e-5, 0.01, 0.2]))}
    made = bars(n, assets, draw(st.integers(0, 1000)), **size)
    start, length = st.integers(0, n - 1), st.integers(1, n)
    for first, count, asset in draw(st.lists(st.tuples(start, length, st.integers(0, assets - 1)), max_size=4)):
        made = gap(made, slice(first, first + count), asset)
    return Observation(bars=made.replace(book=None))


def states(rule: Rule, rows: Observation) -> Any:
    """The states after each row, in float64: leaves begin with the axis of rows."""

    def step(state, row):
        after = rule.update(jnp.full(row.num_assets, jnp.nan), state, row, None)[1]
        return after, after

    with compat.float64():
        return jax.tree.map(np.asarray, lax.scan(step, rule.init(jax.tree.map(lambda a: a[0], rows)), rows)[1])


def in_float64(rule: Rule, rows: Observation) -> np.ndarray:
    """The targets, computed as in an account."""
    with compat.float64():
        return np.asarray(replay(rule, rows))
