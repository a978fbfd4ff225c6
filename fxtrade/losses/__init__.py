"""Losses: `f(output, segment, *, options) -> scalar`. To add one, write the function and one line below."""

from __future__ import annotations

import math
from collections.abc import Callable

from fxtrade.core import registry
from fxtrade.core.config import AuxiliaryConfig, LabelConfig, LossConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Array, Output, Segment
from fxtrade.losses import classify, trading
from fxtrade.losses.auxiliary import with_auxiliary

LOSSES = {
    "cross_entropy": classify.cross_entropy,
    "focal": classify.focal,
    "ordinal": classify.ordinal,
    "sharpe": trading.sharpe,
}


def build(
    config: LossConfig, label: LabelConfig, cost: float, auxiliary: AuxiliaryConfig | None = None
) -> Callable[[Output, Segment], Array]:
    """Return the loss of a config such as `name="focal", options={"gamma": 1.5}`, and what `auxiliary` adds to it.

    A loss that takes a cost and a horizon gets `cost` and that of the label, unless the options say otherwise.

    Args:
        cost: of trading a value of 1; NaN if there is no such number.

    Raises:
        ConfigError: an unknown loss or option, a value that is impossible, or a loss that needs the cost without one.
    """
    given = {"cost": cost, "horizon": label.horizon}
    given = {key: value for key, value in given.items() if key not in config.options}
    loss = registry.build(LOSSES, config.name, config.options, "loss", "config.loss", **given)
    if math.isnan(loss.keywords.get("cost", 0.0)):
        raise ConfigError(
            f"config.loss: loss '{config.name}' needs the option 'cost', a share of the traded value, because "
            "config.trade.costs depend on more than that value"
        )
    return with_auxiliary(loss, auxiliary or AuxiliaryConfig())
