"""Indicators against TA-Lib, on log prices where the feature is on log prices.

TA-Lib begins its exponential averages with a plain mean; they are compared when nothing is left of that.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.technical_columns import SETTLED, assert_close, assets, noise

talib = pytest.importorskip("talib")


def logs(bars):
    return tuple(np.log(bars[name]) for name in ("high", "low", "close"))


def test_rsi(real_panel):
    for made, bars in assets(real_panel):
        assert_close(made["rsi_14"], talib.RSI(np.log(bars["close"]), 14) / 50 - 1, SETTLED)


def test_atr(real_panel):
    for made, bars in assets(real_panel):
        assert_close(made["atr_14"], np.log(talib.ATR(*logs(bars), 14)), SETTLED)


def test_macd(real_panel):
    for made, bars in assets(real_panel):
        lines = talib.MACD(np.log(bars["close"]), 12, 26, 9)
        for name, line in zip(("line", "signal", "histogram"), lines, strict=True):
            assert_close(made[f"macd_{name}"], line / noise(bars["close"], 64), SETTLED, atol=2e-5)


def test_adx(real_panel):
    for made, bars in assets(real_panel):
        assert_close(made["di_plus_14"], talib.PLUS_DI(*logs(bars), 14) / 100, SETTLED)
        assert_close(made["di_minus_14"], talib.MINUS_DI(*logs(bars), 14) / 100, SETTLED)
        assert_close(made["adx_14"], talib.ADX(*logs(bars), 14) / 100, SETTLED)


def test_bollinger(real_panel):
    for made, bars in assets(real_panel):
        upper, middle, lower = talib.BBANDS(bars["close"], 20, 2, 2)
        std = (upper - lower) / 4
        assert_close(made["bollinger_position_20"], (bars["close"] - middle) / std)
        assert_close(made["bollinger_width_20"], np.log(std / middle))


def test_donchian(real_panel):
    for made, bars in assets(real_panel):
        for w in (20, 64):
            expected = talib.WILLR(bars["high"], bars["low"], bars["close"], w) / 50 + 1
            assert_close(made[f"donchian_{w}"], expected, atol=1e-6)


def test_stochastic(real_panel):
    for made, bars in assets(real_panel):
        slow, signal = talib.STOCH(bars["high"], bars["low"], bars["close"], 14, 3, 0, 3, 0)
        assert_close(made["stochastic_k_14"], slow / 50 - 1)
        assert_close(made["stochastic_d_14"], signal / 50 - 1)


def test_cci(real_panel):
    for made, bars in assets(real_panel):
        assert_close(made["cci_20"], talib.CCI(bars["high"], bars["low"], bars["close"], 20) / 100)


def test_time_since_the_high(real_panel):
    for made, bars in assets(real_panel):
        _, up = talib.AROON(bars["high"], bars["low"], 63)
        assert_close(made["since_high_64"], 1 - up / 100)


def test_obv_slope(real_panel):
    for made, bars in assets(real_panel):
        slope = talib.LINEARREG_SLOPE(talib.OBV(bars["close"], bars["volume"]), 32)
        assert_close(made["obv_slope_32"], slope / talib.SMA(bars["volume"], 31))
