"""Checks of the input of a backtest: one clear error for what an engine cannot use."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import jax
import numpy as np

from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import Conditions, ExecutionPolicy, Market
from fxtrade.core.order_types import Order
from fxtrade.core.registry import check_names
from fxtrade.core.types import Array, Bars, check_bars
from fxtrade.market import check_costs
from fxtrade.market.fees import check_schedule
from fxtrade.market.fills import has_price


def check(
    bars: Bars,
    order: Order,
    market: Market,
    policy: ExecutionPolicy,
    conditions: Conditions,
    capital: float,
    market_rank: int,
) -> None:
    """Raise DataError or ConfigError for the first thing that is wrong; see `engine.backtest`."""
    check_bars(bars, "backtest")
    check_policy(policy)
    check_capital(capital)
    shape = np.shape(order.weight)
    if len(shape) != 2:
        raise DataError(
            f"backtest: target has shape {shape}; give [N, A], a row for each bar and a column for each asset"
        )
    check_orders(order, shape)
    check_rows(bars, conditions, shape, needs_path(order, market))
    check_market(market, shape[1], market_rank)


def check_rule(bars: Bars, market: Market, policy: ExecutionPolicy, conditions: Conditions, market_rank: int) -> None:
    """Raise DataError or ConfigError for the first thing that is wrong; see `engine.backtest_rule`."""
    check_bars(bars, "backtest")
    check_policy(policy)
    shape = np.shape(bars.ok)
    if len(shape) != 2:
        raise DataError(
            f"backtest: bars have shape {shape}; give [N, A], a row for each bar and a column for each asset"
        )
    check_rows(bars, conditions, shape, extremes=True)
    check_market(market, shape[1], market_rank)


def check_policy(policy: ExecutionPolicy) -> None:
    """Raise ConfigError for a policy that does not exist."""
    for name, hint in typing.get_type_hints(ExecutionPolicy).items():
        choices = typing.get_args(hint)
        if choices:
            check_names([getattr(policy, name)], choices, f"backtest: there is no {name} policy")
    if not 0 <= policy.haircut <= 1:
        raise ConfigError(
            f"backtest: haircut={policy.haircut!r} is not a share of the price; give a number from 0 to 1"
        )


def check_capital(capital: float) -> None:
    """Raise ConfigError unless the capital is a positive number."""
    if not 0 < capital < np.inf:
        raise ConfigError(f"backtest: capital={capital!r} is not an amount of money; give a positive number")


def check_latency(market: Market, max_latency: int) -> int:
    """Return the largest latency that orders may have. Raises ConfigError if the market's is larger."""
    latency = int(np.max(market.latency))
    if latency > max_latency:
        raise ConfigError(
            f"backtest: the market has a latency of {latency} bars, more than max_latency={max_latency}; give "
            f"max_latency={latency}"
        )
    return max_latency


def needs_path(order: Order, market: Market) -> bool:
    """Return whether the high and the low of the bars matter."""
    return has_price(order) or order.bracket is not None or market.margin is not None


def check_orders(order: Order, shape: tuple[int, ...]) -> None:
    """Raise DataError for orders of another shape, infinite sizes, and prices or fractions that are not positive."""
    for name, field in _fields(order):
        values = np.asarray(field)
        values = values if values.ndim else np.broadcast_to(values, shape)
        if values.shape != shape:
            raise DataError(f"backtest: order.{name} has shape {values.shape}, target {shape}; align them")
        where = "target" if name == "weight" else f"order.{name}"
        if name in ("weight", "units"):
            _refuse(np.isinf(values), where, f"a finite {name.rstrip('s')}, or NaN to keep the position")
        elif values.dtype != bool:
            _refuse((values <= 0) | np.isinf(values), where, "a positive number, or NaN for none")


