"""Exits of open positions: stop, target, trailing stop and break-even, of which one cancels the others."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from fxtrade.core.market_types import OrderLimits
from fxtrade.core.order_types import Bracket, Exits
from fxtrade.core.types import Array, PerAsset
from fxtrade.market.fills import on_tick

ROUNDING = 1e-9  # of a position: smaller changes do not add to it


class Exit(NamedTuple):
    """Positions that are closed at a quote: by the stop or by the target, and at which price."""

    stopped: Bool[Array, " A"]
    on_target: Bool[Array, " A"] | None
    price: Float[Array, " A"]

    @property
    def hit(self) -> Bool[Array, " A"]:
        return self.stopped if self.on_target is None else self.stopped | self.on_target


def init(bracket: Bracket, num_assets: int) -> Exits:
    """Return the exits of an account without positions, with the fields that orders of this bracket need."""
    none = jnp.full(num_assets, jnp.nan)

    def if_given(field):
        return None if field is None else none

    follows = bracket.break_even
    return Exits(none, if_given(bracket.target), if_given(bracket.trailing), if_given(follows), if_given(follows))


def attach(
    exits: Exits,
    bracket: Bracket,
    price: Float[Array, " A"],
    before: Float[Array, " A"],
    units: Float[Array, " A"],
    limits: OrderLimits | None = None,
) -> Exits:
    """Return the exits after orders with a bracket have changed the units from `before` to `units` at a price.

    A position that is opened or reversed gets the bracket of its order. An order that adds to a position may move its
    stop to a better price, never to a worse one, and gives it the exits that it lacks. A position that is closed has no
    exits.
    """
    side = jnp.sign(units)
    opened = (units != 0) & (side != jnp.sign(before))
    added = jnp.abs(units) - jnp.abs(before) > ROUNDING * jnp.abs(units)
    fresh = _levels(bracket, price, side, None if limits is None else limits.tick)
    stop = jnp.where(added, _better(side, exits.stop, fresh.stop), exits.stop)

    def choose(new, old):
        kept = jnp.where(added & jnp.isnan(old), new, old)
        return jnp.where(units == 0, jnp.nan, jnp.where(opened, new, kept))

    return jax.tree.map(choose, fresh, exits._replace(stop=stop))


def remove(exits: Exits, where: Bool[Array, " A"]) -> Exits:
    """Return the exits without those of some assets."""
    return jax.tree.map(lambda level: jnp.where(where, jnp.nan, level), exits)


def match(exits: Exits, units: Float[Array, " A"], start: Float[Array, " A"], price: Float[Array, " A"]) -> Exit:
    """Return which positions are closed while the price moves from `start` to `price` without turning.

    A stop is met at its price, or at `start` where the price is beyond it already; so is a target.
    """
    side = jnp.sign(units)
    stopped = (side != 0) & (side * (price - exits.stop) <= 0)
    at = jnp.where(stopped, side * jnp.minimum(side * exits.stop, side * start), price)
    if exits.target is None:
        return Exit(stopped, None, at)
    on_target = (side != 0) & ~stopped & (side * (price - exits.target) >= 0)
    return Exit(stopped, on_target, jnp.where(on_target, side * jnp.maximum(side * exits.target, side * start), at))


def first(one: Exit, other: Exit) -> Exit:
    """Return for each position the first of two exits, of which `one` comes before `other`."""
    return jax.tree.map(lambda a, b: jnp.where(one.hit, a, b), one, other)


def follow(
    exits: Exits, units: Float[Array, " A"], price: Float[Array, " A"], limits: OrderLimits | None = None
) -> Exits:
    """Return the exits after the price has reached `price`: a stop that trails follows it, or moves to break-even."""
    side, tick = jnp.sign(units), None if limits is None else limits.tick
    stop = exits.stop
    if exits.trailing is not None:
        stop = _better(side, stop, _on_tick(price * (1 - side * exits.trailing), tick, -side))
    if exits.break_even is not None and exits.entry is not None:
        reached = side * (price - exits.break_even) >= 0
        stop = _better(side, stop, jnp.where(reached, exits.entry, jnp.nan))
    return exits._replace(stop=jnp.where(side != 0, stop, exits.stop))


def _levels(bracket: Bracket, price: Float[Array, " A"], side: Float[Array, " A"], tick: PerAsset | None) -> Exits:
    def away(fraction, direction):
        return None if fraction is None else _on_tick(price * (1 + direction * fraction), tick, direction)

    none = jnp.full_like(price, jnp.nan)
    fixed, trailing = away(bracket.stop, -side), away(bracket.trailing, -side)
    stop = none if fixed is None else fixed
    if trailing is not None:
        stop = _better(side, stop, trailing)
    breaks = bracket.break_even is not None
    return Exits(
        stop,
        away(bracket.target, side),
        None if bracket.trailing is None else jnp.asarray(bracket.trailing),
        away(bracket.break_even, side),
        price if breaks else None,
    )


def _better(side: Float[Array, " A"], one: Float[Array, " A"], other: Float[Array, " A"]) -> Float[Array, " A"]:
    """Return the stop that closes a position at the better price; NaN is none."""
    return jnp.where(jnp.isnan(one) | (side * (other - one) > 0), other, one)


def _on_tick(price: Float[Array, " A"], tick: PerAsset | None, side: Float[Array, " A"]) -> Float[Array, " A"]:
    return price if tick is None else on_tick(price, tick, side)
