"""The account of a backtest at every close, and what a rule decides there."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.market_types import POLICY, ExecutionPolicy, Market
from fxtrade.core.trading_types import Account, Observation, Rule
from fxtrade.market import costs
from fxtrade.risk.rule import first_target

FREE = costs.market(fee_bps=0)


def accounts(rule: Rule, rows: Observation, market: Market = FREE, policy: ExecutionPolicy = POLICY) -> Account:
    """The account at each close of a backtest, as the rule sees it; leaves `[N]` and `[N, A]`."""

    def watch(target, state, obs, account):
        target, memory = rule.update(target, state[0], obs, account)
        return target, (memory, account)

    with compat.float64():
        empty = engine.make_trader(rule, rows, market, policy)[0].account
        spy = Rule(lambda obs: (rule.init(obs), empty), watch)
        state, step = engine.make_trader(spy, rows, market, policy)

        def advance(state, row):
            state, _ = step(state, *row)
            return state, state.memory[1]

        scan = jax.jit(lambda state, rows: lax.scan(advance, state, rows)[1])
        seen = engine.rows_of(rows.bars, policy, engine.NO_CONDITIONS), rows
        return jax.tree.map(np.asarray, scan(state, seen))


def decisions(rule: Rule, rows: Observation, held: Account) -> Any:
    """What a rule decides at each close, given the account there."""
    with compat.float64():
        state = rule.init(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), rows))

        def advance(state, row):
            obs, account = row
            target, state = rule.update(first_target(obs), state, obs, account)
            return state, target

        return jax.tree.map(np.asarray, jax.jit(lambda rows: lax.scan(advance, state, rows)[1])((rows, held)))
