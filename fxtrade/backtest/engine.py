"""Bar-by-bar backtest: target weights become orders that fill at a later open and pay costs.

The clock. `target[t]` is decided when bar t has closed and fills at the open of bar `t + 1 + latency`, never before.

    close t          open t+1+latency                close t+1+latency
    target[t] ...... trade to target[t] * equity ... equity marked

`run` is pure and unjitted, for `jit`, `vmap` and sweeps. `backtest` and `stress` check their inputs and are compiled.
"""

from __future__ import annotations

import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

from fxtrade.backtest.account import init, revalue, settle
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.registry import check_names
from fxtrade.core.trading_types import (
    POLICY,
    Account,
    Delisted,
    ExecutionPolicy,
    Market,
    Order,
    Phase,
    Quote,
    Result,
    ZeroVolume,
)
from fxtrade.core.types import Array, Bars, check_bars
from fxtrade.market import check_costs, fills


def step(
    market: Market, policy: ExecutionPolicy, account: Account, bar: Bars, ended: Bool[Array, " A"], decided: Order
) -> tuple[Account, Result]:
    """Take the account through one bar, in three phases.

    1. Match: the pending order is matched with the bar's quotes (currently the open only). Without a bar, or without a
       trade in it, it stays pending. A position whose asset has ended may be closed at the last known price
       (`ExecutionPolicy`).
    2. Settle: cash pays for units and costs, and the account is marked at the close, or at the last known price.
    3. Decide: where `decided` is not NaN, it replaces the pending order.

    An account whose equity is <= 0 at the open, before trading, or at the close never trades again (`revalue`).

    Conservation: equity changes by `sum(pnl) - sum(costs)`, exactly up to rounding.

    Args:
        bar: one row of `Bars`.
        ended: the asset had its last bar in the row before.
        decided: arrives at the close of this bar, so decided there or, with latency, before.

    Returns:
        The account after the bar, and the Result of the bar.
    """
    real = account.cash.dtype
    before, price = account, jnp.where(bar.ok, bar.open.astype(real), account.mark)
    account, equity = revalue(account, price)
    order, trades = account.order, fills.can_fill(bar, policy.zero_volume)
    if policy.delisted == "close":
        order, trades = Order(jnp.where(ended, 0.0, order.weight)), trades | ended
    quote = Quote(Phase.OPEN, price, trades, volume=bar.volume.astype(real), time=bar.second_of_week)
    fill, waiting = fills.match(order, quote, account.units, equity)

    account, paid = settle(account, fill, market)
    mark = jnp.where(bar.ok, bar.close.astype(real), price)
    pnl = before.units * (price - before.mark) + account.units * (mark - price)
    account, equity = revalue(account, mark)
    weight = jnp.where(equity > 0, account.units * mark / equity, 0.0)

    order = Order(jnp.where(jnp.isnan(decided.weight), waiting.weight, decided.weight))
    delisted = jnp.sum(ended & (before.units != 0), dtype=jnp.int32)
    return account._replace(order=order), Result(equity, weight, paid, jnp.abs(fill.traded_value), pnl, delisted)


def run(bars: Bars, target: Float[Array, "N A"], market: Market, policy: ExecutionPolicy = POLICY) -> Result:
    """Backtest a target over bars, one `lax.scan` of `step`; pure, computed in JAX's default float.

    A weight is a share of equity, negative when short, and may exceed 1 (leverage; borrowing is free). NaN keeps the
    current units and any pending order. A constant weight is rebalanced against drift at every bar; the rule
    `only_changes` avoids that.

    Args:
        bars: rows `[N, A]`.
        target: decided at the close of each bar.
        market: leaves without a leading axis; `latency` may be traced.
        policy: static under `jit`.

    Returns:
        Result: equity and costs `[N]`, the number of delisted positions, the rest `[N, A]`; in units of the starting
        capital, 1.
    """
    target = jnp.asarray(target, jnp.result_type(float))
    num_bars, num_assets = target.shape
    row = jnp.arange(num_bars, dtype=jnp.int32) - market.latency
    arriving = Order(jnp.where((row >= 0)[:, None], target[jnp.maximum(row, 0)], jnp.nan))
    rows = bars, fills.has_ended(bars.ok), arriving
    _, result = lax.scan(lambda account, row: step(market, policy, account, *row), init(num_assets), rows)
    return result._replace(delisted=result.delisted.sum(dtype=jnp.int32))


