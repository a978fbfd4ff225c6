"""Costs of a fill, and the markets that charge them."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core import compat, registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import FeeSchedule, Market
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Fill
from fxtrade.core.types import Array, PerAsset

BPS = 1e-4
NonNegativeRate = Annotated[PerAsset, Interval(ge=0)]


def fee(fill: Fill, *, rate_bps: NonNegativeRate = 10.0, maker_bps: PerAsset | None = None) -> Float[Array, " A"]:
    """The exchange's fee: a share of the value traded, on either side, in basis points (10 = 0.1 %).

    `maker_bps` is that of orders that rested in the book, a rebate where it is negative; None: the same.
    """
    if maker_bps is None or fill.maker is None:
        return rate_bps * BPS * jnp.abs(fill.traded_value)
    return jnp.where(fill.maker, maker_bps, rate_bps) * BPS * jnp.abs(fill.traded_value)


def tiered_fee(fill: Fill) -> Float[Array, " A"]:
    """The exchange's fee at the tier of the account, which the value traded in the last 30 days decides (`fees`).

    Raises:
        ConfigError: the market has no fee schedule.
    """
    if fill.taker_bps is None or fill.maker_bps is None:
        raise ConfigError(
            "costs: tiered_fee needs a fee schedule; give Market.fees, e.g. fees.SCHEDULES['binance_spot']"
        )
    rate = fill.taker_bps if fill.maker is None else jnp.where(fill.maker, fill.maker_bps, fill.taker_bps)
    return rate * BPS * jnp.abs(fill.traded_value)


def half_spread(fill: Fill, *, rate_bps: NonNegativeRate = 1.0) -> Float[Array, " A"]:
    """Half the bid-ask spread, in basis points of the price, for every unit that a taker trades."""
    return _of_takers(fill, rate_bps * BPS * jnp.abs(fill.traded_value))


def quoted_spread(fill: Fill, *, multiple: NonNegativeRate = 1.0) -> Float[Array, " A"]:
    """Half the bid-ask spread of the bar, times a multiple, for every unit that a taker trades.

    The spread is that of `Conditions.spread`, such as one of the estimates of `features.spread`; where it is NaN,
    nothing is charged.

    Raises:
        ConfigError: the backtest was given no spread.
    """
    if fill.spread is None:
        raise ConfigError(
            "costs: quoted_spread needs the spread of each bar; give Conditions(spread=...), or charge half_spread"
        )
    half = jnp.nan_to_num(jnp.asarray(fill.spread), nan=0.0) / 2
    return _of_takers(fill, multiple * half * jnp.abs(fill.traded_value))


def slippage(fill: Fill, *, rate_bps: NonNegativeRate = 1.0) -> Float[Array, " A"]:
    """A price that is worse for takers than the quote, by a share of the price in basis points."""
    return _of_takers(fill, rate_bps * BPS * jnp.abs(fill.traded_value))


def fixed_slippage(fill: Fill, *, amount: NonNegativeRate = 0.01) -> Float[Array, " A"]:
    """A price that is worse for takers than the quote, by an amount of money for each unit traded."""
    price = jnp.where(fill.price > 0, fill.price, 1.0)  # what is worthless has no value to trade either
    return _of_takers(fill, amount * jnp.abs(fill.traded_value) / price)


def _of_takers(fill: Fill, cost: Array) -> Float[Array, " A"]:
    return cost if fill.maker is None else jnp.where(fill.maker, 0.0, cost)


COSTS: dict[str, Callable[..., Array]] = {
    "fee": fee,
    "tiered_fee": tiered_fee,
    "half_spread": half_spread,
    "quoted_spread": quoted_spread,
    "slippage": slippage,
    "fixed_slippage": fixed_slippage,
}
# costs that make the price of the trade worse: all others are charged on the value at that price
MOVE_PRICE = frozenset({"half_spread", "quoted_spread", "slippage", "fixed_slippage"})


def charge(market: Market, fill: Fill) -> dict[str, Float[Array, " A"]]:
    """Return what each cost of the market takes for a fill, by name.

    The costs of `MOVE_PRICE` are computed from the quote, all others from the price that they lead to: a buyer pays the
    fee on a little more than the value at the quote, a seller on a little less.
    """
    moved = {name: COSTS[name](fill, **market.costs[name]) for name in sorted(MOVE_PRICE & market.costs.keys())}
    executed = fill._replace(traded_value=sum(moved.values(), fill.traded_value))
    others = {name: COSTS[name](executed, **market.costs[name]) for name in sorted(market.costs.keys() - MOVE_PRICE)}
    return moved | others


def check_costs(market: Market) -> None:
    """Raise ConfigError unless all costs of the market are registered."""
    registry.check_names(market.costs, COSTS, "there is no cost")


def build(
    costs: Mapping[str, Mapping[str, Any]], latency: int = 0, where: str = "market", fees: FeeSchedule | None = None
) -> Market:
    """Return one market, with scalar leaves.

    Args:
        costs: options of each cost, by its name in `COSTS`.
        latency: bars that pass between the first possible fill, the open of t+1, and the actual one.
        where: the config key of `costs`, for error messages.
        fees: tiers of the cost "tiered_fee".

    Raises:
        ConfigError: an unknown cost or option, an impossible value, or `latency` is not a whole number >= 0.
    """
    made = {name: registry.build(COSTS, name, options, "cost", where) for name, options in costs.items()}
    leaves: dict[str, dict[str, PerAsset]] = {
        name: {key: np.float64(value) for key, value in cost.keywords.items()} for name, cost in made.items()
    }
    return Market(leaves, np.int32(_bars("latency", latency)), fees=fees)


def cost_per_value(market: Market) -> float:
    """Return what trading a value of 1 costs a taker, at the first tier of fees.

    NaN if a cost depends on more than the value, such as the volume.
    """
    one, unknown = np.ones(1), np.full(1, np.nan)
    fill = Fill(one, one, one, volume=unknown, volatility=unknown, spread=unknown, time=np.zeros((), np.int32))
    if market.fees is not None:
        fill = fill._replace(maker_bps=market.fees.maker_bps[0], taker_bps=market.fees.taker_bps[0])
    with compat.float64():
        return sum(float(cost[0]) for cost in charge(market, fill).values())


def market(fee_bps: float | int, half_spread_bps: float | int | None = None, latency: int = 0) -> Market:
    """Return the market of a fee and half a spread, with scalar leaves.

    Args:
        fee_bps: fee a side in basis points of the traded value (10 = 0.1 %).
        half_spread_bps: half the bid-ask spread in basis points of the price; None: the market has none.
        latency: as in `build`.

    Raises:
        ConfigError: a cost is negative or not finite, or `latency` is not a whole number >= 0.
    """
    costs = {"fee": {"rate_bps": fee_bps}}
    if half_spread_bps is not None:
        costs["half_spread"] = {"rate_bps": half_spread_bps}
    return build(costs, latency)


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


def _bars(name: str, value: int) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ConfigError(f"market: {name}={value!r} is not a number of bars; give a whole number from 0 to 2^31 - 1")
    return int(value)
