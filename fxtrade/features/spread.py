"""Bid-ask spreads estimated from the open, high, low and close of bars.

Every estimator maps four prices `[window - 1 + T, A]` to `[T, A]`, the squared relative spread over each window (0.0001
is a spread of 1 %). It is negative where the prices show the opposite of a bounce, as they do by chance: cutting that
off at zero biases a mean of spreads upwards (a true spread of 1 % becomes 1.7 % by Corwin & Schultz). `root` is the
spread itself with that sign. The market never closes, so that no gap overnight is adjusted for.

NaN: a window is undefined if a bar is missing in it.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import jax.numpy as jnp

from fxtrade.core import sums
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import nearest
from fxtrade.core.stream import Kernels
from fxtrade.core.types import Array, Bars

LIMIT = 2.0  # of the share of the variance: beyond it the bars do not come from one market
FLOOR = 0.01  # of the same share in a logarithm
SMALLEST = 1e-14  # squared spread of a price that does not move: smaller moves are rounding


def spread_estimate(
    k: Kernels,
    bars: Bars,
    *,
    estimators: tuple[str, ...] = ("roll", "corwin_schultz", "abdi_ranaldo", "edge"),
    window: int = 128,
    unit: str = "share",
    zero_negatives: bool = False,
) -> dict[str, Array]:
    """The spread S by each estimator over `window` bars; 0 where nothing was traded at two prices.

    unit "share": S^2/2 with its sign over the mean squared return of a bar, within +-`LIMIT`: which share of the
    variance is bounce (Roll 1984); "log": log S, with S^2/2 at least `FLOOR` times the mean squared return.
    `zero_negatives` concerns Corwin & Schultz alone.
    """
    for name in estimators:
        if name not in ESTIMATORS:
            raise ConfigError(f"feature 'spread_estimate' has no estimator '{name}'{nearest(name, ESTIMATORS)}")
    if unit not in ("share", "log"):
        raise ConfigError(f"feature 'spread_estimate' has no unit '{unit}'{nearest(unit, ('share', 'log'))}")
    if window < 4:
        raise ConfigError(f"feature 'spread_estimate': window must be at least 4, got {window}")
    prices = [k.past(x, window - 1) for x in (bars.open, bars.high, bars.low, bars.close)]
    variance = sums.windowed(log_ratio(prices[3][1:], prices[3][:-1]) ** 2, window - 1) / (window - 1)
    columns = {}
    for name in estimators:
        options = {"corwin_schultz": {"zero_negatives": zero_negatives}, "edge": {"undefined": 0.0}}.get(name, {})
        square = ESTIMATORS[name](*prices, window, **options)
        share = jnp.where(variance > 0, square / jnp.where(variance > 0, 2 * variance, 1), 0 * (square + variance))
        columns[f"spread_{name}_{window}"] = jnp.clip(share, -LIMIT, LIMIT)
        if unit == "log":
            least = jnp.maximum(2 * FLOOR * variance, SMALLEST)
            columns[f"spread_{name}_{window}"] = 0.5 * jnp.log(jnp.maximum(square, least))
    return columns


def root(square: Array) -> Array:
    """Square root with the sign of its argument."""
    return jnp.sign(square) * jnp.sqrt(jnp.abs(square))


def roll(open: Array, high: Array, low: Array, close: Array, window: int) -> Array:
    """-4 cov(r_t, r_{t-1}) of the log returns of closes (Roll 1984)."""
    r = log_ratio(close[1:], close[:-1])
    product, now, past = sums.stacked([r[1:] * r[:-1], r[1:], r[:-1]], window - 2) / (window - 2)
    return -4 * (product - now * past)


def corwin_schultz(
    open: Array, high: Array, low: Array, close: Array, window: int, zero_negatives: bool = False
) -> Array:
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
    mean = sums.windowed(pair, window - 1) / (window - 1)
    return mean * jnp.abs(mean)


def abdi_ranaldo(open: Array, high: Array, low: Array, close: Array, window: int) -> Array:
    """4 mean of (c_{t-1} - m_{t-1}) (c_{t-1} - m_t), c log close and m log mid-range (Abdi & Ranaldo 2017)."""
    then, now = middle(high[:-1], low[:-1], close[:-1]), middle(high[1:], low[1:], close[:-1])
    return 4 * sums.windowed(then * now, window - 1) / (window - 1)


def edge(open: Array, high: Array, low: Array, close: Array, window: int, undefined: float = float("nan")) -> Array:
    """EDGE: combines moments of open, close and mid-range by their variances (Ardia, Guidotti & Kroencke 2024).

    As `bidask.edge_rolling`. `undefined` is said of a window in which less than two bars moved, or all opens or all
    closes are both high and low of their bar.
    """
    o, h, l, c1, h1, l1 = open[1:], high[1:], low[1:], close[:-1], high[:-1], low[:-1]  # noqa: E741
    r1, r2, r3, r4, r5 = middle(h, l, o), -middle(h1, l1, o), middle(h, l, c1), -middle(h1, l1, c1), log_ratio(o, c1)
    moved = ((h != l) | (l != c1)).astype(o.dtype)
    within = moved * ((o != h).astype(o.dtype) + (o != l)), moved * ((c1 != h1).astype(o.dtype) + (c1 != l1))
    first, second = (r1 * r2, moved * r2, r3 * r4, moved * r4), (r1 * r5, moved * r5, r5 * r4, moved * r4)
    series = [moved, *within, r1, r3, r5, *first, *second]
    series += [x * y for terms in (first, second) for x, y in combinations_with_replacement(terms, 2)]
    tau, open_within, close_within, *means = sums.stacked(series, window - 1) / (window - 1)
    known = (tau > 1.5 / (window - 1)) & (open_within > 0) & (close_within > 0)
    tau, open_within, close_within = (jnp.where(known, x, 1) for x in (tau, open_within, close_within))
    mean1, mean3, mean5 = (x / tau for x in means[:3])
    a, b = -4 / open_within, -4 / close_within

    def moments(weights: tuple[Array, ...], means: list[Array], products: list[Array]) -> tuple[Array, Array]:
        """Mean and variance of the weighted sum of four terms."""
        mean = sum(w * x for w, x in zip(weights, means, strict=True))
        pairs = combinations_with_replacement(range(4), 2)
        square = sum((1 + (i < j)) * weights[i] * weights[j] * x for (i, j), x in zip(pairs, products, strict=True))
        return mean, square - mean**2

    e1, v1 = moments((a, -a * mean1, b, -b * mean3), means[3:7], means[11:21])
    e2, v2 = moments((a, -a * mean1, b, -b * mean5), means[7:11], means[21:31])
    total = v1 + v2
    share = jnp.where(total > 0, v2 / jnp.where(total > 0, total, 1), 0.5)
    square = share * e1 + (1 - share) * e2
    return jnp.where(known | jnp.isnan(square), square, undefined)  # NaN: a bar is missing


ESTIMATORS = {"roll": roll, "corwin_schultz": corwin_schultz, "abdi_ranaldo": abdi_ranaldo, "edge": edge}


def log_ratio(x: Array, y: Array) -> Array:
    """log(x / y) from the difference, exact where both are near."""
    return jnp.log1p((x - y) / y)


def middle(high: Array, low: Array, price: Array) -> Array:
    """Mean of log high and log low, from log price."""
    return 0.5 * (log_ratio(high, price) + log_ratio(low, price))
