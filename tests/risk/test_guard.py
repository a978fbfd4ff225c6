"""The rules that guard an account: fed with accounts that change, and in the loop of an engine."""

from __future__ import annotations

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.backtest import engine
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Order
from fxtrade.core.trading_types import Account, Observation, Result, Rule
from fxtrade.core.types import Bars, Forecast
from fxtrade.market.costs import market
from fxtrade.risk import RULES
from fxtrade.risk.reduce import decided, kept_weight
from fxtrade.risk.rule import chain, replay
from tests.helpers import guard_loops, markets
from tests.helpers.accounts import accounts, seeing
from tests.helpers.refusals import refused

N, A = 80, 3
GUARDS = {  # with options that make them bind
    "drawdown_scaling": {"max_drawdown": 0.15},
    "drawdown_stop": {"max_drawdown": 0.1, "cooldown": 7},
    "kill_switch": {"min_equity": 0.9},
    "daily_loss_limit": {"max_loss": 0.06},
    "regime_exposure": {"by": "asset", "halflife": 5.0, "lookback": 9, "low_exposure": 0.75, "high_exposure": 0.25},
    "leverage_limit": {"max_gross_exposure": 0.8, "max_net_exposure": 0.4},
    "concentration_limit": {"max_weight": 0.4, "max_share": 0.45},
}
STOPS = ("drawdown_stop", "kill_switch", "daily_loss_limit")
each = pytest.mark.parametrize("name", GUARDS)


def observed(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    bars = markets.gap(markets.bars(N, A, seed), slice(10, 14), 1).replace(book=None)
    target = np.where(rng.random((N, A)) < 0.5, np.nan, rng.uniform(-1, 1, (N, A)))
    return Observation(bars=bars, target=target)


def ruled(name: str, rows: Observation, seen: Account) -> np.ndarray:
    with compat.float64():
        return np.asarray(replay(seeing(RULES[name](**GUARDS[name]), seen), rows))


def fall(equity: np.ndarray) -> np.ndarray:
    """The drawdown at every row, as a positive share."""
    return 1 - equity / np.maximum.accumulate(equity)


def always(weight) -> Rule:
    """The rule that asks for the same weights at every bar."""
    return Rule(lambda obs: (), lambda target, state, obs, account: (jnp.full_like(target, weight), state))


def steady(moves: np.ndarray, interval: int = 3600) -> Bars:
    """Bars of simple returns `[N, A]` without gaps between them, so that what is decided at a close fills at it."""
    close = 100 * np.cumprod(1 + moves, 0)
    opens = np.concatenate([np.full_like(close[:1], 100), close[:-1]])
    second = (np.arange(len(close)) * interval % (7 * 86_400)).astype(np.int32)
    ends = np.maximum(opens, close), np.minimum(opens, close)
    return Bars(opens, *ends, close, np.ones_like(close), np.ones(close.shape, bool), second)


@each
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_its_reference_under_an_account_that_changes(name, seed):
    rows, seen = observed(seed), accounts(N, A, seed)
    options = {key: p.default for key, p in inspect.signature(RULES[name]).parameters.items()} | GUARDS[name]
    expected = getattr(guard_loops, name)(rows, **options, target=rows.target, account=seen)
    got = ruled(name, rows, seen)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert not np.array_equal(got, rows.target, equal_nan=True)


@each
def test_a_guard_adds_no_exposure(name):
    """What a target leads to is not larger behind the guard, in any asset and row, positions included."""
    for seed in range(3):
        rows, seen = observed(seed), accounts(N, A, seed)
        made = ruled(name, rows, seen)
        with compat.float64():
            held = jax.vmap(partial(kept_weight, name))(seen)
            before, after = (np.abs(jax.vmap(decided)(jnp.asarray(x), held)) for x in (rows.target, made))
        assert (after <= before * (1 + 1e-12)).all() and (after < before).any()


@each
def test_without_an_account_a_guard_says_where_it_runs(name):
    with pytest.raises(ConfigError, match=f"{name}: .*account.*engine.backtest_rule"):
        replay(RULES[name](), observed(0))


@pytest.mark.parametrize("name", ["daily_loss_limit", "regime_exposure"])
def test_without_bars_a_guard_that_reads_them_says_so(name):
    forecast = Forecast(np.full((4, A, 2), 0.5, np.float32), np.ones((4, A), bool))
    with pytest.raises(ConfigError, match=f"{name}: the rule reads bars"):
        replay(RULES[name](), forecast)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("drawdown_scaling", {"max_drawdown": 0.0}, "max_drawdown=0.0 is impossible"),
        ("drawdown_stop", {"max_drawdown": 20}, "max_drawdown=20 is impossible"),
        ("drawdown_stop", {"cooldown": 0}, "cooldown=0 is not a number of bars"),
        ("kill_switch", {"min_equity": 1.5}, "min_equity=1.5 is impossible"),
        ("daily_loss_limit", {"max_loss": float("nan")}, "max_loss=nan is impossible"),
        ("leverage_limit", {"max_net_exposure": -1.0}, "max_net_exposure=-1.0 is impossible"),
        ("concentration_limit", {"max_weight": -0.1}, "max_weight=-0.1 is impossible"),
        ("concentration_limit", {"max_share": 0.0}, "max_share=0.0 is impossible"),
        ("regime_exposure", {"by": "sector"}, "by='sector' is unknown; give one of market, asset"),
        ("regime_exposure", {"halflife": 0.0}, "halflife=0.0 is impossible"),
        ("regime_exposure", {"lookback": 0}, "lookback=0 is not a number of bars"),
        ("regime_exposure", {"high_quantile": 80}, "high_quantile=80 is impossible"),
        ("regime_exposure", {"high_exposure": -1.0}, "the exposure of 'high'=-1.0 is impossible"),
    ],
)
def test_impossible_options(name, options, message):
    with refused(ConfigError, f"^{name}: {message}"):
        RULES[name](**options)