def backtest(bars: Bars, target: Array, market: Market, policy: ExecutionPolicy = POLICY) -> Result:
    """`run`, compiled, in float64 where the backend has it; the Result holds NumPy arrays.

    On other backends it runs in float32. Measured on the CPU, equity then has a relative error of at most 3e-5 after
    50,000 bars in which four random positions are turned over at every bar, and of 2e-7 under a constant weight.

    Raises:
        DataError: shapes differ, a target is infinite, or a price of an ok bar is not a positive number.
        ConfigError: the market is a batch of markets, or has a cost that is not registered; or there is no such policy.
    """
    _check(bars, target, market, policy, market_rank=0)
    return _on_device(_run, bars, target, market, policy)


def stress(bars: Bars, target: Array, markets: Market, policy: ExecutionPolicy = POLICY) -> Result:
    """`backtest` in P markets at once (`market.costs.grid`): leaves of `markets` are `[P]`, of the Result `[P, ...]`.

    Raises:
        DataError: as `backtest`.
        ConfigError: a leaf of `markets` does not have P rows, or a cost is not registered.
    """
    _check(bars, target, markets, policy, market_rank=1)
    return _on_device(_run_markets, bars, target, markets, policy)


_run = jax.jit(run, static_argnames="policy")


@functools.partial(jax.jit, static_argnames="policy")
def _run_markets(bars: Bars, target: Array, markets: Market, policy: ExecutionPolicy) -> Result:
    return jax.vmap(lambda market: run(bars, target, market, policy))(markets)


def _on_device(program, bars: Bars, target: Array, market: Market, policy: ExecutionPolicy) -> Result:
    with compat.float64():
        return jax.device_get(program(bars, target, market, policy=policy))


def _check(bars: Bars, target: Array, market: Market, policy: ExecutionPolicy, market_rank: int) -> None:
    check_bars(bars, "backtest")
    check_names([policy.zero_volume], typing.get_args(ZeroVolume), "backtest: there is no zero_volume policy")
    check_names([policy.delisted], typing.get_args(Delisted), "backtest: there is no delisted policy")
    shape = np.shape(target)
    if len(shape) != 2:
        raise DataError(
            f"backtest: target has shape {shape}; give [N, A], a row for each bar and a column for each asset"
        )
    ok = np.asarray(bars.ok)
    for name, column in (("open", bars.open), ("close", bars.close), ("volume", bars.volume), ("ok", ok)):
        if np.shape(column) != shape:
            raise DataError(f"backtest: bars.{name} has shape {np.shape(column)}, target {shape}; align them")
    for name, column in (("open", bars.open), ("close", bars.close)):
        price = np.asarray(column)
        _refuse(ok & ~((price > 0) & np.isfinite(price)), f"bars.{name}", "a positive price, or set ok to False")
    _refuse(np.isinf(np.asarray(target)), "target", "a finite weight, or NaN to keep the position")
    _check_market(market, shape[1], market_rank)


def _check_market(market: Market, num_assets: int, rank: int) -> None:
    check_costs(market)
    batch = np.shape(market.latency)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(market.costs)]
    if len(batch) != rank or not set(shapes) <= {batch, (*batch, num_assets)}:
        wanted = "[P], see `market.costs.grid`" if rank else "scalars, or call `stress` for a batch of markets"
        raise ConfigError(f"backtest: latency and costs of the market have shapes {[batch, *shapes]}; give {wanted}")


def _refuse(bad: np.ndarray, name: str, wanted: str) -> None:
    if bad.any():
        row, asset = np.argwhere(bad)[0]
        raise DataError(f"backtest: {name} at row {row}, asset {asset} is unusable; give {wanted}")
