"""The account from bar to bar. The package is callable: `fxtrade.backtest(panel, target)` is `simple.backtest`."""

from __future__ import annotations

import sys
import types

from fxtrade.backtest.simple import backtest


class _CallablePackage(types.ModuleType):
    __call__ = staticmethod(backtest)


sys.modules[__name__].__class__ = _CallablePackage
