"""Compile training ahead of time, and refuse what would not fit into memory before it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from fxtrade.core import compat
from fxtrade.core.errors import TrainingError
from fxtrade.train.segments import Series
from fxtrade.train.step import Info, TrainState

Update = Callable[[TrainState, Series, PRNGKeyArray, int], tuple[TrainState, Info]]


def compile_ahead(update: Any) -> Update:
    """Return the jitted `update`, whose program for each number of steps is compiled and checked before it first runs.

    Raises:
        TrainingError: the program needs more memory than is free, where the backend states both.
    """
    programs: dict[int, jax.stages.Compiled] = {}

    def run(state: TrainState, series: Series, seed: PRNGKeyArray, steps: int) -> tuple[TrainState, Info]:
        if steps not in programs:
            program = update.lower(state, series, seed, steps).compile()
            check(program, series.x.shape[1])
            programs[steps] = program
        return programs[steps](state, series, seed)

    return run


def check(program: jax.stages.Compiled, symbols: int) -> None:
    """Raise TrainingError if a compiled step needs more memory than is free."""
    needed, free = compat.needed_bytes(program), compat.free_bytes()
    if needed is None or free is None or needed <= free:
        return
    raise TrainingError(
        f"a training step takes {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free; lower "
        f"train.batch or train.segment_length, or choose fewer than {symbols} symbols (data.symbols)"
    )
