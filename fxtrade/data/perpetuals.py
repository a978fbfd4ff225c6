"""Perpetual contracts of the simulated market, with their funding, beside the coins.

They follow the rules of Binance's contracts. A premium of the perpetual over the coin reverts to a level that
moves slowly, as the demand for leverage does; the rate of eight hours is the mean premium within them, corrected
towards the interest of 1 basis point: `rate = premium + clip(interest - premium, -5 bp, 5 bp)`.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import DataError
from fxtrade.core.market_types import Funding
from fxtrade.core.types import Bars
from fxtrade.data.names import symbol_of
from fxtrade.data.panel import Panel
from fxtrade.data.synth import ar1
from fxtrade.data.times import UNITS

SETTLED_EVERY, INTEREST, CORRECTION = 8 * UNITS["h"], 1e-4, 5e-4
LEVEL, LEVEL_DEVIATION, LEVEL_HALFLIFE = 2e-4, 5e-4, 14 * UNITS["d"]  # of the premium, and how slowly it moves
NOISE_DEVIATION, NOISE_HALFLIFE = 4e-4, 4 * UNITS["h"]  # of the premium around its level


def add_simulated(panel: Panel, seed: int) -> Panel:
    """Return the panel with a perpetual beside each coin, and their funding.

    The bars need a regular clock. The same panel and seed give the same contracts.

    Raises:
        DataError: the bars have no regular clock, or are longer than 8 hours and not whole multiples of them.
    """
    fits = not SETTLED_EVERY % panel.interval or not panel.interval % SETTLED_EVERY
    if not fits or (np.diff(panel.times) != panel.interval).any():
        raise DataError("simulated perpetuals settle every 8 hours; give bars of a part or a multiple of them")
    shape = len(panel.times) + 1, len(panel.symbols)  # from the first open to the last close
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 3)

    def process(key, halflife: int, common: float) -> Float[np.ndarray, "M A"]:
        first, second = jax.random.split(key)
        shared, own = jax.random.normal(first, (shape[0], 1)), jax.random.normal(second, shape)
        noise = math.sqrt(common) * shared + math.sqrt(1 - common) * own
        return np.asarray(ar1(noise, 2 ** (-panel.interval / halflife)), np.float64)

    level = LEVEL + LEVEL_DEVIATION * process(keys[0], LEVEL_HALFLIFE, 0.7)
    premium = level + NOISE_DEVIATION * process(keys[1], NOISE_HALFLIFE, 0.3)
    activity = np.exp(0.3 * np.asarray(jax.random.normal(keys[2], panel.bars.ok.shape), np.float64))
    coins, contracts = panel.bars, _contracts(panel.bars, premium, activity)
    sides = (dataclasses.replace(side, second_of_week=None) for side in (coins, contracts))
    bars = jax.tree.map(lambda *columns: np.concatenate(columns, 1), *sides)
    rates = _settle(panel, premium)
    none = np.zeros_like(rates.within)
    return dataclasses.replace(
        panel,
        bars=dataclasses.replace(bars, second_of_week=coins.second_of_week),
        symbols=(*panel.symbols, *map(symbol_of, panel.symbols)),
        source=f"{panel.source}, with simulated perpetuals",
        edge=None,
        funding=Funding(*(np.concatenate([none, rate], 1) for rate in rates)),
    )


def _contracts(spot: Bars, premium: Float[np.ndarray, "M A"], activity: Float[np.ndarray, "N A"]) -> Bars:
    """Return the bars of the perpetuals: those of the coins moved by the premium at the open and at the close."""
    factor = np.exp(premium)
    first, last = factor[:-1], factor[1:]
    opened, closed = spot.open * first, spot.close * last
    high = np.maximum(np.maximum(opened, closed), spot.high * np.maximum(first, last))
    low = np.minimum(np.minimum(opened, closed), spot.low * np.minimum(first, last))
    columns = {"open": opened, "high": high, "low": low, "close": closed}
    columns |= {"volume": spot.volume * activity, "taker_buy": spot.taker_buy * activity}
    columns["quote_volume"] = spot.quote_volume * activity * (first + last) / 2
    columns["trades"] = np.ceil(spot.trades * activity)
    return dataclasses.replace(spot, **{name: column.astype(np.float32) for name, column in columns.items()})


def _settle(panel: Panel, premium: Float[np.ndarray, "M A"]) -> Funding:
    """Return the rates that settle in each row, at its open or within it, from the premium of the hours before."""
    opens = np.append(panel.times, panel.times[-1] + panel.interval)
    window = max(SETTLED_EVERY // panel.interval, 1)  # premiums at opens that are averaged
    total = np.cumsum(np.concatenate([np.zeros((1, premium.shape[1])), premium]), 0)
    mean = (total[window:] - total[:-window]) / window  # row i: of the opens i .. i + window - 1
    rate = mean + np.clip(INTEREST - mean, -CORRECTION, CORRECTION)
    at_open, within = np.zeros((2, *panel.bars.ok.shape))
    if panel.interval <= SETTLED_EVERY:
        rows = np.flatnonzero(opens[:-1] % SETTLED_EVERY == 0)
        rows = rows[rows >= window]
        at_open[rows] = rate[rows - window]  # of the opens before this one
        return Funding(at_open, within)
    settlements = panel.interval // SETTLED_EVERY
    at_open[:], within[:] = rate[:-1], (settlements - 1) * rate[:-1]
    return Funding(at_open, within)
