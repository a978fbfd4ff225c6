"""Classification losses over every labelled bar of a segment."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from fxtrade.core.types import Array, Output, Segment


def cross_entropy(output: Output, segment: Segment) -> Array:
    """Weighted mean of -log p(y), a scalar; nats.

    Args:
        output: logits `[B, T, A, K]`.
        segment: y `[B, T, A]` (any value where w is 0) and w `[B, T, A]`.

    0 where the segment has no weight at all.
    """
    y, w = jnp.clip(segment.y, 0, output.logits.shape[-1] - 1), segment.w
    loss = optax.softmax_cross_entropy_with_integer_labels(output.logits, y)
    return jnp.sum(w * loss) / jnp.maximum(jnp.sum(w), 1e-8)
