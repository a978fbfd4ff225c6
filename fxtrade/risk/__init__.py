"""Trading rules, which choose the weights to hold.

To add a rule, write a function that makes a `Rule` of options, all with defaults, and one line below. The tests in
tests/risk run over these registries.
"""

from __future__ import annotations

from collections.abc import Callable

from fxtrade.core.trading_types import Rule
from fxtrade.risk import sizing, toward

# rules that give every asset a weight at every bar, never NaN, and those that change or leave out what others ask for
SIZING: dict[str, Callable[..., Rule]] = {
    "threshold": sizing.threshold,
    "proportional": sizing.proportional,
}
RULES: dict[str, Callable[..., Rule]] = SIZING | {
    "only_changes": toward.only_changes,
    "buy_and_hold": toward.buy_and_hold,
}
