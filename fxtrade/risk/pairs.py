"""The rule `pairs`, which trades the spread between two assets that move together."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Natural
from fxtrade.core.trading_types import Observation, Rule
from fxtrade.core.types import Array, Number
from fxtrade.risk import kalman_hedge
from fxtrade.risk.kalman_hedge import Filter
from fxtrade.risk.signals import as_real, check_window, known_value


class Ring(NamedTuple):
    """The last log prices of both assets over their first, the newest last, and the number of bars so far."""

    logs: Float[Array, "window 2"]
    count: Int[Array, ""]


class PairState(NamedTuple):
    """Prices of the first bar (0 before it), the regression, which parameter sets share, and the position of one set.

    Attributes:
        side: 1: long the first asset, short the second; -1: the other way round.
        ratio: value of the second asset against 1 of the first, fixed at the entry.
        stopped: after a stop, until the spread is back.
    """

    base: Float[Array, " 2"]
    fitted: Any
    side: Float[Array, ""]
    ratio: Float[Array, ""]
    stopped: Bool[Array, ""]


def pairs(
    *,
    first: Natural = 0,
    second: Natural = 1,
    ratio: Literal["kalman", "rolling"] = "kalman",
    window: int = 200,
    drift: Number = 1e-4,
    entry: Number = 2.0,
    exit: Number = 0.5,
    stop: Number = 4.0,
    weight: Number = 1.0,
) -> Rule:
    """Trade the spread `log y - a - b log x` of two assets back to its mean (Gatev, Goetzmann & Rouwenhorst 2006).

    Where the spread is more than `entry` standard deviations z below 0 the rule buys the first asset, y, and sells the
    second, x; above it the other way round. It leaves within `exit`, and at a loss beyond `stop`, after which it waits
    until z is within `exit` again (Review of Financial Studies 19; with a Kalman filter: Elliott, van der Hoek &
    Malcolm 2005, Quantitative Finance 5). The gross weight is `weight`, in the ratio 1 : b at the entry, so that
    targets change at signals only. No position is opened with b <= 0. `cointegration.engle_granger` tests whether a
    pair has such a spread.

    Other assets keep their incoming target. Where one of the two has no bar, both targets are NaN and the state stays.

    Args:
        first, second: indices of the assets.
        ratio: a and b by a Kalman filter, z its innovation; or by least squares over the window, z its last residual.
        window: bars of the regression, or over which the filter averages its noise; before, there is no position.
        drift: standard deviation of the change of a and b in a bar, of the filter.
        entry, exit, stop: in standard deviations, exit < entry < stop; a stop of inf is none.
        weight: sum of the absolute weights.

    Raises:
        ConfigError: an option is impossible; later, an index beyond the assets, or no bars.
    """
    levels = [known_value(f"pairs: {n}", x) for n, x in (("exit", exit), ("entry", entry), ("stop", stop))]
    known = [level for level in levels if level is not None]
    if not all(low < high for low, high in zip([-math.ulp(0), *known], known, strict=False)):
        raise ConfigError(f"pairs: exit={exit!r}, entry={entry!r}, stop={stop!r}; give 0 <= exit < entry < stop")
    check_window("pairs: window", window)
    if window < 3 or first == second:
        raise ConfigError(f"pairs: window={window!r}, first={first!r}, second={second!r}; give two assets, 3 bars")
    step = known_value("pairs: drift", drift)
    if step is not None and not step >= 0:
        raise ConfigError(f"pairs: drift={drift!r} is impossible; give a number >= 0")
    legs = jnp.array([first, second])

    def init(obs: Observation) -> PairState:
        if obs.bars is None:
            raise ConfigError("pairs: the rule reads bars; give it an Observation with `bars`, not a forecast alone")
        if max(first, second) >= obs.num_assets:
            raise ConfigError(f"pairs: first={first}, second={second} is beyond the {obs.num_assets} assets")
        fresh = (
            kalman_hedge.init(np.array([0.0, 1.0]))
            if ratio == "kalman"
            else Ring(jnp.zeros((window, 2)), jnp.zeros((), jnp.int32))
        )
        zero = jnp.zeros(())
        return PairState(jnp.zeros(2), fresh, zero, zero, jnp.zeros((), bool))

    def update(target, state: PairState, obs: Observation, account):
        bars = obs.bars
        assert bars is not None, "init checks that there are bars"
        ok = bars.ok[legs].all()
        close = jnp.where(ok, as_real(bars.close[legs]), 1)
        base = jnp.where(state.base > 0, state.base, jnp.where(ok, close, 0))
        logs = jnp.log(close / jnp.where(base > 0, base, 1))
        fitted, z, slope, ready = (
            _kalman(state.fitted, logs, ok) if ratio == "kalman" else _ring(state.fitted, logs, ok)
        )
        stopped = state.stopped & (jnp.abs(z) > as_real(exit))
        out, lost = -state.side * z <= as_real(exit), -state.side * z >= as_real(stop)
        side = jnp.where(out | lost, 0, state.side)
        stopped = stopped | ((state.side != 0) & lost)
        far = (jnp.abs(z) > as_real(entry)) & (jnp.abs(z) < as_real(stop))
        enter = ready & (side == 0) & ~stopped & far & (slope > 0)
        side = jnp.where(enter, -jnp.sign(z), side)
        held = jnp.where(enter, slope, state.ratio)
        side, held, stopped = (
            jnp.where(ok, new, old) for new, old in ((side, state.side), (held, state.ratio), (stopped, state.stopped))
        )
        made = side * as_real(weight) / (1 + held) * jnp.stack([jnp.ones_like(held), -held])
        made = jnp.where(ok, made, jnp.nan).astype(target.dtype)
        return target.at[legs].set(made), PairState(base, fitted, side, held, stopped)

    def _kalman(state: Filter, logs: Array, ok: Array) -> tuple[Filter, Array, Array, Array]:
        regressors = jnp.stack([jnp.ones_like(logs[1]), logs[1]])
        ready = state.count >= window
        after, innovation = kalman_hedge.update(state, logs[0], regressors, drift, window, ok)
        return after, innovation.error / innovation.deviation, after.mean[1], ready

    def _ring(state: Ring, logs: Array, ok: Array) -> tuple[Ring, Array, Array, Array]:
        pushed = jnp.concatenate([state.logs[1:], logs[None]])
        after = Ring(jnp.where(ok, pushed, state.logs), state.count + ok.astype(jnp.int32))
        centred = after.logs - after.logs.mean(0, keepdims=True)
        variance = jnp.sum(centred[:, 1] ** 2)
        slope = jnp.sum(centred[:, 0] * centred[:, 1]) / jnp.where(variance > 0, variance, 1)
        residual = centred[:, 0] - slope * centred[:, 1]
        deviation = jnp.sqrt(jnp.sum(residual**2) / (window - 2))
        ready = (after.count >= window) & (variance > 0) & (deviation > 0)
        return after, residual[-1] / jnp.where(ready, deviation, 1), slope, ready

    return Rule(init, update)
