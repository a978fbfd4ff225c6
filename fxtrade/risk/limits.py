"""Rules that keep targets within limits: of weights, of their sums, and to whole lots."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from fxtrade.core.errors import ConfigError
from fxtrade.core.order_types import Order
from fxtrade.core.registry import Interval
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Number, PerAsset
from fxtrade.risk.holding import require_account
from fxtrade.risk.signals import as_real, check_range

ROUNDING = 1e-9  # of a lot: so much less than a whole lot is a whole one


def cap(*, max_weight: PerAsset = 0.25, max_gross_exposure: Number = 1.0, max_net_exposure: Number = 1.0) -> Rule:
    """Limit the absolute weight of each asset, then the sum of absolute weights, then the absolute sum of weights.

    Single weights are cut, a gross exposure scales all weights, a net exposure those of the heavier side. NaN counts
    as 0 and stays NaN.

    Args:
        max_weight: largest absolute weight, 0.25 is 25 % of the equity.
        max_gross_exposure: largest sum of absolute weights.
        max_net_exposure: largest absolute sum of weights.

    Raises:
        ConfigError: a limit is negative.
    """
    check_range("cap: max_weight", max_weight, Interval(ge=0))
    check_range("cap: max_gross_exposure", max_gross_exposure, Interval(ge=0))
    check_range("cap: max_net_exposure", max_net_exposure, Interval(ge=0))

    def update(target, state, obs, account):
        wanted = as_real(target)
        weight = jnp.clip(wanted, -as_real(max_weight), as_real(max_weight))
        long, short = (jnp.nansum(jnp.maximum(side * weight, 0)) for side in (1, -1))
        gross = long + short
        factor = jnp.minimum(1, as_real(max_gross_exposure) / jnp.where(gross > 0, gross, 1))
        long, short = factor * long, factor * short
        limit = jnp.minimum(long, short) + as_real(max_net_exposure)
        heavier = jnp.maximum(long, short)
        on_heavier = jnp.where(long > short, weight > 0, weight < 0)
        factor = jnp.where(on_heavier & (heavier > limit), factor * limit / jnp.where(heavier > 0, heavier, 1), factor)
        return (weight * factor).astype(target.dtype), state

    return Rule(lambda obs: (), update)


def whole_lots(*, lot: PerAsset = 1.0, rounding: Literal["down", "nearest"] = "down") -> Rule:
    """Hold whole lots: the target becomes an order for units, a multiple of `lot` at the prices of the close.

    A weight alone could not say so, since the units that it means change until the order fills. The target becomes an
    `Order`, so this is the last rule of a chain. Without equity, and before the first price, nothing is held.

    Args:
        lot: smallest number of units that is traded, such as 0.001 coins. `capital` is in the currency of the prices.
        rounding: "down", towards 0; or to the "nearest" number of lots, which may exceed the target by half a lot.

    Raises:
        ConfigError: `lot` is not positive, or `rounding` is another word.
    """
    check_range("whole_lots: lot", lot, Interval(gt=0))
    if rounding not in ("down", "nearest"):
        raise ConfigError(f"whole_lots: rounding={rounding!r}; give 'down' or 'nearest'")

    def update(target, state, obs, account):
        account = require_account("whole_lots", account)
        units, mark = as_real(account.units), as_real(account.mark)
        equity = as_real(account.cash) + jnp.sum(units * mark)
        lots = as_real(target) * jnp.maximum(equity, 0) / (mark * as_real(lot))
        size = jnp.abs(lots) + ROUNDING
        whole = jnp.round(size) if rounding == "nearest" else jnp.floor(size)
        return Order(
            jnp.full_like(target, jnp.nan), (jnp.sign(lots) * whole * as_real(lot)).astype(target.dtype)
        ), state

    return Rule(lambda obs: (), update)
