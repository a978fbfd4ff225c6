"""Losses: `f(output, segment, *, options) -> scalar`. To add one, write it in its file and one line below."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fxtrade.core.config import AuxiliaryConfig, LabelConfig, LossConfig, TradeConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.options import check_like, check_options, nearest
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses import classify, trading
from fxtrade.losses.auxiliary import with_auxiliary

LOSSES = {
    "cross_entropy": classify.cross_entropy,
    "focal": classify.focal,
    "ordinal": classify.ordinal,
    "sharpe": trading.sharpe,
}
LIMITS = {  # at least, below
    "gamma": (0, float("inf")),
    "smoothing": (0, 1),
    "cost": (0, 1),
    "temperature": (1e-3, float("inf")),
    "alpha": (0, 1),
}


def build(
    config: LossConfig, label: LabelConfig, trade: TradeConfig, tasks: AuxiliaryConfig | None = None
) -> Callable[[Output, Segment], Array]:
    """The loss of a config such as `name="focal", options={"gamma": 1.5}`; costs are those of `trade` if not given.

    What `tasks` wants learnt besides is added.

    Raises:
        ConfigError: an unknown loss or option, or a value that is impossible.
    """
    if config.name not in LOSSES:
        raise ConfigError(f"there is no loss '{config.name}'{nearest(config.name, LOSSES)}")
    given = {"cost": 1e-4 * (trade.fee_bps + trade.half_spread_bps), "horizon": label.horizon}
    loss = with_options(LOSSES[config.name], config.options, f"loss '{config.name}'", given)
    return with_auxiliary(loss, tasks or AuxiliaryConfig())


def with_options(loss: Callable, options: Mapping[str, Any], what: str, given: Mapping[str, Any] | None = None):
    """`loss` with these options, and with what is `given` besides if it knows it; `what` names it in messages.

    Raises:
        ConfigError: an option that it does not know, or a value that is impossible.
    """
    parameters = inspect.signature(loss).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    check_options(known, options, what)
    for key, value in options.items():
        where = f"{what}: option {key}"
        check_like(known[key], value, where)
        least, most = LIMITS.get(key, (-float("inf"), float("inf")))
        if not least <= value < most:
            raise ConfigError(f"{where} must be at least {least} and below {most}, got {value}")
    return partial(loss, **{k: v for k, v in (given or {}).items() if k in known} | dict(options))
