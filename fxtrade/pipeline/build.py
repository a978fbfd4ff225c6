"""From a config to what is trained and what for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from fxtrade import losses, models
from fxtrade.core.config import RunConfig
from fxtrade.core.files import to_jsonable
from fxtrade.core.registry import to_dict
from fxtrade.core.types import Array, Output, Segment
from fxtrade.data.bars import format_interval
from fxtrade.pipeline.dataset import Dataset


def build_model(config: RunConfig) -> nn.Module:
    """The model, with heads for all that the config's tasks want said.

    Raises:
        ConfigError: an unknown model, or options that do not fit it.
    """
    tasks = config.auxiliary
    head_spec = models.HeadSpec(
        config.label.classes,
        returns=bool(tasks.volatility or tasks.expected_return),
        horizons=len(tasks.horizons or ()),
    )
    return models.build(config.model.name, config.model.options, head_spec)


def build_loss(config: RunConfig) -> Callable[[Output, Segment], Array]:
    """The loss. Raises ConfigError for an unknown one, or options that do not fit it."""
    return losses.build(config.loss, config.label, config.trade, config.auxiliary)


def identity(config: RunConfig, data: Dataset, fingerprint: str = "") -> dict[str, Any]:
    """What a checkpoint was trained on, JSON-like."""
    return to_jsonable(
        {
            "model": config.model.name,
            "model options": {k: str(v) for k, v in config.model.options.items()},
            "head_spec": list(build_model(config).head_spec),
            "columns": list(data.features.names),
            "symbols": list(data.panel.symbols),
            "interval": format_interval(data.panel.interval),
            "label": to_dict(config.label),
            "horizons": list(config.auxiliary.horizons or ()),
            "data fingerprint": fingerprint,
        }
    )
