"""Sums over full windows, of series that are made anew from a short past instead of being remembered."""

from __future__ import annotations

import jax.numpy as jnp

from fxtrade.core.types import Array


def windowed(x: Array, window: int) -> Array:
    """Sum of each `window` consecutive rows, `[window - 1 + T, ...] -> [T, ...]`; NaN where any of them is missing.

    Sums of 1, 2, 4, ... rows, each made of two of the former; those named by the binary digits of `window` are added
    up. Nothing outside a window enters it, the rounding error grows with log(window) only, and every row is added up in
    the same order: one bar and all of history give the same bits.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    rows = x.shape[0] - window + 1
    doubled, size, left, out = x, 1, window, 0.0
    while True:
        if left & size:  # the rows that are still to be added end `left` rows after the window's first
            left -= size
            out = out + doubled[left : left + rows]
        if not left:
            return out
        doubled, size = doubled[size:] + doubled[:-size], 2 * size


def stacked(series: list[Array], window: int) -> Array:
    """`windowed` of several series `[window - 1 + T, A]` at once, `[number of series, T, A]`."""
    return jnp.moveaxis(windowed(jnp.stack(series, 1), window), 1, 0)
