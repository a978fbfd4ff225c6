"""Costs of a fill, and the markets that charge them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Fill, Market, PerAsset
from fxtrade.core.types import Array

BPS = 1e-4


def fee(fill: Fill, *, rate: PerAsset = 10 * BPS) -> Float[Array, " A"]:
    """The exchange's fee: `rate` of the value traded, on either side."""
    return rate * jnp.abs(fill.traded_value)


def half_spread(fill: Fill, *, rate: PerAsset = 1 * BPS) -> Float[Array, " A"]:
    """Half the bid-ask spread, `rate` of the price, for every unit traded."""
    return rate * jnp.abs(fill.traded_value)


def market(fee_bps: float | int, half_spread_bps: float | int | None = None, latency: int = 0) -> Market:
    """Return one market, with scalar leaves.

    Args:
        fee_bps: fee a side in basis points of the traded value (10 = 0.1 %).
        half_spread_bps: half the bid-ask spread in basis points of the price; None: the market has none.
        latency: bars that pass between the first possible fill, the open of t+1, and the actual one.

    Raises:
        ConfigError: a cost is negative or not finite, or `latency` is not a whole number >= 0.
    """
    costs: dict[str, dict[str, PerAsset]] = {"fee": _rate("fee_bps", fee_bps)}
    if half_spread_bps is not None:
        costs["half_spread"] = _rate("half_spread_bps", half_spread_bps)
    return Market(costs, np.int32(_bars("latency", latency)))


def grid(
    fee_bps: Sequence[float | int] = (0, 2, 5, 10, 20), latency: Sequence[int] = (0, 1, 5)
) -> tuple[Market, tuple[tuple[float | int, int], ...]]:
    """Return every fee with every latency and no spread, for a stress test by one `vmap`.

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
    return jax.tree.map(lambda *leaves: np.stack(leaves), *markets), labels


def _rate(name: str, value: float | int) -> dict[str, PerAsset]:
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"market: {name}={value!r} is not a cost; give a finite number of basis points >= 0")
    return {"rate": np.float64(float(value) * BPS)}


def _bars(name: str, value: int) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ConfigError(f"market: {name}={value!r} is not a number of bars; give a whole number from 0 to 2^31 - 1")
    return int(value)
