"""The way of the price through a bar: from the open over its two extremes to the close.

A bar does not tell which extreme came first. A policy decides where it matters, which is where an order at a price or
an exit of a position lies within the bar:

* `pessimistic`: that which is worse: the low for a long position, the high for a short one; without a position the high
  where a buy order waits and the low where a sell order does, so that the new position meets its stop.
* `optimistic`: the other one.
* `nearest`: that which is nearer to the open; at equal distances the low of a bar that rises and the high of one that
  falls.
* `random`: either, with equal probability, drawn for each bar and asset from `ExecutionPolicy.seed`.

Between two of the four prices the price moves without turning. A gap from one bar to the next is met at the open.

With a stop and a target the first two enclose the truth, but for gaps within the bar. With a trailing stop they need
not: four prices turn less often than a real path, and where the high comes first, it raises the stop of a
long position before the low is met. `benchmarks/paths.py` compares all four with real minutes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from fxtrade.core.market_types import ExecutionPolicy, Row
from fxtrade.core.policy_types import Path
from fxtrade.core.trading_types import Phase, Quote
from fxtrade.core.types import Array, Bars


def open_quote(bar: Bars, mark: Float[Array, " A"], trades: Bool[Array, " A"]) -> Quote:
    """Return the quote at the open of a bar; without a bar at the last known price."""
    price = jnp.where(bar.ok, bar.open.astype(mark.dtype), mark)
    return Quote(Phase.OPEN, price, price, trades)


def later_quotes(
    row: Row, policy: Path, opened: Quote, held: Float[Array, " A"], ordered: Float[Array, " A"]
) -> tuple[Quote, Quote, Quote]:
    """Return the quotes of a bar after the open: its extremes in the order of the policy, and its close.

    Args:
        opened: the quote at the open.
        held: units after the open, of which the sign counts.
        ordered: units that a pending order would buy, negative where it would sell.
    """
    bar, dtype = row.bar, opened.price.dtype
    low, high, close = (jnp.where(bar.ok, a.astype(dtype), opened.price) for a in (bar.low, bar.high, bar.close))
    low_first = _low_first(policy, opened.price, low, high, close, held, ordered, row.low_first)
    first, second = jnp.where(low_first, low, high), jnp.where(low_first, high, low)
    return (
        Quote(Phase.FIRST_EXTREME, opened.price, first, opened.ok),
        Quote(Phase.SECOND_EXTREME, first, second, opened.ok),
        Quote(Phase.CLOSE, second, close, opened.ok),
    )


def draw_low_first(policy: ExecutionPolicy, shape: tuple[int, ...]) -> Bool[Array, "N A"] | None:
    """Return for each bar whether the low comes first, for the path "random"; None for the others.

    A row has a key of its own, so that rows that come later change nothing before them under any setting of JAX.
    """
    if policy.path != "random":
        return None
    num_bars, num_assets = shape
    key, half = jax.random.key(policy.seed), np.float32(0.5)

    def draw(row):
        return jax.random.bernoulli(jax.random.fold_in(key, row), half, (num_assets,))

    return jax.vmap(draw)(jnp.arange(num_bars, dtype=jnp.uint32))


def _low_first(policy: Path, opened, low, high, close, held, ordered, drawn) -> Bool[Array, " A"]:
    if policy == "random":
        return drawn
    if policy == "nearest":
        below, above = opened - low, high - opened
        return (below < above) | ((below == above) & (close >= opened))
    worse = (held > 0) | ((held == 0) & (ordered < 0))
    return worse if policy == "pessimistic" else ~worse
