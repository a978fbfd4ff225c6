"""Losses: `f(output, segment, *, options) -> scalar`. To add one, write the function and one line below."""

from __future__ import annotations

from collections.abc import Callable

from fxtrade.core import registry
from fxtrade.core.config import AuxiliaryConfig, LabelConfig, LossConfig, TradeConfig
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
    config: LossConfig, label: LabelConfig, trade: TradeConfig, auxiliary: AuxiliaryConfig | None = None
) -> Callable[[Output, Segment], Array]:
    """Return the loss of a config such as `name="focal", options={"gamma": 1.5}`, and what `auxiliary` adds to it.

    A loss that takes a cost and a horizon gets those of `trade` and `label`, unless the options say otherwise.

    Raises:
        ConfigError: an unknown loss or option, or a value that is impossible.
    """
    given = {"cost": 1e-4 * (trade.fee_bps + trade.half_spread_bps), "horizon": label.horizon}
    given = {key: value for key, value in given.items() if key not in config.options}
    loss = registry.build(LOSSES, config.name, config.options, "loss", "config.loss", **given)
    return with_auxiliary(loss, auxiliary or AuxiliaryConfig())
