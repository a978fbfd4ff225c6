"""Numbers as text. A missing number (None, NaN or infinite) is an en dash."""

from __future__ import annotations

import math

from fxtrade.evaluate.results import Estimate

DASH = "–"


def missing(x: float | None) -> bool:
    return x is None or not math.isfinite(x)


def percent(x: float | None, digits: int = 1) -> str:
    """A share as "59.7 %"."""
    return DASH if missing(x) else f"{100 * x:,.{digits}f} %"


def gain(x: float | None) -> str:
    """A return as "+18.3 %", "+531 %" or, from elevenfold on, as the factor "x 39,900"."""
    if missing(x):
        return DASH
    return f"x {float(f'{1 + x:.3g}'):,.0f}" if x >= 10 else f"{100 * x:+.{0 if x >= 1 else 1}f} %"


def number(x: float | None) -> str:
    """About three significant digits: 0.052, 8.63, 46.6, 275."""
    if missing(x):
        return DASH
    size = abs(x)
    return f"{x:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3}f}"


def fixed(x: float | None, digits: int) -> str:
    return DASH if missing(x) else f"{x:,.{digits}f}"


def count(x: float | None) -> str:
    return fixed(x, 0)


def probability(x: float | None) -> str:
    """A probability in percent, never 0 or 100 %: it is an estimate."""
    if missing(x):
        return DASH
    return "> 99.9 %" if x > 0.999 else "< 0.1 %" if x < 0.001 else percent(x)


def duration(seconds: float | None) -> str:
    if missing(seconds):
        return DASH
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes[0]} min {minutes[1]} s" if minutes[0] < 120 else f"{hours[0]} h {hours[1]} min"


def estimate(x: Estimate, digits: int, scale: float = 1) -> str:
    """An estimate with its interval, if it has one."""
    return interval(x.value, x.low, x.high, scale, digits)


def interval(
    value: float | None, low: float | None = None, high: float | None = None, scale: float = 100, digits: int = 1
) -> str:
    """A number with its interval, if it has one: "59.7 [59.0, 60.4]", in percent unless `scale` is 1."""
    if missing(value):
        return DASH
    text = f"{scale * value:.{digits}f}"
    return text if missing(low) or missing(high) else f"{text} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
