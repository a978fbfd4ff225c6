"""Proportional trading costs: a fee and half the bid-ask spread, paid on every side of a trade."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Market

BPS = 1e-4


def market(fee_bps: float, half_spread_bps: float = 0.0, latency: int = 0) -> Market:
    """One market, with scalar leaves.

    Args:
        fee_bps: fee a side in basis points of the traded value (10 = 0.1 %).
        half_spread_bps: half the bid-ask spread in basis points of the price.
        latency: bars that pass between the first possible fill, the open of t+1, and the actual one.

    Raises:
        ConfigError: a cost is negative or not finite, or `latency` is not a whole number >= 0.
    """
    return Market(
        fee=np.float64(_cost("fee_bps", fee_bps) * BPS),
        half_spread=np.float64(_cost("half_spread_bps", half_spread_bps) * BPS),
        latency=np.int32(_bars("latency", latency)),
    )


def grid(
    fee_bps: Sequence[float] = (0, 2, 5, 10, 20), latency: Sequence[int] = (0, 1, 5)
) -> tuple[Market, tuple[tuple[float, int], ...]]:
    """Every fee with every latency and no spread, for a stress test by one `vmap`.

    Returns:
        A Market whose leaves are `[P]`, P = len(fee_bps) * len(latency), latency running fastest; and its P labels
        `(fee in bps, latency in bars)`.

    Raises:
        ConfigError: as `market`, or an axis of the grid is empty.
    """
    labels = tuple((fee, delay) for fee in fee_bps for delay in latency)
    if not labels:
        raise ConfigError(f"grid: fee_bps={fee_bps!r}, latency={latency!r} span no market; give both a value")
    markets = [market(fee, latency=delay) for fee, delay in labels]
    return Market(
        fee=np.stack([m.fee for m in markets]),
        half_spread=np.stack([m.half_spread for m in markets]),
        latency=np.stack([m.latency for m in markets]),
    ), labels


def trade_cost(market: Market, traded_value: Array) -> tuple[Array, Array]:
    """Fee and spread paid on each trade: `fee * |v|` and `half_spread * |v|`, of the shape of `traded_value`.

    `traded_value` is price times units traded, of either sign; NaN gives NaN. The market's leaves are scalars.
    """
    value = jnp.abs(traded_value)
    return market.fee * value, market.half_spread * value


def _cost(name: str, value: float) -> float:
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"market: {name}={value!r} is not a cost; give a finite number of basis points >= 0")
    return float(value)


def _bars(name: str, value: int) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"market: {name}={value!r} is not a number of bars; give a whole number >= 0")
    return int(value)