def check_rows(bars: Bars, conditions: Conditions, shape: tuple[int, ...], extremes: bool) -> None:
    """Raise DataError for bars or conditions of another shape, or with impossible values."""
    ok = np.asarray(bars.ok)
    prices = ("open", "high", "low", "close") if extremes else ("open", "close")
    for name in (*prices, "volume", "ok"):
        if np.shape(getattr(bars, name)) != shape:
            raise DataError(
                f"backtest: bars.{name} has shape {np.shape(getattr(bars, name))}, target {shape}; align them"
            )
    for name in prices:
        price = np.asarray(getattr(bars, name))
        _refuse(ok & ~((price > 0) & np.isfinite(price)), f"bars.{name}", "a positive price, or set ok to False")
    if extremes:
        ends = np.asarray(bars.open), np.asarray(bars.close)
        inside = (np.asarray(bars.low) <= np.minimum(*ends)) & (np.asarray(bars.high) >= np.maximum(*ends))
        _refuse(ok & ~inside, "bars.low or bars.high", "a range that holds the open and the close")
    funding = conditions.funding
    for name, mask in (("ended", conditions.ended), ("halted", conditions.halted)):
        if mask is not None and np.shape(mask) != shape:
            raise DataError(f"backtest: conditions.{name} has shape {np.shape(mask)}, the bars {shape}; align them")
    for name, rate in (("spread", conditions.spread), *(() if funding is None else funding._asdict().items())):
        if rate is None:
            continue
        if np.shape(rate) != shape:
            raise DataError(f"backtest: conditions.{name} has shape {np.shape(rate)}, the bars {shape}; align them")
        if name == "spread":
            _refuse((np.asarray(rate) < 0) | np.isinf(np.asarray(rate)), "conditions.spread", "a share >= 0, or NaN")
        else:
            _refuse(~np.isfinite(np.asarray(rate)), f"conditions.funding.{name}", "a finite rate, 0 where none settles")


def check_market(market: Market, num_assets: int, rank: int) -> None:
    """Raise ConfigError for a market with unknown costs, leaves of a wrong shape or impossible values."""
    check_costs(market)
    batch = np.shape(market.latency)
    leaves = jax.tree.leaves(market._replace(latency=None, fees=None))
    shapes = [np.shape(leaf) for leaf in leaves]
    if len(batch) != rank or not set(shapes) <= {batch, (*batch, num_assets)}:
        wanted = "[P], see `market.costs.grid`" if rank else "scalars, or call `stress` for a batch of markets"
        raise ConfigError(f"backtest: latency and costs of the market have shapes {[batch, *shapes]}; give {wanted}")
    if market.fees is not None and np.ndim(market.fees.volume) == 1:  # a schedule per asset is made of checked ones
        check_schedule(market.fees, "backtest: fees")
    for part in (market.margin, market.limits, market.carry):
        for name, value in () if part is None else part._asdict().items():
            number = np.asarray(0.0 if value is None else value)
            if not (np.isfinite(number) & (number >= 0)).all():
                raise ConfigError(f"backtest: {type(part).__name__}.{name}={value!r}; give a finite number >= 0")
            if value is not None and name in ("lot", "tick", "participation") and (number == 0).any():
                raise ConfigError(
                    f"backtest: OrderLimits.{name}=0 allows no order; give a number > 0, or None for none"
                )
    initial, maintenance = (1.0, None) if market.margin is None else market.margin[:2]
    if maintenance is not None and np.any(np.asarray(initial) < maintenance):
        raise ConfigError(
            f"backtest: the initial margin {initial!r} is below the maintenance margin "
            f"{maintenance!r}: such a position would be liquidated at its entry; give a larger one"
        )


def _fields(order: Order) -> Iterator[tuple[str, Array]]:
    for name, field in order._asdict().items():
        if name == "bracket":
            bracket = () if field is None else field._asdict().items()
            yield from ((f"bracket.{part}", value) for part, value in bracket if value is not None)
        elif field is not None:
            yield name, field


def _refuse(bad: np.ndarray, name: str, wanted: str) -> None:
    if bad.any():
        row, asset = np.argwhere(bad)[0]
        raise DataError(f"backtest: {name} at row {row}, asset {asset} is unusable; give {wanted}")
