"""Accounts that change from row to row, whatever the rule decides."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Account, Observation, Rule


def accounts(n: int, assets: int, seed: int = 0) -> Account:
    """Of every row: equity that rises and falls by tens of percent, long and short positions, orders that wait."""
    rng = np.random.default_rng(seed)
    equity = 100 * np.exp(np.cumsum(0.05 * rng.standard_normal(n)))
    mark = 10 * np.exp(np.cumsum(0.03 * rng.standard_normal((n, assets)), 0))
    weight = np.where(rng.random((n, assets)) < 0.3, 0.0, rng.uniform(-1, 1, (n, assets)))
    units = weight * equity[:, None] / mark
    waiting = np.where(rng.random((n, assets)) < 0.1, rng.uniform(-1, 1, (n, assets)), np.nan)
    return Account(equity - (units * mark).sum(1), units, mark, Order(waiting))


def seeing(rule: Rule, accounts: Account) -> Rule:
    """The rule that sees the account of every row, one after the other."""

    def init(obs: Observation):
        return rule.init(obs), jnp.zeros((), jnp.int32)

    def update(target, state, obs, account):
        inner, row = state
        seen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[row], accounts)
        target, inner = rule.update(target, inner, obs, seen)
        return target, (inner, row + 1)

    return Rule(init, update)
