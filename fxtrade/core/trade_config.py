"""The configuration of trading: from forecasts to target weights, and the terms on which the account trades them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from fxtrade.core.config_base import Config, Options, empty
from fxtrade.core.errors import ConfigError
from fxtrade.core.policy_types import Delisted, ExitsFrom, Path, ZeroVolume
from fxtrade.core.registry import (
    Fraction,
    Interval,
    Natural,
    NonNegative,
    Positive,
    Share,
    from_mapping,
    require,
    to_dict,
)

_DEFAULT_FEE = {"rate_bps": 10.0}


@dataclasses.dataclass(frozen=True)
class RuleConfig(Config):
    name: str  # a key of risk.RULES
    options: Options = empty()  # of that rule


@dataclasses.dataclass(frozen=True)
class MarginConfig(Config):
    """The margin of the account, for all its assets together; see `market_types.Margin`."""

    initial: NonNegative | None = None  # share of a position's value that opens it; None: no margin, no liquidation
    maintenance: NonNegative = 0.0  # share below which positions are liquidated
    collateral: Annotated[float, Interval(ge=0, le=1)] = 1.0  # share of a long position that backs others; 0 for coins
    fee_bps: NonNegative = 0.0  # of a liquidation, besides the usual costs

    def __post_init__(self):
        super().__post_init__()
        enough = self.initial is None or self.initial >= self.maintenance
        require(enough, "initial", self.initial, f"be at least maintenance ({self.maintenance:g})")


@dataclasses.dataclass(frozen=True)
class LimitsConfig(Config):
    """The exchange's limits of orders, for every asset; None: no such limit. See `market_types.OrderLimits`."""

    lot: Positive | None = None  # units
    tick: Positive | None = None  # of prices
    min_notional: Positive | None = None  # smallest value of a trade
    participation: Positive | None = None  # largest share of a bar's volume


@dataclasses.dataclass(frozen=True)
class CarryConfig(Config):
    """Annual rates of what holding costs, 0.05 for 5 %, paid bar by bar; None: nothing."""

    borrow: NonNegative | None = None  # of the value of short positions, unless `derivative`
    interest: NonNegative | None = None  # of borrowed money
    derivative: bool = False  # the assets are contracts such as perpetuals, neither borrowed nor financed


@dataclasses.dataclass(frozen=True)
class FundingConfig(Config):
    """Funding rates of perpetuals; see `data.funding.read`."""

    path: str | None = None  # folder of files such as BTCUSDT.parquet, or one file; None: no funding
    symbols: tuple[str, ...] | None = None  # that pay funding; None: all that have a file
    files: Mapping[str, str] = empty()  # names of files by symbol, where they differ: {"BTCUSDT_PERP": "BTCUSDT"}

    def __post_init__(self):
        super().__post_init__()
        require(not (self.symbols and self.files), "symbols", self.symbols, "be None beside files, which names them")


@dataclasses.dataclass(frozen=True)
class SpreadConfig(Config):
    """The spread that the cost "quoted_spread" charges: of order books, or estimated from the bars before."""

    estimator: Literal["book", "roll", "corwin_schultz", "abdi_ranaldo", "edge"] = "book"  # "book": the last order book
    window: Annotated[int, Interval(ge=4)] = 128  # bars


@dataclasses.dataclass(frozen=True)
class BracketConfig(Config):
    """Exits of every position, as fractions of its entry price; None: none. See `order_types.Bracket`."""

    stop: Fraction | None = None
    target: Positive | None = None
    trailing: Fraction | None = None
    break_even: Positive | None = None


@dataclasses.dataclass(frozen=True)
class AssetConfig(Config):
    """The terms of one asset that differ from those of all: keys of the groups of `TradeConfig` of the same names."""

    costs: Mapping[str, Options] = empty()
    fee_schedule: str | None = None
    margin: Options = empty()
    limits: Options = empty()
    carry: Options = empty()  # without `interest`, which is on the money of the account


