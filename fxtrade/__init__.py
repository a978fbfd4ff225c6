"""Deep learning on crypto markets in JAX: data, features, models, backtest and statistical validation.

    import fxtrade as fx

    panel = fx.simulate(bars=5_000, assets=2)
    made = fx.build_features(panel, {"log_return": {"horizons": (1, 5)}})
    target = np.sign(made.x[..., 0])
    print(fx.metrics.summary(fx.metrics.returns.returns_from_equity(fx.backtest(panel, target).equity), 365 * 24))

Names are imported when they are first used, so that `import fxtrade` is fast. `fxtrade.api` documents them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxtrade import bundle, features, metrics, models
    from fxtrade.api import (
        build_features,
        build_model,
        forecast,
        load_run,
        read_bars,
        read_books,
        read_funding,
        simulate,
        tear_sheet,
    )
    from fxtrade.backtest.simple import backtest
    from fxtrade.data.panel import Panel

__version__ = "0.1.0"
__all__ = [
    "Panel", "backtest", "build_features", "build_model", "bundle", "features", "forecast", "load_run", "metrics",
    "models", "read_bars", "read_books", "read_funding", "simulate", "tear_sheet",
]  # fmt: skip
_PACKAGES = ("backtest", "bundle", "features", "metrics", "models")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fxtrade' has no attribute '{name}'; it has {', '.join(__all__)}")
    if name in _PACKAGES:
        return importlib.import_module(f"fxtrade.{name}")
    return getattr(importlib.import_module("fxtrade.data.panel" if name == "Panel" else "fxtrade.api"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
