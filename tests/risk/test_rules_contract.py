"""Every entry of RULES: causal, the same in chunks and bar by bar, equal to its reference, parameters that vmap."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.order_types import Order
from fxtrade.core.stream import Stream
from fxtrade.core.trading_types import Account, Observation, Rule
from fxtrade.core.types import Forecast
from fxtrade.risk import RULES, SIZING
from fxtrade.risk.rule import as_stream, chain
from tests.helpers import (
    allocation_loops,
    carry_loops,
    guard_loops,
    hedge_loops,
    kelly_loops,
    scaling_loops,
    signal_loops,
    stops_loops,
    toward_loops,
    whole_history,
)
from tests.helpers.accounts import accounts, seeing
from tests.helpers.causality import chunks_are_whole, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars, gap

N, A = 60, 3
OPTIONS = {  # in place of defaults, where those hide something
    "horizon": 5, "threshold": 0.3, "fast": 3, "slow": 8, "window": 4, "exit_window": 3, "lookback": 6,
    "max_window": 16,
}  # fmt: skip
OWN_OPTIONS = {  # of single rules
    "allocation": {"method": "inverse_variance", "window": 8, "every": 4, "covariance": "sample"},
    "drawdown_stop": {"cooldown": 5},
    "concentration_limit": {"max_share": 0.4},
    "leverage_limit": {"max_net_exposure": 0.3},
    "regime_exposure": {"low_exposure": 0.75, "high_quantile": 0.6},
    "bracket": {"stop": 0.02, "target": 0.03, "trailing": 0.04, "break_even": 0.01},
    "atr_bracket": {"target": 3.0, "break_even": 1.0},
    "liquid_universe": {"size": 1, "every": 4, "min_bars": 3},
    "mean_variance": {"risk_aversion": 100.0},
    "portfolio_volatility": {"max_gross_exposure": 0.3, "max_scale": 1.2},
    "time_stop": {"max_bars": 5, "min_profit": 0.01},
    "turnover_limit": {"max_turnover": 0.4},
    "volatility_barrier": {"horizon": 5},
    "whole_lots": {"lot": 0.0003},
    "kelly": {"observations": 30.0, "halflife": 20.0, "min_bars": 3},
    "beta_hedge": {"halflife": 20.0, "min_bars": 3},
    "pairs": {"window": 12, "drift": 0.03, "entry": 1.0, "stop": 1.8},
    "funding_carry": {"spot": (0,), "perpetual": (1,), "halflife": 4.0, "holding_bars": 20.0, "rebalance": 0.02},
}
ONLY_AFTER_EXITS = {("reentry", "wait")}  # which an account that stays the same has not; see test_stops
STEPS = {"low": 50.0, "high": 50.0, "observations": 1e3}  # by which to vary floats that are not near 1
EXACT = vars(whole_history) | vars(signal_loops)  # bit for bit
LOOPS = allocation_loops, scaling_loops, stops_loops, toward_loops, guard_loops, kelly_loops, hedge_loops, carry_loops
CLOSE = {name: f for module in LOOPS for name, f in vars(module).items()}  # in float64, compared to 1e-9
REFERENCES = {name: f for name, f in (EXACT | CLOSE).items() if name in RULES}

each = pytest.mark.parametrize("name", RULES)


def observations(classes: int = 2, seed: int = 0, n: int = N) -> Observation:
    """A market with gaps, and forecasts of it that are not always ok."""
    rng = np.random.default_rng(seed)
    market = gap(gap(bars(n, A, seed), slice(20, 30)), slice(0, 7), 1)
    prob = rng.dirichlet(np.ones(classes), (n, A)).astype(np.float32)
    ok = market.ok & (rng.random((n, A)) >= 0.2)
    mu, sigma = 0.01 * rng.standard_normal((n, A)), rng.uniform(0.01, 0.03, (n, A))
    mu, sigma = (np.where(ok, a, np.nan).astype(np.float32) for a in (mu, sigma))
    rates = 1e-3 * rng.standard_normal((n, A))
    return Observation(Forecast(np.where(ok[..., None], prob, np.nan), ok, mu, sigma), market, funding=rates)


def options(name: str) -> dict:
    """Defaults of a rule and, for those in `OPTIONS` and `OWN_OPTIONS`, more telling values."""
    telling = OPTIONS | OWN_OPTIONS.get(name, {})
    return {k: telling.get(k, p.default) for k, p in inspect.signature(RULES[name]).parameters.items()}


def with_account(name: str, **changed) -> Rule:
    """The rule; one that guards the account sees another one in every row."""
    made = RULES[name](**options(name) | changed)
    return seeing(made, accounts(N, A)) if name in vars(guard_loops) else made


def precision(name: str) -> AbstractContextManager:
    """That of the account for rules whose float32 is rounded differently in another program."""
    return nullcontext() if name in EXACT else compat.float64()


def given(n: int = N) -> np.ndarray:
    """Targets that come from the rule before: they often stay the same, and some are missing."""
    rng = np.random.default_rng(9)
    return np.where(rng.random((n, A)) < 0.1, np.nan, rng.integers(-1, 2, (n, A)) / 4).astype(np.float32)


def account() -> Account:
    """Equity of 1, of which weights of 0.2, -0.15 and 0 are held."""
    units = jnp.array([0.002, -0.0015, 0.0])
    return Account(jnp.float32(0.95), units, jnp.full(A, 100.0), Order(jnp.full(A, jnp.nan)))


def stream(name: str, **changed) -> Stream:
    """The rule, behind one that makes targets if it makes none itself."""
    rule = RULES[name](**options(name) | changed)
    made = as_stream(rule if name in SIZING else chain(RULES["threshold"](**options("threshold")), rule), account())
    return Stream(made.init, jax.jit(made.step))


def replayed(rule: Rule, rows: Observation) -> jax.Array:
    """The targets of a rule that sees the same account in every row; the leaves of orders stand side by side."""
    made = as_stream(rule, account())
    leaves = jax.tree.leaves(made.step(made.init(rows), rows)[1])
    return jnp.concatenate([leaf.astype(leaves[0].dtype) for leaf in leaves], -1)


def targets_of(rule: Rule, rows: Observation) -> np.ndarray:
    return np.asarray(jax.jit(lambda rows: replayed(rule, rows))(rows))


def test_every_option_has_a_default_and_a_name():
    for make in RULES.values():
        for p in inspect.signature(make).parameters.values():
            assert p.kind == p.KEYWORD_ONLY and p.default is not p.empty, f"{make}: {p}"


def test_every_rule_has_a_reference():
    missing = RULES.keys() - REFERENCES.keys()
    assert not missing, f"write a function of this name and of all rows in tests/helpers/whole_history.py: {missing}"


def is_window(name: str, option: str) -> bool:
    """Whether an option may be traced, and is a whole number by default: a window."""
    parameter = inspect.signature(RULES[name]).parameters[option]
    return parameter.annotation == "Number" and isinstance(parameter.default, int)


VARIANTS = ({}, {"horizon": 1}, {"horizon": 100}, {"allow_short": False}, {"allow_short": True}, {"weight": 0.25})
VARIANTS += ({"estimator": "har"}, {"estimator": "forecast"}, {"gain": "mu"}, {"form": "power"}, {"on": "any"})
VARIANTS += ({"rounding": "nearest"},)
CASES = [(name, changed) for name in REFERENCES for changed in VARIANTS if changed.keys() <= options(name).keys()]


@pytest.mark.parametrize("name, changed", CASES, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_equals_its_reference(name, classes, changed):
    """References get the options, and `target` (`incoming`, if that is an option) and `account` if they ask for it."""
    made, rows = options(name) | changed, observations(classes)
    asked = inspect.signature(REFERENCES[name]).parameters.keys() - made.keys()
    if asked & {"target", "incoming"}:
        rows = rows._replace(target=given())
    inputs = {"target": rows.target, "incoming": rows.target, "account": account()}
    if name in EXACT:
        got = targets_of(RULES[name](**made), rows)
    else:
        with compat.float64():
            inputs["account"] = account()
            got = targets_of(RULES[name](**made), rows)
    expected = np.asarray(REFERENCES[name](rows, **made, **{key: inputs[key] for key in inputs if key in asked}))
    assert got.dtype == expected.dtype
    if name in EXACT:
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert len(np.unique(got)) > 1


@each
def test_the_future_is_unseen(name):
    for t in (0, 10, 25, N - 2):
        future_is_unseen(whole(stream(name)), observations(), t)


@each
def test_a_prefix_and_chunks_give_the_same_bits(name):
    prefix_is_whole(whole(stream(name)), observations(), 33, rtol=0, atol=0)
    for sizes in ((1,), (1, 7, 32)):
        chunks_are_whole(stream(name), observations(), sizes, rtol=0, atol=0)


@each
def test_the_state_has_the_same_form_after_every_row(name):
    made = stream(name)
    state = made.init(observations())
    after = made.step(state, observations(n=40))[0]
    jax.tree.map(lambda a, b: np.testing.assert_equal((a.shape, a.dtype), (b.shape, b.dtype)), after, state)


@pytest.mark.parametrize("name", SIZING)
def test_sizing_is_never_nan_and_within_its_limit(name):
    target = np.asarray(whole(stream(name, max_gross_exposure=1.5))(observations()))
    assert not np.isnan(target).any() and 0 < np.abs(target).sum(1).max() <= 1.5 * (1 + 1e-6)
    long = np.asarray(whole(stream(name, allow_short=False))(observations()))
    assert (long >= 0).all() and long.any()


@each
def test_parameter_sets_are_one_vmap(name):
    rows = observations()._replace(target=given())
    for key in (k for k, v in options(name).items() if isinstance(v, float)):
        values = options(name)[key] + STEPS.get(key, 1) * np.array([0.0, 0.1, 0.4], np.float32)

        def targets(value, key=key):
            return replayed(with_account(name, **{key: value}), rows)

        with precision(name):
            together = np.asarray(jax.jit(jax.vmap(targets))(values))
            for value, one in zip(values, together, strict=True):
                close = {"rtol": 1e-6, "atol": 0 if name in EXACT else 1e-12}
                np.testing.assert_allclose(one, targets(float(value)), **close, err_msg=f"{key}={value}")
        assert not np.array_equal(together[0], together[2]), f"{key} changes nothing"


@each
def test_windows_are_one_vmap(name):
    """Those that may be traced, in the account's precision: every set has the bits that it has alone.

    Where a target is a number that the window changes by a little, it may differ in the last digits.
    """
    rows = observations()._replace(target=given())
    for key in (k for k in options(name) if is_window(name, k)):
        values = options(name)[key] + np.array([0, 1, 3], np.int32)

        def targets(value, key=key):
            return replayed(with_account(name, **{key: value}), rows)

        with compat.float64():
            together = np.asarray(jax.jit(jax.vmap(targets))(values))
            for value, one in zip(values, together, strict=True):
                rtol = 0 if name in EXACT else 1e-12
                np.testing.assert_allclose(one, targets(int(value)), rtol=rtol, atol=0, err_msg=f"{key}={value}")
        if (name, key) not in ONLY_AFTER_EXITS:
            assert not np.array_equal(together[0], together[2]), f"{key} changes nothing"