@dataclasses.dataclass(frozen=True)
class TradeConfig(Config):
    """Target weights are those of the sizing, changed by each of the rules in turn."""

    sizing: RuleConfig = RuleConfig("threshold")  # of risk.SIZING, such as "proportional": p_up - p_down
    rules: tuple[RuleConfig, ...] | None = (RuleConfig("only_changes"),)
    coverage: Share = 0.1  # share of the forecasts that is traded, by a threshold of confidence from validation rows
    max_gross_exposure: NonNegative = 1.0  # largest sum of absolute weights
    allow_short: bool = True
    costs: Mapping[str, Options] = dataclasses.field(  # options by key of market.COSTS
        default_factory=lambda: {"fee": _DEFAULT_FEE, "half_spread": {"rate_bps": 1.0}}, hash=False
    )
    fee_schedule: str | None = (
        None  # a key of market.fees.SCHEDULES: fees by trailing volume, in place of the cost "fee"
    )
    capital: Positive = 1.0  # at the start, in the account's currency: it matters for `fee_schedule` and `limits`
    margin: MarginConfig = MarginConfig()
    limits: LimitsConfig = LimitsConfig()
    carry: CarryConfig = CarryConfig()
    # by symbol or by a pattern such as "*_PERP", where terms differ from asset to asset
    assets: Mapping[str, AssetConfig] = empty()
    funding: FundingConfig = FundingConfig()
    bracket: BracketConfig = BracketConfig()  # of every order
    spread: SpreadConfig = SpreadConfig()  # of the cost "quoted_spread"
    latency: Annotated[int, Interval(ge=0, lt=2**31)] = 0  # bars after the first possible fill
    zero_volume: ZeroVolume = "wait"  # orders in a bar in which nobody traded
    delisted: Delisted = "mark"  # a position without further bars: at its last price, or closed; see ExecutionPolicy
    haircut: Annotated[float, Interval(ge=0, le=1)] = 0.5  # share of the last price lost by delisted = "haircut"
    path: Path = "pessimistic"  # the order of a bar's extremes, see market.path
    seed: Natural = 0  # of the path "random"
    exits_from: ExitsFrom = "fill"  # a bracket is active from the fill on, or from the next bar

    def __post_init__(self):
        super().__post_init__()
        fee = self.costs.get("fee", _DEFAULT_FEE)
        own = {f"assets.{symbol}.fee_schedule": terms.fee_schedule for symbol, terms in self.assets.items()}
        for key, schedule in ({"fee_schedule": self.fee_schedule} | own).items():
            alone = schedule is None or dict(fee) == _DEFAULT_FEE  # which a config has that names no fee
            require(alone, "costs.fee", dict(fee), f"be left out beside {key} = {schedule!r}")
        for symbol in self.assets:
            self.of_asset(symbol)

    def of_asset(self, symbol: str) -> TradeConfig:
        """Return the config of an account that trades this asset alone.

        Its own terms are those under its symbol, or else under the first pattern that it fits.

        Raises:
            ConfigError: an unknown key (naming the nearest one), or a value that does not fit; it names the asset.
        """
        key = symbol if symbol in self.assets else next((k for k in self.assets if fnmatchcase(symbol, k)), symbol)
        own, where, groups = self.assets.get(key, AssetConfig()), f"assets.{key}", {}
        left_out = "interest" not in own.carry
        require(left_out, f"{where}.carry", dict(own.carry), "not have interest, which is on the account's money")
        for name in ("margin", "limits", "carry"):
            group = getattr(self, name)
            groups[name] = from_mapping(type(group), {**to_dict(group), **getattr(own, name)}, f"{where}.{name}")
        costs = {name: {**self.costs.get(name, {}), **options} for name, options in own.costs.items()}
        schedule = own.fee_schedule or self.fee_schedule
        if "fee" in own.costs:
            beside = f"be left out beside fee_schedule = {schedule!r}"
            require(schedule is None, f"{where}.costs.fee", dict(own.costs["fee"]), beside)
        try:
            return dataclasses.replace(self, costs={**self.costs, **costs}, fee_schedule=schedule, assets={}, **groups)
        except ConfigError as e:
            raise ConfigError(f"{where}.{e}") from None
