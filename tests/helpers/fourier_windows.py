"""Every window's transform by `numpy.fft` in float64."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import get_window


def reference(x, window, bins, taper="none", centred=False):
    """`[T - W + 1, A, bins]` and the norm of each window `[T - W + 1, A, 1]`."""
    frames = sliding_window_view(x.astype(np.float64), window, 0)
    norm = np.linalg.norm(frames, axis=-1, keepdims=True)
    if centred:
        frames = frames - frames.mean(-1, keepdims=True)
    w = get_window("hann", window) if taper == "hann" else 1
    return np.fft.rfft(frames * w, axis=-1)[..., list(bins)], norm
