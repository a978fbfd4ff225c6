from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.metrics import bootstrap, drawdown, returns, summary, summary_intervals, tail, trades
from tests.helpers.refusals import refused

R = np.random.default_rng(0).normal(0.001, 0.02, 400)
YEARLY = {"annual_return", "annual_volatility", "sharpe", "sortino", "calmar"}
OF_EQUITY = {"max_drawdown", "max_drawdown_duration", "ulcer_index", "cdar"}


def of_function(name, r):
    function = next(getattr(m, name) for m in (returns, drawdown, tail, trades) if hasattr(m, name))
    return function(np.cumprod(1 + r, -1)) if name in OF_EQUITY else function(r, *[365] * (name in YEARLY))


def test_every_metric_is_that_of_its_function():
    made = summary(R, 365)
    assert made.total_return == pytest.approx(np.prod(1 + R) - 1)
    for name in set(made._fields) - {"total_return"}:
        assert type(getattr(made, name)) is float and getattr(made, name) == of_function(name, R), name


def test_of_a_batch_every_metric_is_an_array():
    batch = np.stack([R, -R, R[::-1], 0 * R]).reshape(2, 2, -1)
    made = summary(batch, 365)
    for name in set(made._fields) - {"total_return"}:
        np.testing.assert_array_equal(getattr(made, name), of_function(name, batch), err_msg=name)
    np.testing.assert_array_equal(np.array(made)[:, 0, 1], summary(-R, 365))
    assert summary(np.zeros((3, 0))).sharpe.shape == (3,)


def test_printed_it_is_a_table():
    lines = str(summary(R)).splitlines()
    assert [line.split()[0] for line in lines] == list(summary(R)._fields)
    assert f"{returns.sharpe(R, 365):.4f}" in str(summary(R))
    assert [line.split()[0] for line in lines if line.endswith(" periods")] == ["max_drawdown_duration"]
    assert str(summary(np.stack([R, R]))) == str(summary(R))  # medians


def test_nothing_gives_nan():
    assert all(np.isnan(value) for value in summary([]))
    assert all(np.isnan(value) for made in summary_intervals([]) for value in made)


def test_an_account_ruined_in_its_first_bar_has_a_summary():
    made = summary([-0.95, 0.1])
    assert made.max_drawdown == pytest.approx(-0.95) and made.max_drawdown_duration == 2


@pytest.mark.parametrize("equity", [np.cumprod(1 + R), np.stack([R, np.cumprod(1 + R)])])
def test_equity_in_place_of_returns_is_refused(equity):
    with pytest.raises(DataError, match="every value is above 0.3, .*: give returns"):
        summary(equity)


def test_a_series_of_pandas_is_one_and_a_frame_is_refused():
    pandas = pytest.importorskip("pandas")
    assert summary(pandas.Series(R)) == summary(R)
    with refused(DataError, "frame, with time first"):
        summary(pandas.DataFrame({"a": R, "b": R}))


def test_intervals_are_the_percentiles_of_the_metrics_of_resamples():
    made = summary_intervals(R, 365, block=5, samples=50, seed=3)
    assert made.value == summary(R, 365)
    (bars,) = bootstrap.resampled_bars(R.size, 5, 50, 3)
    for name in ("sharpe", "calmar", "cdar", "payoff_ratio", "tail_ratio"):
        drawn = [getattr(summary(R[rows], 365), name) for rows in bars]
        np.testing.assert_allclose(
            [getattr(made.low, name), getattr(made.high, name)], np.quantile(drawn, [0.025, 0.975]), err_msg=name
        )


def test_the_interval_of_a_mean_has_the_width_of_its_standard_error():
    made = summary_intervals(R, 365, block=1, samples=2000)
    width = 2 * 1.96 * R.std(ddof=1) / np.sqrt(R.size)
    assert made.high.expectancy - made.low.expectancy == pytest.approx(width, rel=0.1)
    assert made.low.sharpe < made.value.sharpe < made.high.sharpe


def test_blocks_widen_the_interval_of_dependent_returns():
    shocks = np.random.default_rng(1).normal(0, 0.02, 2000)
    r = np.convolve(shocks, np.full(10, 0.3), "same")
    one, many = (summary_intervals(r, 365, block, 300) for block in (1, 40))
    assert many.high.sharpe - many.low.sharpe > 1.7 * (one.high.sharpe - one.low.sharpe)


def test_the_same_seed_gives_the_same_table_of_intervals():
    one, two, other = (str(summary_intervals(R[:100], samples=20, seed=seed)) for seed in (0, 0, 1))
    assert one == two != other
    assert "[" in one and [line.split()[0] for line in one.splitlines()] == list(summary(R)._fields)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: summary_intervals(np.stack([R, R])), DataError, "one series"),
        (lambda: summary_intervals(R, block=0), ConfigError, "block of 0 bars .* 1 to 400"),
        (lambda: summary_intervals(R, block=401), ConfigError, "block of 401 bars"),
        (lambda: summary_intervals(R, samples=0), ConfigError, "samples 0"),
        (lambda: summary_intervals(R, level=95), ConfigError, "level 95"),
    ],
)
def test_bad_input_says_what_to_do(call, error, message):
    with refused(error, message):
        call()
