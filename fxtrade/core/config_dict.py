"""Configs as mutable `ConfigDict`s, which config files and the command line edit, and back to a frozen `RunConfig`.

`configs/*.py` build an `ml_collections.ConfigDict` from the defaults with `to_config_dict`, the command line overrides
keys, and `freeze` turns the result into a `RunConfig`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from ml_collections import ConfigDict, FieldReference

from fxtrade.core.config import RunConfig
from fxtrade.core.config_base import Config
from fxtrade.core.registry import from_mapping, option_types, require, to_dict

Group = TypeVar("Group", bound=Config)
OPTIONAL_TYPES = {int: int | None, float: float | int | None, str: str | None, tuple: tuple | list | None}  # of flags


def to_config_dict(config: Config | None = None) -> ConfigDict:
    """Return the config as a mutable `ConfigDict`, which config files edit and command-line flags override."""
    return ConfigDict(_references(config or RunConfig()))


def freeze(values: Mapping[str, Any]) -> RunConfig:
    """Return the `RunConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    config = from_mapping(RunConfig, values.to_dict() if isinstance(values, ConfigDict) else values, "config")
    require(bool(config.features), "config.features", {}, "name at least one feature")
    return config


def freeze_group(cls: type[Group], values: ConfigDict, key: str) -> Group:
    """Return one group of a config, such as `freeze_group(TradeConfig, values, "trade")`.

    Raises:
        ConfigError: as `freeze`.
    """
    return from_mapping(cls, values.to_dict()[key], f"config.{key}")


def _references(config: Config) -> dict[str, Any]:
    """Return plain values; where a key may be None, a reference that keeps the type of its other values."""
    values = to_dict(config)
    for key, hint in option_types(type(config)).items():
        first, *others = typing.get_args(hint) or (hint,)
        if dataclasses.is_dataclass(hint):
            values[key] = _references(getattr(config, key))
        elif types.NoneType in others:
            kind = typing.get_origin(first) or first
            kind = typing.get_args(first)[0] if kind is Annotated else kind
            values[key] = FieldReference(values[key], field_type=OPTIONAL_TYPES[kind])
    return values
