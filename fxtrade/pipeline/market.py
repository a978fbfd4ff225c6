"""The market of a config: costs, margin, limits of orders and carry, of all assets or of each its own.

A term that is the same for all assets is a scalar of the market; one that differs is an array `[A]`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fxtrade.core.errors import ConfigError
from fxtrade.core.market_types import Carry, Margin, Market, OrderLimits
from fxtrade.core.registry import check_names
from fxtrade.core.trade_config import TradeConfig
from fxtrade.core.types import PerAsset
from fxtrade.market import carry, costs, fees

ByAsset = Mapping[str, TradeConfig]  # the config of each asset by symbol, or one for all


def build_market(config: TradeConfig, interval: int | None = None, symbols: Sequence[str] | None = None) -> Market:
    """Return the market.

    Args:
        interval: of the bars in ns, `Panel.interval`, in which annual rates of carry are paid.
        symbols: of the assets, `Panel.symbols`; only `config.assets` needs them.

    Raises:
        ConfigError: an unknown cost, fee schedule or symbol, options that do not fit, a term that only some assets
            have, annual rates without an interval, or terms by asset without symbols.
    """
    by_asset, market, interest = {"": config}, build_costs(config), config.carry.interest
    if config.assets:
        if symbols is None:
            raise ConfigError("config.trade.assets: terms by asset need the symbols of the bars; give Panel.symbols")
        for key in config.assets:
            if not fnmatch.filter(symbols, key):
                check_names([key], symbols, "config.trade.assets: there is no symbol")
        by_asset = {symbol: config.of_asset(symbol) for symbol in symbols}
        market = _costs_by_asset(market, by_asset)
    if _have("margin.initial", {symbol: own.margin.initial for symbol, own in by_asset.items()}):
        margin = Margin(*_terms("margin", Margin._fields, by_asset))
        if not np.any(margin.maintenance):
            margin = margin._replace(maintenance=None)
        market = market._replace(margin=margin)
    limits = OrderLimits(*_terms("limits", OrderLimits._fields, by_asset))
    if any(limit is not None for limit in limits):
        market = market._replace(limits=limits)
    if interest is not None or any(own.carry.borrow is not None for own in by_asset.values()):
        if interval is None:
            raise ConfigError("config.trade.carry: annual rates need the interval of the bars; give Panel.interval")
        borrow, derivative = (
            _term(name, {symbol: getattr(own.carry, name) or 0.0 for symbol, own in by_asset.items()})
            for name in ("borrow", "derivative")
        )
        borrow, interest = (carry.per_bar(rate, interval) for rate in (borrow, np.float64(interest or 0.0)))
        market = market._replace(carry=Carry(borrow, interest, derivative))
    return market


def build_costs(config: TradeConfig, where: str = "config.trade") -> Market:
    """Return the market with its costs alone, which need no bars; those of all assets, without `config.assets`.

    Args:
        where: the key of the config, for error messages.
    """
    options, schedule = dict(config.costs), None
    if config.fee_schedule is not None:
        check_names([config.fee_schedule], fees.SCHEDULES, f"{where}.fee_schedule: there is no schedule")
        schedule = fees.SCHEDULES[config.fee_schedule]
        options.pop("fee", None)
        options["tiered_fee"] = {}
    elif "tiered_fee" in options:
        raise ConfigError(f"{where}.costs: tiered_fee needs {where}.fee_schedule, such as 'binance_spot'")
    return costs.build(options, config.latency, f"{where}.costs", schedule)


def _costs_by_asset(market: Market, by_asset: ByAsset) -> Market:
    """Return the market with the costs and the fee schedule of each asset."""
    made = {symbol: build_costs(own, f"config.trade.assets.{symbol}") for symbol, own in by_asset.items()}
    schedules = [own.fees for own in made.values() if own.fees is not None]
    if _have("fee_schedule", {symbol: own.fees for symbol, own in made.items()}):
        same = all(schedule is schedules[0] for schedule in schedules)
        market = market._replace(fees=schedules[0] if same else fees.per_asset(schedules))
    charged = {}
    for name in dict.fromkeys(name for own in made.values() for name in own.costs):
        options = {symbol: own.costs.get(name) for symbol, own in made.items()}
        _have(f"costs.{name}", options)
        keys = dict.fromkeys(key for given in options.values() for key in given or ())
        charged[name] = {
            key: _term(f"costs.{name}.{key}", {symbol: (given or {}).get(key) for symbol, given in options.items()})
            for key in keys
        }
    return market._replace(costs=charged)


def _terms(group: str, names: Sequence[str], by_asset: ByAsset) -> list[Any]:
    """Return the terms of a group of the config, in the order of their names."""
    groups = {symbol: getattr(own, group) for symbol, own in by_asset.items()}
    return [_term(f"{group}.{name}", {symbol: getattr(own, name) for symbol, own in groups.items()}) for name in names]


def _term(key: str, values: Mapping[str, PerAsset | None]) -> Any:
    """Return a term of the market: a scalar where all assets have the same, else `[A]`; None where no asset has one."""
    if not _have(key, values):
        return None
    numbers = np.array([*values.values()], np.float64)
    return numbers[0] if (numbers == numbers[0]).all() else numbers


def _have(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether the assets have a value. Raises ConfigError if only some have one."""
    missing = [symbol for symbol, value in values.items() if value is None]
    if missing and len(missing) < len(values):
        raise ConfigError(
            f"config.trade.{key}: {missing[0]} has none, but other assets have; give config.trade.{key}, which is that "
            f"of all assets without their own, or config.trade.assets.{missing[0]}.{key}"
        )
    return not missing
