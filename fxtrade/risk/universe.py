"""Which assets may be held: membership by what was known on the day."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk.signals import as_real, check_window


class UniverseState(NamedTuple):
    """Rows so far; bars of each asset so far; its last `window` volumes, in turn; and whether it is a member."""

    row: Int[Array, ""]
    count: Int[Array, " A"]
    volume: Float[Array, "window A"]
    member: Bool[Array, " A"]


def liquid_universe(*, size: Number = 50, window: int = 30, every: Number = 30, min_bars: Number = 30) -> Rule:
    """Pass the targets of the most liquid assets, as known on the day; those of all others become 0.

    Members are the `size` assets with the largest mean traded value, `quote_volume` or else close times volume, over
    the last `window` of their bars (fewer, while they have fewer). They are chosen in the rows 0, `every`, 2 `every`
    and so on, among assets that have a bar in that row and at least `min_bars` so far; of equal ones the first are
    taken. A coin that is delisted leaves at the next choice. A target of 0 sells what has left; NaN stays NaN for
    members.

    Args:
        size: number of members; may be traced, like `every` and `min_bars`.
        window: bars of the mean.
        every: rows from one choice to the next.
        min_bars: bars that a member has had.

    Raises:
        ConfigError: an option is not a whole number >= 1; later, there are no bars.
    """
    for name, option in {"size": size, "window": window, "every": every, "min_bars": min_bars}.items():
        check_window(f"liquid_universe: {name}", option)

    def init(obs):
        if obs.bars is None:
            raise ConfigError("liquid_universe: the rule reads bars; give it an Observation with `bars`")
        num = obs.num_assets
        none = jnp.zeros(num, jnp.int32)
        return UniverseState(jnp.int32(0), none, jnp.zeros((window, num)), jnp.zeros(num, bool))

    def update(target, state, obs, account):
        bars = obs.bars
        traded = as_real(bars.close) * as_real(bars.volume) if bars.quote_volume is None else as_real(bars.quote_volume)
        turn = jnp.arange(window, dtype=jnp.int32)[:, None] == (state.count % window)[None]
        volume = jnp.where(turn & bars.ok[None], traded[None], state.volume)
        count = state.count + bars.ok.astype(jnp.int32)

        def choose() -> Bool[Array, " A"]:
            mean = volume.sum(0) / jnp.clip(count, 1, window).astype(volume.dtype)
            eligible = bars.ok & (count >= jnp.asarray(min_bars).astype(jnp.int32))
            first = jnp.argsort(jnp.where(eligible, -mean, jnp.inf), stable=True)
            rank = jnp.zeros_like(count).at[first].set(jnp.arange(len(count), dtype=jnp.int32))
            return eligible & (rank < jnp.asarray(size).astype(jnp.int32))

        due = state.row % jnp.asarray(every).astype(jnp.int32) == 0
        member = lax.cond(due, choose, lambda: state.member)
        state = UniverseState(state.row + 1, count, volume, member)
        return jnp.where(member, target, 0).astype(target.dtype), state

    return Rule(init, update)
