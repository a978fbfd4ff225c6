"""Losses: `f(output, segment, *, options) -> scalar`. To add one, write it in its file and one line below."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from fxtrade.core.config import LabelConfig, LossConfig, TasksConfig, TradeConfig, check_like, check_options, nearest
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses import classify, trading
from fxtrade.losses.tasks import with_tasks

LOSSES = {
    "cross_entropy": classify.cross_entropy,
    "focal": classify.focal,
    "ordinal": classify.ordinal,
    "sharpe": trading.sharpe,
}
LIMITS = {"gamma": (0, float("inf")), "smoothing": (0, 1), "cost": (0, 1)}  # at least, below


def build(
    config: LossConfig, label: LabelConfig, trade: TradeConfig, tasks: TasksConfig | None = None
) -> Callable[[Output, Segment], Array]:
    """The loss of a config such as `name="focal", options={"gamma": 1.5}`; costs are those of `trade` if not given.

    What `tasks` wants learnt besides is added.

    Raises:
        ConfigError: an unknown loss or option, or a value that is impossible.
    """
    if config.name not in LOSSES:
        raise ConfigError(f"there is no loss '{config.name}'{nearest(config.name, LOSSES)}")
    loss = LOSSES[config.name]
    parameters = inspect.signature(loss).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    check_options(known, config.options, f"loss '{config.name}'")
    for key, value in config.options.items():
        where = f"loss '{config.name}': option {key}"
        check_like(known[key], value, where)
        least, most = LIMITS.get(key, (-float("inf"), float("inf")))
        if not least <= value < most:
            raise ConfigError(f"{where} must be at least {least} and below {most}, got {value}")
    given = {"cost": 1e-4 * (trade.fee_bps + trade.half_spread_bps), "horizon": label.horizon}
    options = {k: v for k, v in given.items() if k in known} | dict(config.options)
    return with_tasks(partial(loss, **options), tasks or TasksConfig())
