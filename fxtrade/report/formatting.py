"""Numbers as text. A missing number (None, NaN or infinite) is an en dash; what rounds to zero has no sign."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeGuard

from fxtrade.core.config_base import Options
from fxtrade.core.errors import DataError
from fxtrade.core.text import plural
from fxtrade.data.times import UNITS, parse_interval
from fxtrade.evaluate.results import Estimate, PairedTest

DASH = "–"
MANIFOLD = 999  # return from which on a factor is shown
NAMES = {"ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day"}  # of `UNITS`


def known(x: float | None) -> TypeGuard[float]:
    """Return whether a number is finite: not None, NaN or infinite."""
    return x is not None and math.isfinite(x)


def missing(x: float | None) -> bool:
    """Return the opposite of `known`."""
    return not known(x)


def percent(x: float | None, digits: int = 1) -> str:
    """Format a share as "59.7 %"."""
    return f"{100 * x:z,.{digits}f} %" if known(x) else DASH


def gain(x: float | None) -> str:
    """Format a return as "+18.3 %", "+2,700 %" or, from a thousandfold on, as the factor "x 39,900"."""
    return f"x {float(f'{1 + x:.3g}'):,.0f}" if known(x) and x >= MANIFOLD else signed_percent(x, 1)


def signed_percent(x: float | None, digits: int) -> str:
    """Format a profit or a return as "+18.3 %"; from 100 % on without digits after the point."""
    return f"{_signed(100 * x, 0 if abs(x) >= 1 else digits)} %" if known(x) else DASH


def _signed(x: float, digits: int) -> str:
    text = f"{x:+,.{digits}f}"
    return text if text.strip("+-0.") else text[1:]


def number(x: float | None) -> str:
    """Format with about three significant digits: 0.052, 8.63, 46.6, 275."""
    if x is None or missing(x):
        return DASH
    size = abs(x)
    return f"{x:z,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3}f}"


def fixed(x: float | None, digits: int) -> str:
    """Format with so many digits after the point."""
    return f"{x:z,.{digits}f}" if known(x) else DASH


def count(x: float | None) -> str:
    """Format without digits after the point."""
    return fixed(x, 0)


def probability(x: float | None) -> str:
    """Format a probability in percent, never as 0 or 100 %, because it is an estimate."""
    if x is None or missing(x):
        return DASH
    return "> 99.9 %" if x > 0.999 else "< 0.1 %" if x < 0.001 else percent(x)


def duration(seconds: float | None) -> str:
    """Format as "45 s", "3 min 5 s" or "2 h 10 min"."""
    if seconds is None or missing(seconds):
        return DASH
    minutes, hours = divmod(round(seconds), 60), divmod(round(seconds / 60), 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes[0]} min {minutes[1]} s" if minutes[0] < 120 else f"{hours[0]} h {hours[1]} min"


def with_times(text: str, interval: str) -> str:
    """Add to each number of bars in a text the time that they take: "16 bars (4 hours)".

    The text is returned unchanged if the interval is the median of an irregular clock.
    """
    try:
        bar = parse_interval(interval)
    except DataError:
        return text

    def replacement(found: re.Match[str]) -> str:
        bars = int(found[1].replace(",", ""))
        return f"{plural(bars, 'bar')} ({_time(bars * bar)})"

    return re.sub(r"\b(\d[\d,]*) bars?\b", replacement, text)


def _time(ns: int) -> str:
    """Format a time in the largest unit of which it is two or more, or one exactly."""
    unit = next((u for u in reversed(NAMES) if ns == UNITS[u] or ns >= 2 * UNITS[u]), "ms")
    size = f"{ns / UNITS[unit]:,.3g}" if ns < 1000 * UNITS[unit] else f"{ns / UNITS[unit]:,.0f}"
    return f"{size} {NAMES[unit]}{'' if size == '1' else 's'}"


def describe_costs(costs: Mapping[str, Options], fee_schedule: str | None = None) -> str:
    """Format the costs of a trade as "10 bps of fee and 1 bps of half-spread".

    Args:
        fee_schedule: name of the one that takes the place of the fee.
    """
    texts = [f"fees of {fee_schedule}"] if fee_schedule else []
    for name, options in costs.items():
        if fee_schedule and name in ("fee", "tiered_fee"):
            continue
        rate = f"{options['rate_bps']:g} bps of " if "rate_bps" in options else ""
        others = {key: value for key, value in options.items() if key != "rate_bps"}
        texts.append(rate + describe_options(name.replace("_", "-"), others))
    *first, last = texts or ["no costs"]
    return f"{', '.join(first)} and {last}" if first else last


def describe_options(name: str, options: Options) -> str:
    """Format an entry of a registry with its options as "no_trade_band (band 0.02)"."""
    return f"{name} ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else name


def estimate(x: Estimate, digits: int, scale: float = 1) -> str:
    """Format an estimate with its interval, if it has one."""
    return interval(x.value, x.low, x.high, scale, digits)


def interval(
    value: float | None, low: float | None = None, high: float | None = None, scale: float = 100, digits: int = 1
) -> str:
    """Format a number with its interval, if it has one: "59.7 [59.0, 60.4]", in percent unless `scale` is 1."""
    if value is None or missing(value):
        return DASH
    text = f"{scale * value:z.{digits}f}"
    return f"{text} [{scale * low:z.{digits}f}, {scale * high:z.{digits}f}]" if known(low) and known(high) else text


def points(test: PairedTest | None, scale: float = 100, bracket: bool = True) -> str:
    """Format a difference in percentage points: +0.31 [-0.12, +0.74]."""
    if not test or missing(test.value):
        return DASH
    text, ends = _signed(scale * test.value, 2), (test.low, test.high)
    return f"{text} [{', '.join(_signed(scale * x, 2) for x in ends)}]" if bracket and all(map(known, ends)) else text


def nats(test: PairedTest | None) -> str:
    """Format a difference in thousandths of a nat: +0.31 [-0.12, +0.74]."""
    return points(test, 1000)


def q_value(test: PairedTest | None) -> str:
    """Format a q-value with three digits: 0.012 or "< 0.001"."""
    if not test or missing(test.q):
        return DASH
    return "< 0.001" if test.q < 0.001 else f"{test.q:.3f}"
