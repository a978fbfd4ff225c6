"""Bid-ask spreads estimated from the open, high, low and close of bars.

Every estimator maps four prices `[window - 1 + T, A]` to `[T, A]`, the squared relative spread over each window (0.0001
is a spread of 1 %). It is negative where the prices show the opposite of a bounce, as they do by chance: cutting that
off at zero biases a mean of spreads upwards (a true spread of 1 % becomes 1.7 % by Corwin & Schultz). The market never
closes, so that no overnight gap is adjusted for. A window with a missing bar is NaN.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars
from fxtrade.core.validity import safe_divide
from fxtrade.core.windows import windowed_sum, windowed_sums
from fxtrade.features.feature import Columns
from fxtrade.features.ranges import log_ratio

LIMIT = 2.0  # of the share of the variance: beyond it the bars do not come from one market
FLOOR = 0.01  # of the same share in a logarithm
SMALLEST = 1e-14  # squared spread of a price that does not move: smaller moves are rounding

Estimator = Literal["roll", "corwin_schultz", "abdi_ranaldo", "edge"]
Prices = Float[Array, "N A"]
Square = Float[Array, "N-{window}+1 A"]


def spread_estimate(
    k: Kernels,
    bars: Bars,
    *,
    estimators: tuple[Estimator, ...] = ("roll", "corwin_schultz", "abdi_ranaldo", "edge"),
    window: int = 128,
    unit: Literal["share", "log"] = "share",
    zero_negatives: bool = False,
) -> Columns:
    """The spread S by each estimator over `window` bars; 0 where the price never moved.

    unit "share": S^2/2 with its sign over the mean squared return of a bar, within +-`LIMIT`: the share of the bid-ask
    bounce in the variance (Roll 1984); "log": log S, with S^2/2 at least `FLOOR` times the mean squared return.
    `zero_negatives` concerns Corwin & Schultz alone.
    """
    if window < 4:
        raise ConfigError(f"feature 'spread_estimate': window must be at least 4, got {window}")
    prices = [k.past(x, window - 1) for x in (bars.open, bars.high, bars.low, bars.close)]
    variance = windowed_sum(log_ratio(prices[3][1:], prices[3][:-1]) ** 2, window - 1) / (window - 1)
    columns = {}
    for name in estimators:
        options = {"corwin_schultz": {"zero_negatives": zero_negatives}, "edge": {"undefined": 0.0}}.get(name, {})
        square = ESTIMATORS[name](*prices, window, **options)
        share = safe_divide(square, 2 * variance, 0 * (square + variance))
        columns[f"spread_{name}_{window}"] = jnp.clip(share, -LIMIT, LIMIT)
        if unit == "log":
            least = jnp.maximum(2 * FLOOR * variance, SMALLEST)
            columns[f"spread_{name}_{window}"] = 0.5 * jnp.log(jnp.maximum(square, least))
    return columns


def roll(open: Prices, high: Prices, low: Prices, close: Prices, window: int) -> Square:
    """-4 cov(r_t, r_{t-1}) of the log returns of closes (Roll 1984)."""
    r = log_ratio(close[1:], close[:-1])
    product, now, past = windowed_sums([r[1:] * r[:-1], r[1:], r[:-1]], window - 2) / (window - 2)
    return -4 * (product - now * past)


def corwin_schultz(
    open: Prices, high: Prices, low: Prices, close: Prices, window: int, zero_negatives: bool = False
) -> Square:
    """Signed square of the mean over pairs of bars of 2 (e^a - 1)/(e^a + 1) (Corwin & Schultz 2012).

    a = (sqrt(2 b) - sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(g / (3 - 2 sqrt(2))), b = the sum of the two log(high/low)^2,
    g = log(highest/lowest)^2. With `zero_negatives` a pair's spread is at least 0, which biases the mean.
    """
    scale = 3 - 2 * 2**0.5
    square = log_ratio(high, low) ** 2
    beta = square[1:] + square[:-1]
    gamma = log_ratio(jnp.maximum(high[1:], high[:-1]), jnp.minimum(low[1:], low[:-1])) ** 2
    alpha = (2**0.5 - 1) / scale * jnp.sqrt(beta) - jnp.sqrt(gamma / scale)
    pair = 2 * jnp.tanh(alpha / 2)
    if zero_negatives:
        pair = jnp.where(pair < 0, 0, pair)
    mean = windowed_sum(pair, window - 1) / (window - 1)
    return mean * jnp.abs(mean)


def abdi_ranaldo(open: Prices, high: Prices, low: Prices, close: Prices, window: int) -> Square:
    """4 mean of (c_{t-1} - m_{t-1}) (c_{t-1} - m_t), c log close and m log mid-range (Abdi & Ranaldo 2017)."""
    before, now = mid_range(high[:-1], low[:-1], close[:-1]), mid_range(high[1:], low[1:], close[:-1])
    return 4 * windowed_sum(before * now, window - 1) / (window - 1)


def edge(
    open: Prices, high: Prices, low: Prices, close: Prices, window: int, undefined: float = float("nan")
) -> Square:
    """EDGE: combines moments of open, close and mid-range by their variances (Ardia, Guidotti & Kroencke 2024).

    As `bidask.edge_rolling`. The result is `undefined` for a window in which fewer than two bars moved, or all opens or
    all closes are both high and low of their bar.
    """
    o, h, l, c1, h1, l1 = open[1:], high[1:], low[1:], close[:-1], high[:-1], low[:-1]  # noqa: E741
    r1, r2, r3, r4 = mid_range(h, l, o), -mid_range(h1, l1, o), mid_range(h, l, c1), -mid_range(h1, l1, c1)
    r5 = log_ratio(o, c1)
    moved = ((h != l) | (l != c1)).astype(o.dtype)

    def differ(x: Prices, y: Prices) -> Prices:
        return (x != y).astype(o.dtype)

    within = moved * (differ(o, h) + differ(o, l)), moved * (differ(c1, h1) + differ(c1, l1))
    first, second = (r1 * r2, moved * r2, r3 * r4, moved * r4), (r1 * r5, moved * r5, r5 * r4, moved * r4)
    series = [moved, *within, r1, r3, r5, *first, *second]
    series += [x * y for terms in (first, second) for x, y in combinations_with_replacement(terms, 2)]
    tau, open_within, close_within, *means = windowed_sums(series, window - 1) / (window - 1)
    known = (tau > 1.5 / (window - 1)) & (open_within > 0) & (close_within > 0)
    tau, open_within, close_within = (jnp.where(known, x, 1) for x in (tau, open_within, close_within))
    mean1, mean3, mean5 = (x / tau for x in means[:3])
    a, b = -4 / open_within, -4 / close_within

    def moments(weights: tuple[Array, ...], means: list[Array], products: list[Array]) -> tuple[Array, Array]:
        """Mean and variance of the weighted sum of four terms."""
        mean = jnp.asarray(sum(w * x for w, x in zip(weights, means, strict=True)))
        pairs = combinations_with_replacement(range(4), 2)
        square = sum((1 + (i < j)) * weights[i] * weights[j] * x for (i, j), x in zip(pairs, products, strict=True))
        return mean, square - mean**2

    e1, v1 = moments((a, -a * mean1, b, -b * mean3), means[3:7], means[11:21])
    e2, v2 = moments((a, -a * mean1, b, -b * mean5), means[7:11], means[21:31])
    share = safe_divide(v2, jnp.maximum(v1 + v2, 0), 0.5)
    square = share * e1 + (1 - share) * e2
    return jnp.where(known | jnp.isnan(square), square, undefined)  # NaN: a bar is missing


ESTIMATORS = {"roll": roll, "corwin_schultz": corwin_schultz, "abdi_ranaldo": abdi_ranaldo, "edge": edge}


def mid_range(high: Prices, low: Prices, price: Prices) -> Prices:
    """Mean of log high and log low, less log price."""
    return 0.5 * (log_ratio(high, price) + log_ratio(low, price))
