"""Backtests of many parameter sets: one compiled loop over the bars, with metrics that are updated bar by bar.

The rule decides within the loop, and P sets are one `vmap` over the function that makes it. No array `[P, N]` exists:
metrics are part of the state, and equity is kept at the end of each UTC day. Sets are run in chunks of bounded memory,
sharded over the devices that JAX has; `compat.use_cores` makes one of each core of a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from fxtrade.backtest import engine, online
from fxtrade.backtest.checks import check_capital, check_market, check_policy, check_rows
from fxtrade.backtest.grid import Grid
from fxtrade.backtest.online import Online
from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.market_types import POLICY, Conditions, ExecutionPolicy, Market
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Bars, Forecast, Number
from fxtrade.data.panel import Panel

DAY = 86_400 * 10**9  # ns
CHUNK = 512  # sets: their state fits into the cache of a core
MEMORY = 256 * 2**20  # bytes that the daily equity of a chunk may take

MakeRule = Callable[..., Rule]


class Sweep(NamedTuple):
    """The results of P sets, net of costs.

    Attributes:
        days: `[D]` starts of the UTC days in int64 ns.
        equity: `[P, D]` at the end of each day, in units of the starting capital.
        max_drawdown: `[P]` over all bars, <= 0.
        exposure: `[P]` mean over days of the gross weight at the last close.
        turnover: `[P]` mean over days of buys plus sells over the equity at the start of the day.
        trades: `[P]` positions closed.
        win_rate: `[P]` share of them with a profit after costs, NaN without one.
    """

    days: Int[np.ndarray, " D"]
    equity: Float[np.ndarray, "P D"]
    max_drawdown: Float[np.ndarray, " P"]
    exposure: Float[np.ndarray, " P"]
    turnover: Float[np.ndarray, " P"]
    trades: Int[np.ndarray, " P"]
    win_rate: Float[np.ndarray, " P"]

    @property
    def returns(self) -> Float[np.ndarray, "P D"]:
        """Simple returns of each day; NaN after ruin."""
        made = np.empty_like(self.equity)
        made[:, 0] = self.equity[:, 0] - 1
        before = self.equity[:, :-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(self.equity[:, 1:], before, out=made[:, 1:])
        made[:, 1:] -= 1
        if (ruined := before <= 0).any():
            made[:, 1:][ruined] = np.nan
        return made


def sweep(
    panel: Panel,
    make_rule: MakeRule,
    grid: Grid,
    market: Market,
    policy: ExecutionPolicy = POLICY,
    conditions: Conditions = engine.NO_CONDITIONS,
    capital: float = 1.0,
    forecast: Forecast | None = None,
    on_progress: Callable[[int], None] = lambda sets: None,
) -> Sweep:
    """Backtest every set of a grid.

    Args:
        make_rule: takes the parameters of the grid by name, which are traced numbers, and returns the rule.
        market: one market, or a market for each set: then its leaves are `[P]` or `[P, A]`.
        capital: as in `engine.run_rule`.
        forecast: rows for rules that read one.
        on_progress: called with the number of sets just done.

    Raises:
        ConfigError: as `engine.backtest`; more memory is needed than is free; or the bars have no regular clock.
        DataError: a price of an ok bar is not a positive number, or the forecast has not the rows of the bars.
    """
    chunks = []
    for chunk, (first, last) in run_chunks(panel, make_rule, grid, market, policy, conditions, capital, forecast):
        chunks.append(chunk)
        on_progress(last - first)
    return concatenate(chunks)


def concatenate(chunks: list[Sweep]) -> Sweep:
    """Return the results of several chunks as one."""
    if len(chunks) == 1:
        return chunks[0]
    leaves = zip(*(chunk[1:] for chunk in chunks), strict=True)
    equity, *others = (np.concatenate([leaf.T for leaf in parts], axis=-1).T for parts in leaves)
    return Sweep(chunks[0].days, equity, *others)


def run_chunks(
    panel: Panel,
    make_rule: MakeRule,
    grid: Grid,
    market: Market,
    policy: ExecutionPolicy = POLICY,
    conditions: Conditions = engine.NO_CONDITIONS,
    capital: float = 1.0,
    forecast: Forecast | None = None,
    skip: Callable[[tuple[int, int]], bool] = lambda span: False,
) -> Iterator[tuple[Sweep, tuple[int, int]]]:
    """Yield the results of one chunk of sets after the other, each with its first set and the one after its last.

    Args:
        skip: says of a span whether it is left out, such as one that was run before.
    """
    batched, max_latency = np.ndim(market.latency) > 0, int(np.max(market.latency))
    check(panel, market, policy, conditions, capital, forecast, grid.size if batched else None)
    days, blocks = split_days(panel.times, panel.interval)
    size = chunk_size(grid.size, len(days))
    program = _compile(make_rule, policy, blocks, max_latency, batched)
    with compat.float64():
        for first in range(0, grid.size, size):
            span = first, min(first + size, grid.size)
            if skip(span):
                continue
            # the last chunk is filled up with its last set: one shape is one program
            rows = np.minimum(np.arange(first, first + size), grid.size - 1)
            sets = {name: values[rows] for name, values in grid.sets().items()}
            terms = jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], market) if batched else market
            sets, terms = _shard(sets), _shard(terms) if batched else terms
            equity, metrics = jax.device_get(program(panel.bars, forecast, conditions, sets, terms, capital))
            yield _result(days, equity, metrics, span[1] - first, capital), span


def chunk_size(sets: int, days: int) -> int:
    """Return the number of sets in a chunk, a multiple of the number of devices.

    Raises:
        ConfigError: the daily equity of all sets does not fit into the free memory.
    """
    needed, free = 3 * 8 * sets * days, compat.free_bytes()
    if free is not None and needed > free:
        raise ConfigError(
            f"sweep: {sets:,} sets x {days:,} days need {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB "
            "are free; sweep fewer sets, or fewer bars"
        )
    devices = jax.local_device_count()
    size = max(min(sets, CHUNK, MEMORY // (8 * days)), 1)
    return -(-size // devices) * devices


def split_days(
    times: Int[np.ndarray, " N"], interval: int
) -> tuple[Int[np.ndarray, " D"], tuple[tuple[int, int], ...]]:
    """Return the starts of the UTC days of the bars, and blocks of days `(number of days, bars in each)`.

    Bars belong to the day in which they open. Only the first and the last day may have fewer bars than the others.

    Raises:
        ConfigError: the times are not regular.
    """
    if interval > DAY:
        raise ConfigError("sweep: bars of more than a day have no daily returns; sweep bars of a day or shorter ones")
    if (np.diff(times) != interval).any():
        raise ConfigError("sweep: the bars have no regular clock; read the books with config.data.clock, such as 1s")
    starts, counts = np.unique(times // DAY * DAY, return_counts=True)
    edges = np.flatnonzero(np.diff(counts)) + 1
    return starts, tuple((len(part), int(part[0])) for part in np.split(counts, edges))


def run_days(
    bars: Bars,
    rule: Rule,
    market: Market,
    policy: ExecutionPolicy,
    conditions: Conditions,
    capital: Number,
    forecast: Forecast | None,
    blocks: tuple[tuple[int, int], ...],
    max_latency: int,
) -> tuple[list[Float[Array, " days"]], Online]:
    """Return the equity of an account at the end of each day, a part for each block, and its metrics.

    Pure and unjitted, as `engine.run_rule`; `blocks`, those of `split_days`, are static under `jit`.
    """
    seen = engine.observe(bars, conditions, forecast)
    state, step = engine.make_trader(rule, seen, market, policy, capital, max_latency)
    rows = engine.rows_of(bars, policy, conditions), seen

    def advance(carry, row):
        state, metrics = carry
        before = state.account.units
        state, result = step(state, *row)
        return (state, online.update(metrics, result, before, state.account.units)), None

    def day(carry, rows):
        before = carry[1].equity
        (state, metrics), _ = lax.scan(advance, carry, rows)
        metrics = online.end_day(metrics, before, state.account)
        return (state, metrics), metrics.equity

    carry, equity, first = (state, online.init(state.account)), [], 0
    for days, length in blocks:
        last = first + days * length
        block = jax.tree.map(lambda a, f=first, n=last, d=days: a[f:n].reshape(d, -1, *a.shape[1:]), rows)
        carry, ends = lax.scan(day, carry, block)
        equity.append(ends)
        first = last
    return equity, carry[1]


@functools.lru_cache(maxsize=8)  # other bars of the same clock are traded by the same program
def _compile(
    make_rule: MakeRule, policy: ExecutionPolicy, blocks: tuple[tuple[int, int], ...], max_latency: int, batched: bool
) -> Callable[..., Any]:
    """Return the jitted program of one chunk: daily equity `[D, P]`, and the metrics of each set."""

    def one(sets: Mapping[str, Array], market: Market, bars: Bars, forecast: Forecast | None, conditions, capital):
        rule = make_rule(**sets)
        return run_days(bars, rule, market, policy, conditions, capital, forecast, blocks, max_latency)

    def chunk(bars: Bars, forecast: Forecast | None, conditions: Conditions, sets, market: Market, capital: Array):
        bars, forecast, conditions = jax.tree.map(jnp.asarray, (bars, forecast, conditions))
        vmapped = jax.vmap(one, in_axes=(0, 0 if batched else None, None, None, None, None), out_axes=(1, 0))
        return vmapped(sets, market, bars, forecast, conditions, capital)

    return jax.jit(chunk)


def _shard(tree: Any) -> Any:
    """Place the leading axis of all leaves on the devices, a part on each."""
    devices = jax.local_devices()
    sharding = NamedSharding(Mesh(np.array(devices), ("sets",)), PartitionSpec("sets"))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), tree)


def _result(days: np.ndarray, equity: Sequence[np.ndarray], metrics: Online, sets: int, capital: float) -> Sweep:
    """Return the results of a chunk; `equity` has blocks of days `[D, P]` in the account's currency."""
    daily = np.concatenate([block[:, :sets] for block in equity])
    if capital != 1:
        daily /= capital
    drawdown, exposure, turnover, trades, wins = (
        np.asarray(leaf)[:sets]
        for leaf in (metrics.max_drawdown, metrics.exposure, metrics.turnover, metrics.trades, metrics.wins)
    )
    return Sweep(
        days=days,
        equity=daily.T,  # a view: a day of all sets is contiguous, as the program writes it
        max_drawdown=drawdown,
        exposure=exposure / len(days),
        turnover=turnover / len(days),
        trades=trades.astype(np.int64),
        win_rate=np.where(trades > 0, wins / np.maximum(trades, 1), np.nan),
    )


def check(
    panel: Panel,
    market: Market,
    policy: ExecutionPolicy,
    conditions: Conditions,
    capital: float,
    forecast: Forecast | None,
    markets: int | None = None,
) -> None:
    """Raise ConfigError or DataError, as `sweep`, for what cannot be traded; `markets`: their number, None for one."""
    check_policy(policy)
    check_capital(capital)
    shape = np.shape(panel.bars.ok)
    if not shape[0]:
        raise DataError("sweep: there are no bars")
    check_rows(panel.bars, conditions, shape, extremes=True)
    check_market(market, shape[1], 0 if markets is None else 1)
    if forecast is not None and np.shape(forecast.ok) != shape:
        raise DataError(f"sweep: the forecast has the shape {np.shape(forecast.ok)}, the bars {shape}; align them")
    if np.max(market.latency) >= max(shape[0], 1):
        raise ConfigError(
            f"sweep: with a latency of {int(np.max(market.latency)):,} bars no order arrives within {shape[0]:,} bars"
        )
    if markets is not None and np.shape(market.latency) != (markets,):
        raise ConfigError(
            f"sweep: the market has {np.shape(market.latency)[0]} rows, the grid {markets} sets; give one market, or "
            "one for each set"
        )
