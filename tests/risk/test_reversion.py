"""Wilder's relative strength index against TA-Lib and pandas, and the positions that follow from it."""

from __future__ import annotations

import numpy as np
import pytest

from fxtrade.core.errors import ConfigError
from fxtrade.risk.reversion import rsi_reversion
from tests.helpers.rule_states import in_float64, market, states

ROWS = market()
CLOSE = np.asarray(ROWS.bars.close, np.float64)


def held(index: np.ndarray, low: float, high: float, above: float) -> np.ndarray:
    """1 from an index below `low` on, `above` from one above `high` on; 0 before."""
    signal = np.where(index < low, 1.0, np.where(index > high, above, np.nan))
    last = np.maximum.accumulate(np.where(np.isnan(signal), -1, np.arange(len(signal))))
    return np.where(last >= 0, signal[last], 0)


@pytest.mark.parametrize("window", [2, 14, 50])
@pytest.mark.parametrize("allow_short", [False, True])
def test_index_and_positions_are_those_of_talib(window, allow_short):
    talib = pytest.importorskip("talib")
    rule = rsi_reversion(window=window, low=40.0, high=55.0, allow_short=allow_short)
    state, targets = states(rule, ROWS), in_float64(rule, ROWS)
    for a in range(2):
        expected = talib.RSI(CLOSE[:, a], window)
        index = 100 * state.gain[window:, a] / (state.gain + state.loss)[window:, a]
        np.testing.assert_allclose(index, expected[window:], rtol=1e-11)
        np.testing.assert_array_equal(targets[:, a], held(expected, 40.0, 55.0, -1.0 if allow_short else 0.0))
    assert len(np.unique(targets)) == 2 + allow_short


def test_averages_forget_their_beginning_and_are_those_of_pandas():
    pd = pytest.importorskip("pandas")
    state, change = states(rsi_reversion(window=10), ROWS), pd.DataFrame(CLOSE).diff().fillna(0.0)
    for got, part in ((state.gain, change.clip(lower=0)), (state.loss, -change.clip(upper=0))):
        expected = part.ewm(alpha=0.1, adjust=False).mean()
        np.testing.assert_allclose(got[300:], expected[300:], rtol=1e-9)


def test_a_price_that_never_moves_gives_no_signal():
    for rows in (market(100, price=0.1, volatility=0.0), market(0)):
        assert not in_float64(rsi_reversion(low=50.0, high=50.0, allow_short=True), rows).any()


def test_the_first_bar_is_no_change():
    """A change from nothing would leave its rounding in the averages."""
    state = states(rsi_reversion(), ROWS)
    assert not state.gain[0].any() and not state.loss[0].any() and (state.gain + state.loss)[1].all()


@pytest.mark.parametrize("low, high", [(70.0, 30.0), (-1.0, 50.0), (30.0, 101.0), (np.nan, 70.0)])
def test_levels_that_are_out_of_order_are_refused(low, high):
    with pytest.raises(ConfigError, match="rsi_reversion: low="):
        rsi_reversion(low=low, high=high)
