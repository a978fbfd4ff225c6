"""Portfolios of rules: trends, carry, allocations and forecasts as sleeves of one account, blended by risk.

    python scripts/portfolio.py --config configs/portfolio.py                          # trends, on the simulated market
    python scripts/portfolio.py --config configs/portfolio.py:trend --config.data.path=data/bars_1d
    python scripts/portfolio.py --config configs/portfolio.py:carry --config.data.path=data/bars_1h \
        --config.data.perpetuals=data/perp_1h --config.trade.funding.path=data/funding
    python scripts/portfolio.py --config configs/portfolio.py:forecast --config.run=results/<run>

Variants: trend (long or flat), trend_short (long or short, for perpetuals), universe (trends of the 30 coins that are
traded most), carry, forecast, allocation, all. Each aims at 20 % volatility a year, with drawdown control, 10 basis
points a side, and a tear sheet beside equal weights under the same rules. No parameter is fitted to the bars: windows
are a ladder, and sleeves have equal shares of the risk. `docs/portfolio.md` says more.
"""

from typing import Any

from fxtrade.core.config import DataConfig
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.portfolio_config import BlendConfig, PortfolioConfig, SleeveConfig
from fxtrade.core.registry import check_names
from fxtrade.core.trade_config import RuleConfig, TradeConfig

BY_VOLATILITY = RuleConfig("volatility_target", {"annual_volatility": 0.5})
LIQUID = RuleConfig("liquid_universe", {"size": 30, "window": 30, "every": 30, "min_bars": 60})
PERPETUALS = {  # a margin account for the contracts, whose collateral is its cash and the coins
    "*_PERP": {
        "margin": {"initial": 0.1, "maintenance": 0.05, "fee_bps": 50.0},
        "carry": {"derivative": True},
    }
}


def get_config(variant: str = "trend"):
    check_names([variant], VARIANTS, "configs/portfolio.py: there is no variant")
    config = to_config_dict(VARIANTS[variant]())
    config.name = f"portfolio-{variant.replace('_', '-')}"
    return config


def trends(allow_short: bool, *after: RuleConfig, symbols: tuple[str, ...] | None = None) -> dict[str, SleeveConfig]:
    """Return momentum over one to eight months and breakouts of one to five, each scaled by the asset's volatility."""
    options = {"weight": 0.125, "allow_short": allow_short}
    rules = {f"momentum_{k}": RuleConfig("momentum", {"lookback": k, **options}) for k in (30, 60, 120, 240)}
    for k in (20, 55, 150):
        rules[f"donchian_{k}"] = RuleConfig("donchian", {"window": k, "exit_window": k // 2, **options})
    return {name: SleeveConfig((rule, BY_VOLATILITY, *after), symbols=symbols) for name, rule in rules.items()}


def carry(bars_a_day: float, budget: float = 1.0) -> dict[str, SleeveConfig]:
    """Return coins against their perpetuals, held while funding pays for the round trip."""
    options = {"halflife": 7.0 * bars_a_day, "holding_bars": 30.0 * bars_a_day}
    return {"carry": SleeveConfig((RuleConfig("funding_carry", options),), budget)}


def allocations(budget: float = 1.0, symbols: tuple[str, ...] | None = None) -> dict[str, SleeveConfig]:
    """Return three allocations by the covariance of the last 90 bars, every 30 bars."""
    return {
        name: SleeveConfig((RuleConfig("allocation", {"method": name, "window": 90, "every": 30}),), budget, symbols)
        for name in ("hrp", "inverse_variance", "minimum_variance")
    }


def account(*rules: RuleConfig, width: float = 0.01, **terms: Any) -> TradeConfig:
    """Return the terms of the account: a limit of volatility and of the drawdown, and a buffer against small trades."""
    own = (
        RuleConfig("portfolio_volatility", {"annual_volatility": 0.2, "max_gross_exposure": 1.5, "max_scale": 2.0}),
        RuleConfig("drawdown_scaling", {"max_drawdown": 0.3}),
        RuleConfig("buffer", {"width": width}),
    )
    return TradeConfig(rules=rules or own, costs={"fee": {"rate_bps": 10.0}}, **terms)


def simulated(interval: str = "1d", perpetuals: bool = False) -> DataConfig:
    """Return a simulated market without an edge."""
    hourly = interval == "1h"
    size, volatility = (8_760, 0.006) if hourly else (1_500, 0.03)
    return DataConfig(
        synth={"bars": size, "interval": interval, "volatility": volatility, "edge": 0.0, "perpetuals": perpetuals}
    )


def make_trend() -> PortfolioConfig:
    return PortfolioConfig(data=simulated(), sleeves=trends(allow_short=False), trade=account())


def make_trend_short() -> PortfolioConfig:
    return PortfolioConfig(data=simulated(), sleeves=trends(allow_short=True), trade=account())


def make_universe() -> PortfolioConfig:
    equal = RuleConfig("allocation", {"method": "equal"}), LIQUID, RuleConfig("fixed_weight", {"weight": 1 / 30})
    terms = account(width=0.003, delisted="haircut")
    return PortfolioConfig(data=simulated(), sleeves=trends(False, LIQUID), benchmark=equal, trade=terms)


def make_carry() -> PortfolioConfig:
    rules = RuleConfig("cap", {"max_weight": 0.25, "max_gross_exposure": 1.5}), RuleConfig("buffer", {"width": 0.02})
    terms = account(*rules, margin={"initial": 0.0, "maintenance": 0.0}, assets=PERPETUALS)
    # a hedged pair hardly moves: its size is that of the rule, and not scaled to a volatility
    blend = BlendConfig(max_scale=1.0)
    return PortfolioConfig(data=simulated("1h", True), sleeves=carry(24), blend=blend, trade=terms)


def make_forecast() -> PortfolioConfig:
    own = SleeveConfig((RuleConfig("proportional"), RuleConfig("volatility_target", {"annual_volatility": 0.5})))
    rules = account().rules or ()
    gate = RuleConfig("cost_gate", {"margin": 1.0})
    return PortfolioConfig(sleeves={"forecast": own}, trade=account(gate, *rules))


def make_allocation() -> PortfolioConfig:
    return PortfolioConfig(data=simulated(), sleeves=allocations(), trade=account())


def make_all() -> PortfolioConfig:
    """Trends of the perpetuals, carry, and allocations of the coins, a third of the risk each."""
    sleeves = trends(True, symbols=("*_PERP",)) | carry(1, 7.0) | allocations(7 / 3, ("!*_PERP",))
    terms = account(margin={"initial": 0.0, "maintenance": 0.0}, assets=PERPETUALS)
    return PortfolioConfig(data=simulated(perpetuals=True), sleeves=sleeves, trade=terms)


VARIANTS = {
    "trend": make_trend,
    "trend_short": make_trend_short,
    "universe": make_universe,
    "carry": make_carry,
    "forecast": make_forecast,
    "allocation": make_allocation,
    "all": make_all,
}
