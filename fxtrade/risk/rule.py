"""Composition of rules, and running a rule over rows: a chunk of history or the newest bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from fxtrade.core.order_types import Order
from fxtrade.core.stream import Stream
from fxtrade.core.trading_types import Account, ChainState, Observation, Rule, RuleTrace
from fxtrade.core.types import Array, Forecast
from fxtrade.risk.reduce import ROUNDING, kept_weight
from fxtrade.risk.signals import as_real


def chain(*rules: Rule) -> Rule:
    """Return the rule that passes the target of each rule to the next; its state is the tuple of their states."""

    def init(obs: Observation) -> tuple:
        return tuple(rule.init(obs) for rule in rules)

    def update(target: Any, states: tuple, obs: Observation, account: Account | None):
        after = []
        for rule, state in zip(rules, states, strict=True):
            target, state = rule.update(target, state, obs, account)
            after.append(state)
        return target, tuple(after)

    return Rule(init, update)


def traced(*rules: Rule) -> Rule:
    """Return the rule of `chain`, which records in its state what each rule did; `Result.rules` has it of every bar."""

    def init(obs: Observation) -> ChainState:
        none = jnp.zeros(len(rules))
        return ChainState(tuple(rule.init(obs) for rule in rules), RuleTrace(none > 0, none, none))

    def update(target: Any, state: ChainState, obs: Observation, account: Account | None):
        kept = None if account is None else kept_weight("traced", account)
        targets, states = [target], []
        for rule, inner in zip(rules, state.states, strict=True):
            target, inner = rule.update(target, inner, obs, account)
            targets.append(target)
            states.append(inner)
        return target, ChainState(tuple(states), _trace([as_real(_weight(t)) for t in targets], kept))

    return Rule(init, update)


def as_stream(rule: Rule, account: Account | None = None) -> Stream:
    """Return the stream from rows of `Forecast` or `Observation` to targets `[T, A]`.

    History at once, chunks, and one bar at a time give the same bits. `account` is what the rule sees in every row; a
    rule whose target depends on it needs an engine.
    """

    def init(rows: Forecast | Observation) -> Any:
        return rule.init(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), _observed(rows)))

    def step(state: Any, rows: Forecast | Observation) -> tuple[Any, Float[Array, "T A"] | Order]:
        def advance(state: Any, row: Observation) -> tuple[Any, Any]:
            target, state = rule.update(first_target(row), state, row, account)
            return state, target

        return lax.scan(advance, state, _observed(rows))

    return Stream(init, step)


def replay(rule: Rule, rows: Forecast | Observation, target: Float[Array, "N A"] | None = None) -> Float[Array, "N A"]:
    """Return the targets of a rule over a whole history, from its first row on; pure, for `jit` and `vmap`.

    `target` is the input of the rule, such as your own weights; without it the input is that of the rows, NaN by
    default. There is no account here: a rule that reads it runs in `engine.backtest_rule`, or by
    `fx.backtest(panel, rule)`.
    """
    rows, stream = _observed(rows), as_stream(rule)
    if target is not None:
        rows = rows._replace(target=jnp.asarray(target))
    return stream.step(stream.init(rows), rows)[1]


def first_target(row: Observation) -> Float[Array, " A"]:
    """Return the target that the first rule of a chain gets, in JAX's default float."""
    if row.target is None:
        return jnp.full(row.num_assets, jnp.nan)
    return jnp.asarray(row.target, jnp.result_type(float))


def _observed(rows: Forecast | Observation) -> Observation:
    return rows if isinstance(rows, Observation) else Observation(rows)


def _weight(target: Array | Order) -> Array:
    return target.weight if isinstance(target, Order) else target


def _trace(weights: Sequence[Float[Array, " A"]], kept: Float[Array, " A"] | None) -> RuleTrace:
    """Return what the rules did whose input and targets these are."""
    if len(weights) == 1:
        return RuleTrace(jnp.zeros(0, bool), jnp.zeros(0), jnp.zeros(0))
    table = jnp.stack(weights)
    before, after = table[:-1], table[1:]
    same = (jnp.abs(after - before) <= ROUNDING * jnp.abs(before)) | (jnp.isnan(before) & jnp.isnan(after))
    leads_to = jnp.where(jnp.isnan(table), 0.0 if kept is None else kept[None], table)
    gross = jnp.sum(jnp.abs(leads_to), -1)
    return RuleTrace(jnp.any(~same, -1), gross[:-1], gross[1:])
