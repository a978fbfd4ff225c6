"""Gradients of backtests equal finite differences; ascent finds known optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fxtrade.backtest import ascent, gradient, grid
from fxtrade.backtest.ascent import Range
from fxtrade.backtest.sweep import DAY, sweep
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Bars
from fxtrade.data.panel import Panel
from fxtrade.market import costs
from fxtrade.metrics import drawdown, returns
from fxtrade.risk import RULES
from fxtrade.risk.rule import chain

MARKET = costs.market(10, 2)


def panel_of(bars=400, assets=2, interval=DAY, drift=0.001, seed=0, gaps=0.05) -> Panel:
    """Random bars, of which each opens where the last one closed, some of them missing."""
    rng = np.random.default_rng(seed)
    path = 100 * np.exp(np.cumsum(drift + 0.03 * rng.standard_normal((bars + 1, assets)), 0))
    ok = rng.random((bars, assets)) >= gaps
    open_, close = path[:-1], path[1:]
    columns = (open_, np.maximum(open_, close), np.minimum(open_, close), close, np.ones((bars, assets)))
    times = np.arange(bars, dtype=np.int64) * interval
    made = Bars(*(np.where(ok, a, np.nan) for a in columns), ok, (times // 10**9 % 604_800).astype(np.int32))
    return Panel(made, times, tuple(f"S{k}" for k in range(assets)), interval, "test")


def momentum():
    return RULES["momentum"](lookback=10, weight=0.5, allow_short=True, max_window=16)


def sized(volatility, width, drawdown):
    return chain(
        momentum(),
        RULES["volatility_target"](annual_volatility=volatility, max_leverage=3.0),
        RULES["drawdown_scaling"](max_drawdown=drawdown),
        RULES["buffer"](width=width),
    )


def aimed(aversion, cost, halflife):
    return chain(
        momentum(),
        RULES["portfolio_volatility"](annual_volatility=0.3, max_gross_exposure=9.0, halflife=halflife),
        RULES["aim"](risk_aversion=aversion, cost=cost),
    )


def stopped(weight, stop):
    return chain(momentum(), RULES["fixed_weight"](weight=weight), RULES["only_changes"](), RULES["bracket"](stop=stop))


CASES = {
    "sized": (sized, {"volatility": 0.4, "width": 0.03, "drawdown": 0.5}),
    "aimed": (aimed, {"aversion": 1.0, "cost": 9.0, "halflife": 20.0}),
    "stopped": (stopped, {"weight": 0.3, "stop": 0.031}),
}


@pytest.mark.parametrize("score, case", [("calmar", "sized"), ("sharpe", "aimed"), ("total_return", "stopped")])
def test_gradients_equal_central_differences(score, case):
    make, at = CASES[case]
    evaluate = gradient.objective(panel_of(250), make, MARKET, score=score)
    _, slope = evaluate(at)
    for name, value in at.items():
        step = 1e-6 * value
        above, below = (evaluate({**at, name: value + sign * step})[0] for sign in (1, -1))
        assert slope[name] != 0
        np.testing.assert_allclose(slope[name], (above - below) / (2 * step), rtol=2e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("score", gradient.SCORES)
def test_scores_are_those_of_a_sweep(score):
    r = 0.02 * np.random.default_rng(1).standard_normal((5, 300))
    equity = np.cumprod(1 + r, 1)
    functions = {"sharpe": returns.sharpe, "sortino": returns.sortino, "calmar": drawdown.calmar}
    expected = functions[score](r, 365) if score in functions else equity[:, -1] - 1
    with compat.float64():
        made = jax.vmap(gradient.SCORES[score])(jnp.asarray(r))
        nothing = gradient.SCORES[score](jnp.zeros(9))
        slopes, steps = np.asarray(jax.grad(gradient.SCORES[score])(jnp.asarray(r[0]))), 1e-6 * np.eye(300)[::20]
        above, below = (np.asarray(jax.vmap(gradient.SCORES[score])(r[0] + sign * steps)) for sign in (1, -1))
    np.testing.assert_allclose(made, expected, rtol=1e-11)
    np.testing.assert_allclose(slopes[::20], (above - below) / 2e-6, rtol=1e-4, atol=1e-6)
    assert np.isnan(nothing) or score == "total_return"


def test_the_score_of_some_days_is_that_of_a_sweep_of_one_set():
    panel, at = panel_of(30 * 24, interval=DAY // 24), {"volatility": 3.0, "width": 0.03, "drawdown": 0.5}
    swept = sweep(panel, sized, grid.make({name: (value,) for name, value in at.items()}), MARKET, capital=500.0)
    some = gradient.objective(panel, sized, MARKET, capital=500.0, score="sortino", days=swept.days[5:20])(at)[0]
    np.testing.assert_allclose(some, returns.sortino(swept.returns[0, 5:20], 365), rtol=1e-9)


def fixed(weight) -> Rule:
    """The same weight at every bar."""
    return Rule(lambda obs: (), lambda target, state, obs, account: (jnp.full(target.shape, weight, target.dtype), ()))


def test_growth_is_largest_at_the_weight_of_kelly():
    """Rebalanced at every open without costs, wealth grows by 1 + w r: the best w maximises the mean of its log."""
    optimize = pytest.importorskip("scipy.optimize")
    panel = panel_of(2_000, 1, drift=0.0012, gaps=0.0)
    r = panel.bars.close[1:, 0] / panel.bars.open[1:, 0] - 1
    best = optimize.minimize_scalar(
        lambda w: -np.log1p(w * r).sum(), bounds=(0, 3), method="bounded", options={"xatol": 1e-9}
    )
    evaluate = gradient.objective(panel, fixed, costs.market(0), score="total_return")
    climbed = ascent.ascend(evaluate, {"weight": Range(0.0, 3.0)}, steps=100)
    np.testing.assert_allclose(climbed.found["weight"], best.x, atol=1e-3)
    np.testing.assert_allclose(best.x, r.mean() / r.var(), rtol=0.1)  # mean over variance, to second order
    np.testing.assert_allclose(np.log1p(climbed.score[climbed.best]), -best.fun, rtol=1e-6)
    assert climbed.skipped == 0 and climbed.score.shape == (101,) and climbed.parameters["weight"][0] == 1.5


def hill(parameters):
    """A smooth score with its top at x 2, y 30; no score where x is above 3."""
    x, y = parameters["x"], parameters["y"]
    score = -((x - 2) ** 2) - np.log(y / 30) ** 2
    return (np.nan if x > 3 else score), {"x": -2 * (x - 2), "y": -2 * np.log(y / 30) / y, "z": 0.0}


RANGES = {"x": Range(-1.0, 4.0), "y": Range(1.0, 1000.0), "z": Range(0.0, 1.0)}


def test_ascent_reaches_the_top_and_leaves_what_has_no_gradient():
    climbed = ascent.ascend(hill, RANGES, steps=200)
    np.testing.assert_allclose([climbed.found["x"], climbed.found["y"]], [2, 30], rtol=0.02)
    assert climbed.flat == ("z",) and (climbed.parameters["z"] == 0.5).all()
    np.testing.assert_allclose(climbed.parameters["y"][0], 1000**0.5)  # the middle of a wide range
    assert climbed.score[climbed.best] == np.nanmax(climbed.score)


def test_ascent_ends_at_the_border_and_takes_back_steps_without_a_score():
    low = ascent.ascend(hill, RANGES | {"x": Range(-1.0, 1.0)}, steps=80)
    assert low.found["x"] == 1.0
    wild = ascent.ascend(hill, RANGES, {"x": 0.0, "y": 1.0, "z": 0.2}, steps=60, learning_rate=0.9)
    assert wild.skipped > 0 and np.isnan(wild.score).sum() == wild.skipped
    np.testing.assert_allclose(wild.found["x"], 2, atol=0.1)


@pytest.mark.parametrize(
    "start, ranges, message",
    [
        ({"x": 3.5, "y": 1.0, "z": 0.0}, RANGES, r"no score or no gradient at the start \(x 3.5, y 1, z 0\)"),
        (None, RANGES | {"y": Range(3.0, 3.0)}, "y has the range 3 to 3"),
        ({"x": 2.0, "y": 30.0, "z": 0.0}, RANGES, "no gradient at the start"),
    ],
)
def test_an_ascent_that_cannot_begin_says_why(start, ranges, message):
    with pytest.raises(ConfigError, match=message):
        ascent.ascend(lambda p: (hill(p)[0], dict.fromkeys(p, 0.0)) if p["x"] == 2 else hill(p), ranges, start)


def test_what_only_decides_has_no_gradient():
    def gated(band, weight):
        return chain(momentum(), RULES["fixed_weight"](weight=weight), RULES["no_trade_band"](band=band))

    _, slope = gradient.objective(panel_of(150), gated, MARKET)({"band": 0.1, "weight": 0.4})
    assert slope["band"] == 0 != slope["weight"]


def test_what_has_no_score_is_named():
    with pytest.raises(ConfigError, match="no score 'sharp'; did you mean 'sharpe'"):
        gradient.objective(panel_of(20), sized, MARKET, score="sharp")
    with pytest.raises(ConfigError, match="none of the days"):
        gradient.objective(panel_of(20), sized, MARKET, days=np.array([-DAY]))
