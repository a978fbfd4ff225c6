"""Filters of pywt as Percival & Walden write them, and their convolutions in float64."""

from __future__ import annotations

import numpy as np
import pywt


def low_high(name):
    """Percival & Walden's g and h over sqrt 2, which pywt calls reconstruction filters."""
    w = pywt.Wavelet(name)
    return np.array(w.rec_lo) / np.sqrt(2), np.array(w.rec_hi) / np.sqrt(2)


def dilated(taps, spacing):
    out = np.zeros((len(taps) - 1) * spacing + 1)
    out[::spacing] = taps
    return out


def equivalent(name, levels):
    """Filters of the details of each level, and of the smooth of the last."""
    (low, high), smooth, details = low_high(name), np.ones(1), []
    for level in range(levels):
        details.append(np.convolve(smooth, dilated(high, 2**level)))
        smooth = np.convolve(smooth, dilated(low, 2**level))
    return details, smooth


def filtered(x, taps):
    """Causal convolution of `[T, A]` in float64; NaN where the past is too short."""
    out = np.full(x.shape, np.nan)
    for a in range(x.shape[1]):
        out[len(taps) - 1 :, a] = np.convolve(x[:, a].astype(np.float64), taps, "valid")
    return out


def packet_filter(name, leaf, levels):
    """Filter of a leaf in order of frequency: h at the steps where the Gray code of the leaf has a one."""
    low, high = low_high(name)
    gray, out = leaf ^ leaf >> 1, np.ones(1)
    for level in range(levels):
        out = np.convolve(out, dilated(high if gray >> (levels - 1 - level) & 1 else low, 2**level))
    return out
