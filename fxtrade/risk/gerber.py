"""The Gerber statistic: how often two assets move together by more than a part of their volatility."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.registry import Fraction
from fxtrade.core.validity import safe_divide
from fxtrade.risk.pairwise import Matrix, Returns, pairwise
from fxtrade.risk.spectral import correlation_of, nearest_psd


def gerber(returns: Returns, *, threshold: Fraction = 0.5) -> Matrix:
    """Sample variances, and as correlations (n_UU + n_DD - n_UD - n_DU) / (n - n_NN), a robust co-movement measure.

    U, D and N are the rows in which an asset's return is at least `threshold` standard deviations (ddof 0), at most
    minus that, or neither; n are the rows in which both assets of the pair have a value (Gerber, Markowitz, Ernst,
    Miao, Javid & Sargen 2022, Journal of Portfolio Management 48). The statistic is 0 where n = n_NN, and is projected
    by `nearest_psd` if it is indefinite. It is a step function of the returns: derivatives see the variances alone.
    """
    made = pairwise(returns)
    own = jnp.diagonal(made.count)
    bound = threshold * made.scale * jnp.sqrt(jnp.maximum(own - 1, 0) / jnp.maximum(own, 1))
    seen = ~jnp.isnan(returns) & made.known[None]
    x = jnp.where(seen, returns, 0).astype(bound.dtype)
    move = jnp.where(seen & (jnp.abs(x) >= bound[None]) & (bound > 0)[None], jnp.sign(x), 0)
    neutral = (seen & (move == 0)).astype(move.dtype)
    statistic = safe_divide(move.T @ move, made.count - neutral.T @ neutral)
    return made.scaled(nearest_psd(correlation_of(statistic)))
