"""What holds for every function of return series and of equity curves."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import drawdown, returns, series, tail, trades
from tests.helpers.refusals import refused

QUICK = settings(deadline=None, max_examples=60)
RETURNS = hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))
OF_RETURNS = {
    "annual_return": lambda r: returns.annual_return(r, 365),
    "annual_volatility": lambda r: returns.annual_volatility(r, 365),
    "sharpe": lambda r: returns.sharpe(r, 365),
    "lo_sharpe": lambda r: returns.lo_sharpe(r, 365),
    "sortino": lambda r: returns.sortino(r, 365),
    "information_ratio": lambda r: returns.information_ratio(r, np.zeros(np.shape(r)[-1]), 365),
    "calmar": lambda r: drawdown.calmar(r, 365),
    "omega": lambda r: returns.omega(r, 0.0),
    "win_rate": trades.win_rate,
    "profit_factor": trades.profit_factor,
    "payoff_ratio": trades.payoff_ratio,
    "expectancy": trades.expectancy,
    "var": tail.var,
    "cvar": tail.cvar,
    "tail_ratio": tail.tail_ratio,
}
OF_EQUITY = {
    "max_drawdown": drawdown.max_drawdown,
    "max_drawdown_duration": drawdown.max_drawdown_duration,
    "ulcer_index": drawdown.ulcer_index,
    "cdar": drawdown.cdar,
}
ALL = OF_RETURNS | {k: lambda r, f=f: f(returns.equity_from_returns(r)) for k, f in OF_EQUITY.items()}
RATIOS = {"sharpe", "lo_sharpe", "sortino", "information_ratio", "omega", "win_rate", "profit_factor", "payoff_ratio"}
ORDERED = {"calmar", "lo_sharpe", *OF_EQUITY}


def test_all_functions_are_among_those_tested():
    names = {
        n
        for x in (returns, drawdown, tail, trades)
        for n, f in inspect.getmembers(x, inspect.isfunction)
        if next(iter(inspect.signature(f).parameters), "") in ("r", "equity") and n[0] != "_"
    }
    of_bars = {
        "drawdown",
        "drawdowns",
        "below_peak",
        "returns_from_equity",
        "equity_from_returns",
        "equity_before",
        "growth",
    }
    elsewhere = {"longest_drawdown", "var_and_cvar", "as_equity"}  # in the tests of their modules
    assert names - of_bars - elsewhere == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_equals_a_loop_over_its_series_bit_by_bit(name, monkeypatch):
    monkeypatch.setattr(series, "CHUNK", 1000)  # several chunks, and threads
    r = np.random.default_rng(0).standard_t(4, (3, 4, 300)) * 0.02
    r[1, 1, 7] = np.nan
    r[2, 3] = 0
    got = ALL[name](r)
    loop = [[ALL[name](one) for one in some] for some in r]
    assert got.shape == (3, 4) and all(type(x) is float for some in loop for x in some)
    np.testing.assert_array_equal(got, loop)
    layout = np.ascontiguousarray(r.transpose(2, 0, 1)).transpose(1, 2, 0)  # time last, but not in memory
    np.testing.assert_array_equal(ALL[name](layout), got)


@pytest.mark.parametrize("name", ALL)
def test_batches_without_series_or_bars(name):
    assert ALL[name](np.zeros((0, 5))).shape == (0,)
    assert np.isnan(ALL[name](np.zeros((2, 0)))).all() and ALL[name](np.zeros((2, 0))).shape == (2,)


@pytest.mark.parametrize("name", ALL)
def test_undefined_is_nan_without_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(ALL[name](np.array([])))
        values = [ALL[name](np.full(5, x)) for x in (0.0, 0.1)]
        assert not np.isinf(values).any()
    if name in RATIOS - {"win_rate"} | {"calmar"}:
        assert np.isnan(values).all()


@pytest.mark.parametrize("name", ALL)
def test_nan_goes_through(name):
    assert np.isnan(ALL[name]([0.01, np.nan, -0.02, 0.03]))


@QUICK
@given(RETURNS, st.floats(0.01, 3))
def test_ratios_do_not_depend_on_the_scale_of_the_returns(r, scale):
    for name in RATIOS | {"tail_ratio"}:
        np.testing.assert_allclose(ALL[name](scale * r), ALL[name](r), 1e-9, 1e-12, err_msg=name)
    for name in ("annual_volatility", "expectancy", "var", "cvar"):
        np.testing.assert_allclose(ALL[name](scale * r), scale * ALL[name](r), atol=1e-12, err_msg=name)


@QUICK
@given(RETURNS, st.randoms(use_true_random=False))
def test_permutation_leaves_all_that_ignores_order(r, random):
    order = list(range(r.size))
    random.shuffle(order)
    for name in set(ALL) - ORDERED:
        np.testing.assert_allclose(ALL[name](r[order]), ALL[name](r), rtol=1e-8, atol=1e-12, err_msg=name)


@QUICK
@given(RETURNS, st.integers(0, 39), st.floats(0, 0.3))
def test_a_better_bar_lowers_no_metric_of_the_whole(r, bar, gain):
    better = r.copy()
    better[bar % r.size] += gain
    for name in ("annual_return", "var", "cvar", "profit_factor", "omega"):
        assert not ALL[name](better) < ALL[name](r) - 1e-9, name
    if (r != 0).all() and (better != 0).all():
        assert (
            ALL["win_rate"](better) >= ALL["win_rate"](r) and ALL["expectancy"](better) >= ALL["expectancy"](r) - 1e-15
        )


@pytest.mark.parametrize("function", [returns.returns_from_equity, drawdown.drawdown, *OF_EQUITY.values()])
@pytest.mark.parametrize("values", [[10_000.0, 10_100.0], [0.01, -0.02, 0.03], [-0.01, 0.01], [100, 101]])
def test_equity_in_money_and_returns_in_its_place_are_refused(function, values):
    with pytest.raises(DataError, match=f"equity begins at {values[0]:g}; .* divide money by the capital.*cumprod"):
        function(values)


def test_the_curve_of_a_batch_that_begins_wrongly_is_named():
    equity = np.ones((2, 3, 4))
    equity[1, 2] = 50
    with pytest.raises(DataError, match=r"equity begins at 50 in series \[1, 2\]"):
        drawdown.max_drawdown(equity)


def test_a_frame_is_refused_because_its_time_comes_first():
    frame = pytest.importorskip("pandas").DataFrame({"a": [0.1, 0.2], "b": [0.3, 0.1]})
    with refused(DataError, r"frame.to_numpy\(\).T"):
        returns.sharpe(frame, 365)
    assert returns.sharpe(frame["a"], 365) == returns.sharpe([0.1, 0.2], 365)


@pytest.mark.parametrize(
    "function", [tail.var, tail.cvar, tail.tail_ratio, lambda r, level: drawdown.cdar(1 + r, level)]
)
def test_levels_in_percent_are_refused(function):
    with refused(ConfigError, "0.95"):
        function(np.array([0.1, 0.2]), 95)


def test_the_signatures_are_those_of_the_functions():
    assert list(inspect.signature(returns.sharpe).parameters) == ["r", "periods"]
    assert returns.sharpe.__doc__.startswith("Return the annual Sharpe ratio")
