"""The choices of an execution policy, which configs name, too; apart from the types of arrays, which need JAX."""

from __future__ import annotations

from typing import Literal

ZeroVolume = Literal["wait", "fill"]
Delisted = Literal["mark", "close", "haircut", "zero"]
Path = Literal["pessimistic", "optimistic", "nearest", "random"]
ExitsFrom = Literal["fill", "next_bar"]
