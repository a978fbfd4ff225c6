"""Mappings that people wrote (config files, flags, options of a module) against the fields that there are.

Whatever does not fit is a `ConfigError` that names where it is and what would be right.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from fxtrade.core.errors import ConfigError


def to_dict(config: Any) -> dict:
    """Plain dicts, tuples and scalars of a config dataclass."""
    return {
        f.name: to_dict(v) if dataclasses.is_dataclass(v := getattr(config, f.name)) else _plain(v)
        for f in dataclasses.fields(config)
    }


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` and the list of what exists, for an error message about an unknown name."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, 1, 0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{hint} (known: {', '.join(valid) or 'none'})"


def check_options(known: Iterable[str], given: Mapping[str, Any], where: str) -> None:
    """Raises ConfigError for the first given option that is not known."""
    for key in given:
        if key not in known:
            raise ConfigError(f"{where} has no option '{key}'{nearest(key, known)}")


def check_like(default: Any, value: Any, where: str) -> None:
    """Raises ConfigError unless value is of the kind of default; lists are not empty, whole numbers at least 1."""
    kind = type(default)
    if kind is tuple:
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{where} must be a list such as {default}, got {value!r}")
        for item in value:
            check_like(default[0], item, where)
    elif type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{where} must be {kind.__name__}, got {value!r}")
    elif kind is int and value < 1:
        raise ConfigError(f"{where} must be at least 1, got {value}")


def build(cls, values, path: str):
    """The dataclass of nested mappings, whose types it checks; `path` stands in front of the keys in errors."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must be a group of keys, got {values!r}")
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{path} has no key '{key}'{nearest(key, hints)}")
    return cls(**{key: _convert(hints[key], v, f"{path}.{key}") for key, v in values.items()})


def _convert(hint, value, path: str):
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise ConfigError(f"{path} must be a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is not None:  # Mapping[str, ...]: free options, checked by the room that owns them
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} must be a group of keys, got {value!r}")
        item = typing.get_args(hint)[1]
        return types.MappingProxyType(
            {k: _plain(v) if item is Any else _convert(item, v, f"{path}.{k}") for k, v in value.items()}
        )
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{path} must be {hint.__name__}, got {value!r} ({type(value).__name__})")
    return value


def _plain(value):
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return tuple(_plain(v) for v in value) if isinstance(value, (list, tuple)) else value