@pytest.mark.parametrize("name", ("drawdown_scaling", *STOPS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_equity_that_is_not_finite_is_a_breach(name, value):
    rows, seen = observed(2), accounts(N, A, 2)
    cash = np.where(np.arange(N) == 5, value, 1000.0)
    target = np.where(np.isnan(rows.target), 0.5, rows.target)
    made = ruled(name, rows._replace(target=target), seen._replace(cash=cash, units=seen.units * 0))
    flat = (made == 0).all(1)
    assert flat[5] and not (made[4] == 0).any() and np.isfinite(made).all()
    assert flat[6:].all() == (name == "kill_switch")


@jax.jit
def stopped(bars: Bars, max_drawdown, cooldown) -> Result:
    rule = chain(always(0.45), RULES["drawdown_stop"](max_drawdown=max_drawdown, cooldown=cooldown))
    return engine.run_rule(bars, rule, market(5), record=True)


@given(st.integers(0, 10**6), st.floats(0.02, 0.3), st.integers(1, 40))
def test_no_new_exposure_from_a_breach_to_the_end_of_the_cool_down(seed, max_drawdown, cooldown):
    """Breaches are found again in the equity alone."""
    bars = markets.gap(markets.bars(200, 2, seed, volatility=0.03), slice(50, 60), 1).replace(book=None)
    with compat.float64():
        made = jax.device_get(stopped(bars, max_drawdown, cooldown))
    bought = (made.executions.units > 0).any((1, 2))
    since = t = 0
    while t < 200:
        if made.equity[t] < (1 - max_drawdown) * made.equity[since : t + 1].max():
            after = slice(t + 1, t + cooldown + 1)
            assert not bought[after].any()
            could_sell = np.asarray(bars.ok)[after].cumsum(0) > 0
            assert (made.weight[after][could_sell] == 0).all(), "sold at the first bar of each asset"
            since = t = t + cooldown
        else:
            t += 1


def test_the_drawdown_stays_below_the_limit_on_paths_without_jumps():
    """Grossman & Zhou's rule with leverage on 40 paths of small steps; without it all of them fall further."""
    weight, limit = 4.0, 0.1
    moves = np.random.default_rng(0).normal(0, 0.002, (40, 2000, 1))

    def equity(moves, guarded):
        rules = [always(weight), *([RULES["drawdown_scaling"](max_drawdown=limit)] if guarded else [])]
        close = 100 * jnp.cumprod(1 + moves, 0)
        opens = jnp.concatenate([jnp.full((1, 1), 100.0), close[:-1]])
        ones = jnp.ones(close.shape)
        bars = Bars(opens, opens, opens, close, ones, ones > 0, jnp.zeros(len(close), jnp.int32))
        return engine.run_rule(bars, chain(*rules), market(0)).equity

    with compat.float64():
        guarded, bare = (np.asarray(jax.jit(jax.vmap(partial(equity, guarded=g)))(moves)) for g in (True, False))
    assert max(fall(e).max() for e in guarded) < limit < min(fall(e).max() for e in bare)
    assert np.mean([fall(e).max() for e in guarded]) > 0.9 * limit

    made, peak, factor = 1.0, 1.0, 0.0  # the account by hand
    for t, move in enumerate(moves[0, :, 0]):
        made *= 1 + weight * factor * move
        peak = max(peak, made)
        factor = (made - (1 - limit) * peak) / (limit * made)
        np.testing.assert_allclose(guarded[0, t], made, rtol=1e-9)


def test_a_bar_s_loss_may_exceed_the_limit_and_ends_the_exposure():
    moves = np.array([0.0, 0.01, -0.3, 0.1, 0.2, 0.2])[:, None]
    made = engine.backtest_rule(
        steady(moves), chain(always(1.0), RULES["drawdown_scaling"](max_drawdown=0.2)), market(0)
    )
    assert fall(made.equity).max() > 0.2 and (made.weight[3:] == 0).all()


def test_positions_that_are_kept_are_reduced_and_come_back_with_the_next_target():
    moves = np.array([0.0, 0.0, -0.05, -0.05, 0.0, 0.15, 0.0, 0.0])[:, None]
    given = np.array([1.0, *[np.nan] * 5, 1.0, np.nan])[:, None]
    made = engine.backtest_rule(
        steady(moves), RULES["drawdown_scaling"](max_drawdown=0.2), market(0), record=True, target=given
    )
    units = made.executions.units.sum((1, 2))
    assert units[1] > 0 and (units[3:5] < 0).all() and (units[5:7] == 0).all() and units[7] > 0
    factor = (made.equity - 0.8 * np.maximum.accumulate(made.equity)) / (0.2 * made.equity)
    np.testing.assert_allclose(made.weight[3:5, 0] / made.weight[2, 0], factor[2:4], rtol=0.06)  # and the bar's drift


def test_an_order_that_waits_is_reduced_with_the_factor():
    """The asset has no bar, so its first order still waits when the equity falls."""
    rule, nan = RULES["drawdown_scaling"](max_drawdown=0.2), jnp.nan
    row = Observation(bars=None, forecast=Forecast(np.ones((2, 2)), np.ones(2, bool)))
    first = Account(jnp.asarray(100.0), jnp.zeros(2), jnp.ones(2), Order(jnp.full(2, nan)))
    target, state = rule.update(jnp.array([0.5, 0.5]), rule.init(row), row, first)
    later = Account(jnp.asarray(40.0), jnp.array([50.0, 0.0]), jnp.ones(2), Order(jnp.array([nan, 0.5])))
    target, state = rule.update(jnp.full(2, nan), state, row, later)
    factor = (90 - 0.8 * 100) / (0.2 * 90)
    np.testing.assert_allclose(target, [50 / 90 * factor, 0.5 * factor], rtol=1e-6)
    assert np.isnan(rule.update(jnp.full(2, nan), state, row, later)[0]).all(), "once"


def test_the_kill_switch_is_for_good():
    moves = np.array([0.0, 0.0, -0.2, -0.2, 0.5, 0.5, 0.5])[:, None]
    made = engine.backtest_rule(steady(moves), chain(always(1.0), RULES["kill_switch"](min_equity=0.7)), market(0))
    assert (made.weight[:4] != 0).tolist() == [[False], [True], [True], [True]] and (made.weight[4:] == 0).all()


@pytest.mark.parametrize("hours", [1, 8, 24, 7 * 24])
def test_a_day_begins_again_at_midnight_and_with_the_week(hours):
    """Ten days, from a Saturday on, in which an account without a position loses 3 % in each bar."""
    bars, limit = 10 * 24 // hours if hours < 24 else 10, 0.1
    hour = 5 * 24 + hours * np.arange(bars)
    day = hour // 24
    equity = 0.97 ** np.arange(bars)
    seen = accounts(bars, A)._replace(cash=equity, units=np.zeros((bars, A)))
    rows = Observation(bars=steady(np.zeros((bars, A))).replace(second_of_week=(hour % 168 * 3600).astype(np.int32)))
    with compat.float64():
        made = replay(seeing(RULES["daily_loss_limit"](max_loss=limit), seen), rows._replace(target=np.ones((bars, A))))
    flat = (np.asarray(made) == 0).all(1)
    for t in range(bars):
        first = int(np.argmax(day == day[t]))
        assert flat[t] == (equity[t] < (1 - limit) * equity[max(first - 1, 0)])
    assert flat.any() == (hours == 1)


@given(st.integers(0, 10**6), st.floats(0.1, 3), st.floats(0.05, 3))
def test_no_decision_leads_to_more_leverage_than_the_limit(seed, gross, net):
    rows, seen = observed(seed), accounts(N, A, seed)
    rule = seeing(RULES["leverage_limit"](max_gross_exposure=gross, max_net_exposure=net), seen)
    with compat.float64():
        made = replay(rule, rows)
        weight = np.asarray(jax.vmap(decided)(made, jax.vmap(partial(kept_weight, ""))(seen)))
    assert np.abs(weight).sum(1).max() <= gross * (1 + 1e-12) and np.abs(weight.sum(1)).max() <= net * (1 + 1e-12)


def test_leverage_that_has_drifted_is_reduced_at_the_close():
    """A short position that loses grows over the equity; its target is NaN."""
    moves = np.array([0.0, 0.0, 0.1, 0.1, 0.1])[:, None]
    given = np.array([-1.0, *[np.nan] * 4])[:, None]
    made = engine.backtest_rule(steady(moves), RULES["leverage_limit"](), market(0), record=True, target=given)
    units = made.executions.units.sum((1, 2))
    assert units[1] < 0 and (units[3:] > 0).all()
    opened = made.weight[3:] / (1 + moves[3:]) * (made.equity[3:] / made.equity[2:-1])[:, None]
    np.testing.assert_allclose(opened, -1, rtol=1e-6)


@pytest.mark.parametrize("share, sizes, expected", [
    (0.5, [1.0, 0.2, 0.1], [0.3, 0.2, 0.1]),
    (0.4, [1.0, 1.0, 0.2], [0.4, 0.4, 0.2]),
    (1 / 3, [0.9, 0.6, 0.3], [0.3, 0.3, 0.3]),
    (0.3, [0.9, 0.6, 0.3], [0.0, 0.0, 0.0]),
    (0.6, [0.0, 0.4, 0.3], [0.0, 0.4, 0.3]),
])  # fmt: skip
def test_shares_of_few_assets(share, sizes, expected):
    rule = RULES["concentration_limit"](max_weight=2.0, max_share=share)
    with compat.float64():
        account = jax.tree.map(lambda leaf: leaf[0], accounts(1, A))
        made = rule.update(jnp.array(sizes), (), Observation(), account)[0]
    np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-12)


def test_49_assets_may_have_a_share_of_1_49_each():
    """49 * (1 / 49) is below 1 in floating point."""
    rule = RULES["concentration_limit"](max_weight=2.0, max_share=1 / 49)
    with compat.float64():
        account = jax.tree.map(lambda leaf: leaf[0], accounts(1, 49))
        made = rule.update(jnp.ones(49), (), Observation(), account)[0]
    np.testing.assert_allclose(made, 1.0, rtol=1e-12)


def test_volatile_bars_halve_the_exposure():
    """Steps of 0.1 %, then of 5 %, then again of 0.1 %: high for as long as the volatility is above the quantile."""
    size = np.r_[np.full(100, 0.001), np.full(10, 0.05), np.full(60, 0.001)]
    moves = (size * np.random.default_rng(0).choice([-1, 1], 170))[:, None]
    rule = RULES["regime_exposure"](halflife=3.0, lookback=50, high_exposure=0.5, low_exposure=1.0)
    made = engine.backtest_rule(steady(moves), chain(always(1.0), rule), market(0))
    weight = made.weight[1:, 0] / (1 + moves[1:, 0]) * made.equity[1:] / made.equity[:-1]  # as filled at the open
    np.testing.assert_allclose(weight[:100], 1, rtol=1e-6)
    np.testing.assert_allclose(weight[101:111], 0.5, rtol=1e-6)
    np.testing.assert_allclose(weight[-10:], 1, rtol=1e-6)
