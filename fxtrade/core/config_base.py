"""The base of all config dataclasses: it converts every value to its annotated type, or says what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fxtrade.core.registry import convert, option_types

Options = Mapping[str, Any]  # of a registry entry; `registry.build` checks them


def empty() -> Any:
    """Return a dataclass field for a mapping, empty by default and not part of the hash."""
    return dataclasses.field(default_factory=dict, hash=False)


class Config:
    """Base of config dataclasses: converts every field to its annotated type, or raises ConfigError naming it."""

    def __post_init__(self):
        for key, hint in option_types(type(self)).items():
            object.__setattr__(self, key, convert(hint, getattr(self, key), key))
