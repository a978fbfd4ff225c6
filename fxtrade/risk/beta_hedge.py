"""The rule `beta_hedge`, which adds a hedge against common factors to the targets of other rules."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Natural
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk import ew_covariance, hedge
from fxtrade.risk.ew_covariance import EwState
from fxtrade.risk.signals import as_real, known_value


class HedgeState(NamedTuple):
    """Moments of returns, and the last target of each asset before the hedge, 0 before the first."""

    moments: EwState
    target: Float[Array, " A"]


def beta_hedge(
    *,
    factors: Literal["market", "pca"] = "market",
    number: int = 1,
    hedge_with: tuple[Natural, ...] | None = (0,),
    halflife: Number = 200.0,
    min_bars: int = 50,
) -> Rule:
    """Hedge the incoming targets such that their exposure to the market or to principal components is 0.

    To the target of each instrument `hedge.hedge` adds its part; the others pass. A target of NaN counts as the last
    one before it. Where all targets are NaN, nothing is decided, and all stay NaN: the hedge follows targets, not
    prices. Betas are those of the exponentially weighted covariance of returns. Assets with fewer than `min_bars`
    returns have none: they are neither hedged nor used as instruments.

    Args:
        factors: "market", equal parts of all assets with a beta; or "pca", the first `number` principal components.
        number: of components; 1 for the market.
        hedge_with: indices of the instruments, at least as many as there are factors; None: all assets.
        halflife: bars, of volatilities and correlations.
        min_bars: returns from which on an asset has a beta.

    Raises:
        ConfigError: an impossible option; later, an index beyond the assets, or no bars.
    """
    half = known_value("beta_hedge: halflife", halflife)
    if half is not None and not half > 0:
        raise ConfigError(f"beta_hedge: halflife={halflife!r} is impossible; give a number of bars > 0")
    if number < 1 or min_bars < 1 or (factors == "market" and number != 1):
        raise ConfigError(
            f"beta_hedge: number={number!r} with factors={factors!r} and min_bars={min_bars!r}; give ints >= 1, and "
            "number=1 for the market"
        )
    if hedge_with is not None and len(set(hedge_with)) < number:
        raise ConfigError(
            f"beta_hedge: hedge_with={hedge_with!r} cannot hedge {number} factors; give as many assets, or None for all"
        )

    def init(obs: Observation) -> HedgeState:
        if obs.bars is None:
            raise ConfigError("beta_hedge: the rule reads bars; give it an Observation with `bars`")
        if hedge_with is not None and max(hedge_with) >= obs.num_assets:
            raise ConfigError(f"beta_hedge: hedge_with={hedge_with!r} is beyond the {obs.num_assets} assets")
        return HedgeState(ew_covariance.init(obs.num_assets), jnp.zeros(obs.num_assets))

    def update(target, state: HedgeState, obs: Observation, account):
        moments = ew_covariance.update(state.moments, obs, halflife, halflife)
        covariance = ew_covariance.covariance(moments, min_bars)
        loadings = hedge.market_loadings(covariance) if factors == "market" else hedge.pca_loadings(covariance, number)
        instruments = np.ones(len(target), bool) if hedge_with is None else np.isin(np.arange(len(target)), hedge_with)
        missing = jnp.isnan(target)
        wanted = jnp.where(missing, state.target, as_real(target))
        hedged = wanted + hedge.hedge(wanted, loadings, instruments)
        made = jnp.where(instruments & ~missing.all(), hedged, as_real(target))
        return made.astype(target.dtype), HedgeState(moments, wanted)

    return Rule(init, update)
