"""Order flow imbalance: the change of the order book between two rows.

Cont, Kukanov & Stoikov, "The price impact of order book events", Journal of Financial Econometrics 12 (2014); levels
and their integration: Cont, Cucuringu & Zhang, "Cross-impact of order flow imbalance in equity markets", Quantitative
Finance 23 (2023). Empty levels are as in `features.book`; their price is infinitely far away.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.core.windows import windowed_sum
from fxtrade.features.book import TopLevels, top_levels
from fxtrade.features.feature import Columns

CLIP = 5.0


def ofi(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (1, 8, 64),
    levels: tuple[int, ...] = (1, 2, 3),
    depth: int = 10,
) -> Columns:
    """Order flow imbalance at single levels, summed over each window of rows and divided by the mean depth in it.

    Between consecutive rows, at each level (`level_flows`):
        e = 1{b >= b'} q - 1{b <= b'} q' - 1{a <= a'} r + 1{a >= a'} r'
    with prices b, a and sizes q, r of bid and ask, ' in the row before. Depth is the mean size of a level and side over
    at most `depth` levels. NaN where a row of the window, or the one before it, has no book.
    """
    e, _, mean_depth = level_flows(k, bars, "ofi", levels, depth)
    sums = sums_over_depth(k, [e[..., m - 1] for m in levels], mean_depth, windows)
    return {f"ofi_{m}_{w}": sums[w][i] for w in windows for i, m in enumerate(levels)}


def ofi_integrated(
    k: Kernels,
    bars: Bars,
    *,
    windows: tuple[int, ...] = (1, 8, 64),
    levels: int = 10,
    weights: Literal["equal", "component"] = "equal",
    halflife: float = 500.0,
) -> Columns:
    """Weighted sum of all levels' order flow imbalance, summed over windows and divided by depth as in `ofi`.

    The absolute values of the weights sum to one. They are equal, which explained more of the move of the mid than the
    paper's choice in most real sessions (results/README.md); or, with `weights` "component", those of the first
    principal component of the levels' imbalances, each row's in units of its depth, as of the row before
    (`first_component`, over `halflife` rows). The paper takes that of sums over a minute; here a bad size affects two
    rows and not a window of them. Empty levels have no flow.

    Raises:
        ConfigError: a halflife that is not positive.
    """
    if not halflife > 0:
        raise ConfigError(f"feature 'ofi_integrated': option halflife must be positive, got {halflife}")
    e, pair_depth, mean_depth = level_flows(k, bars, "ofi_integrated", levels, levels)
    if weights == "equal":
        flow = e.mean(-1)
    else:
        flow = (first_component(k, e / pair_depth[..., None], halflife) * e).sum(-1)
    return {f"ofi_integrated_{w}": sums[0] for w, sums in sums_over_depth(k, [flow], mean_depth, windows).items()}


def sums_over_depth(
    k: Kernels, flows: list[Float[Array, "T A"]], depth: Float[Array, "T A"], windows: tuple[int, ...]
) -> dict[int, list[Float[Array, "T A"]]]:
    """Sums of each flow over each window, over the mean depth in it; NaN where a row is missing."""
    # plain sums: a mean about the first flow of the window would be rounded at the size of that flow
    longest, out = max(windows), {}
    past = k.past(jnp.stack([*flows, depth]).swapaxes(0, 1), longest - 1)
    for w in windows:
        *totals, total_depth = jnp.moveaxis(windowed_sum(past[longest - w :], w), 1, 0)
        out[w] = [total / (total_depth / w) for total in totals]
    return out


def level_flows(
    k: Kernels, bars: Bars, feature: str, levels: int | tuple[int, ...], depth: int
) -> tuple[Float[Array, "T A L"], Float[Array, "T A"], Float[Array, "T A"]]:
    """Imbalance of each level, mean depth of the row and the one before, and mean depth of the row.

    The first two are NaN unless both rows have a book; the third is NaN unless the current row has one.
    """
    now, before = (top_levels(k, bars, feature, levels, lag) for lag in (0, 1))
    bid, bid_before = (jnp.nan_to_num(book.bid_price, nan=0.0) for book in (now, before))
    ask, ask_before = (jnp.nan_to_num(book.ask_price, nan=jnp.inf) for book in (now, before))
    bought = jnp.where(bid >= bid_before, now.bid_size, 0) - jnp.where(bid <= bid_before, before.bid_size, 0)
    sold = jnp.where(ask <= ask_before, now.ask_size, 0) - jnp.where(ask >= ask_before, before.ask_size, 0)
    now, before = (mean_size(top_levels(k, bars, feature, depth, lag)) for lag in (0, 1))
    e = jnp.where(jnp.isfinite(now + before)[..., None], bought - sold, jnp.nan)
    return e, 0.5 * (now + before), now


def mean_size(book: TopLevels) -> Float[Array, "T A"]:
    """Mean size of the levels of both sides, empty ones included; NaN without a book."""
    total = book.bid_size.sum(-1) + book.ask_size.sum(-1)
    return jnp.where(book.ok, total / (2 * book.bid_size.shape[-1]), jnp.nan)


def first_component(k: Kernels, x: Float[Array, "T A L"], halflife: float) -> Float[Array, "T A L"]:
    """Weights of the first principal component of the rows of x before each row.

    Exponentially weighted second moments and one step of power iteration per row. Absolute weights sum to one, signed
    ones to no less than zero. For the first `halflife` rows they are equal; after these a row is shortened to `CLIP`
    times the usual length, so that one bad size cannot change the weights much. Rows with NaN are left out.
    """
    decay = 2.0 ** (-1.0 / halflife)
    assets, m = x.shape[1:]
    equal = jnp.full((assets, m), 1 / m, jnp.float32)

    def step(carry, row):
        moments, weights, count = carry
        valid = jnp.isfinite(row).all(-1)
        z = jnp.where(valid[:, None], row, 0)
        largest = CLIP * jnp.sqrt(jnp.trace(moments, axis1=1, axis2=2))
        length = jnp.sqrt((z**2).sum(-1))
        z = jnp.where((count >= halflife) & (length > largest), largest / length, 1)[:, None] * z
        keep = jnp.where(valid, decay, 1)[:, None, None]
        moments = keep * moments + (1 - keep) * z[:, :, None] * z[:, None, :]
        product = (moments * weights[:, None, :]).sum(-1)
        norm = jnp.abs(product).sum(-1, keepdims=True)
        norm = jnp.where(product.sum(-1, keepdims=True) < 0, -norm, norm)  # the sign of a component is arbitrary
        new = moments, safe_divide(product, norm, weights), count + valid.astype(count.dtype)
        return new, jnp.where((count >= halflife)[:, None], weights, equal)

    initial = jnp.zeros((assets, m, m), jnp.float32), equal, jnp.zeros(assets, jnp.float32)
    return k.scan(step, initial, x)
