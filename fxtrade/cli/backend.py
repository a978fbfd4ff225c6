"""Start JAX for a script. It takes seconds to import, so scripts call this after all that may be wrong before."""

from __future__ import annotations


def start(every_core: bool = False) -> None:
    """Start JAX's backend with the compilation cache and small loops compiled into single kernels.

    Args:
        every_core: whether wide loops use every core of a CPU; see `compat.use_cores`.

    Raises:
        FxtradeError: it does not start, for example because a plugin or its card is missing.
    """
    from fxtrade.core import compat

    compat.compile_small_loops()
    if every_core:
        compat.use_cores()
    compat.use_compilation_cache()
    compat.start_backend()
