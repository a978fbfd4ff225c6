"""Results of evaluators: frozen dataclasses of plain Python values, NaN where there is no number.

`core.files.to_jsonable` and `core.codec.from_jsonable` write and read them as JSON.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from fxtrade.evaluate.bindings import Binding

NAN = math.nan
FALSE_DISCOVERY_RATE = 0.05  # at which reports call a paired difference significant


@dataclasses.dataclass(frozen=True)
class Span:
    """First and last row of a span (UTC, minutes), its bars, and its labels whose features are defined.

    Rows of other spans cut it into `blocks`.
    """

    start: str
    end: str
    bars: int
    labels: int
    blocks: int = 1


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """Summary of the data that were read.

    Attributes:
        spans: by name: train, valid, test.
        zero_moves: share of the test rows whose price does not move over the label's span.
        best_accuracy: of an oracle on the test rows; NaN where it is not known.
        simulated: whether the market is simulated.
        planted_edge: whether it was simulated with an edge, so that any accuracy is plausible.
    """

    source: str
    symbols: tuple[str, ...]
    interval: str
    bars: int
    columns: tuple[str, ...]
    spans: Mapping[str, Span]
    zero_moves: float
    best_accuracy: float
    simulated: bool
    planted_edge: bool


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float = NAN
    high: float = NAN


@dataclasses.dataclass(frozen=True)
class CoverageRow:
    """Accuracy of the forecasts above a confidence threshold that was fixed on the validation span.

    Attributes:
        target: share of the validation rows above the threshold.
        coverage: share of the labelled test rows above it.
        rows: their number.
    """

    target: float
    coverage: float
    accuracy: float
    low: float
    high: float
    rows: int


CoverageTable = tuple[CoverageRow, ...]  # widest coverage first


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of all forecasts of the test span; conventions in `metrics.classify`."""

    rows: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    mcc: Estimate
    brier: Estimate
    log_loss: Estimate
    ece: Estimate
    ic: Estimate
    rank_ic: Estimate


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """A paired difference with its 95 % interval, p-value and q-value."""

    value: float
    low: float
    high: float
    p: float
    q: float = NAN

    def direction(self, rate: float) -> int:
        """Return 1 or -1 if the difference is significant, by its q-value and its interval, else 0."""
        return (self.low > 0) - (self.high < 0) if self.q <= rate else 0


@dataclasses.dataclass(frozen=True)
class Differences:
    """Differences between two forecasts.

    Attributes:
        accuracy: by coverage; positive where it is higher.
        log_loss: positive where it is lower; None where a forecast has no probabilities.
    """

    accuracy: Mapping[float, PairedTest]
    log_loss: PairedTest | None


@dataclasses.dataclass(frozen=True)
class LearnedBaseline:
    """A baseline that gives probabilities, and the differences of the model from it."""

    log_loss: Estimate
    differences: Differences


@dataclasses.dataclass(frozen=True)
class CoverageCurve:
    """Accuracy of the most confident share of the test rows, ranked with hindsight."""

    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Mean confidence, accuracy and number of forecasts, by bins of equal mass."""

    confidence: tuple[float, ...]
    frequency: tuple[float, ...]
    count: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class GroupRow:
    """Accuracy in one symbol or month."""

    name: str
    rows: int
    accuracy: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ReturnScores:
    """Scores of a normal forecast of the return; conventions in `metrics.distribution`."""

    log_score: float
    inside_90: float
    rank_correlation: float  # of the forecast deviation with the size of the return


@dataclasses.dataclass(frozen=True)
class ReturnsResult:
    """Scores of a model's mean and deviation of the return, beside two forecasts without a model."""

    rows: int
    rank_ic: float  # of the forecast mean with the return
    model: ReturnScores
    trailing: ReturnScores
    constant: ReturnScores


@dataclasses.dataclass(frozen=True)
class AuxiliaryResult:
    """Results of a model's auxiliary heads; empty or None where it has none.

    Attributes:
        horizons: accuracy by further horizon of the label in bars.
    """

    horizons: Mapping[int, CoverageTable]
    returns: ReturnsResult | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EquityMetrics:
    """Metrics of an equity curve; conventions in docs/metrics.md. Ratios are of daily returns.

    Attributes:
        daily_sharpe: per day, not annualised.
    """

    total_return: float
    annual_return: float
    sharpe: Estimate
    daily_sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_days: float
    win_rate_day: float
    win_rate_week: float
    win_rate_month: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccountMetrics:
    """How much an account trades and holds, and the significance of its returns, by chance and beside a benchmark.

    Attributes:
        turnover_a_year, exposure: as in `metrics.exposure`.
        psr: probability that the true Sharpe ratio is above 0.
        dsr: the same, deflated for `trials`; NaN where the trials are not known.
        trials: number of configurations tried, this one included; 0: not known.
        alpha, alpha_t, beta: annual alpha with its t statistic (HAC errors) and beta to the benchmark, NaN without one.
    """

    turnover_a_year: float
    exposure: float
    psr: float
    dsr: float
    trials: int
    alpha: float = NAN
    alpha_t: float = NAN
    beta: float = NAN


@dataclasses.dataclass(frozen=True, kw_only=True)
class TradingSummary(EquityMetrics, AccountMetrics):
    """Metrics of one backtest. The interval of the Sharpe ratio is that of `validate.significance`.

    Attributes:
        trades, win_rate_trade: of `metrics.trades.trade_returns`, which needs no record of executions.
        cost: sum of all costs in units of the starting capital.
        delisted: positions whose asset had no more bars; `ExecutionPolicy` says what became of them.
        liquidated, cut, dropped, expired, ambiguous: numbers of events, see `trading_types.Counts`. Earlier versions
            did not write them.
    """

    win_rate_trade: float
    trades: int
    cost: float
    delisted: int
    liquidated: int = 0
    cut: int = 0
    dropped: int = 0
    expired: int = 0
    ambiguous: int = 0


@dataclasses.dataclass(frozen=True)
class PathCell:
    """The strategy under another order of the extremes within each bar, see `market.path`."""

    path: str
    total_return: float
    sharpe: float


@dataclasses.dataclass(frozen=True)
class CostCell:
    """The strategy at another fee and latency, without a spread."""

    fee_bps: float
    latency: int
    total_return: float
    sharpe: float


@dataclasses.dataclass(frozen=True)
class EquityCurve:
    """Equity at the end of each day (int64 ns, UTC), and the deepest drawdown within it."""

    time: tuple[int, ...]
    strategy: tuple[float, ...]
    strategy_drawdown: tuple[float, ...]
    buy_and_hold: tuple[float, ...]
    buy_and_hold_drawdown: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class TradingResult:
    """Backtest of a forecast over the test span, beside buy and hold.

    Attributes:
        threshold: confidence from which on a forecast is traded.
        paths: the strategy under the pessimistic and the optimistic path; empty where no order depends on the path.
            Earlier versions did not write them.
        funding: source of the funding rates, with what was left out; "" without funding.
        rules: when each rule bound; empty with no other rules than a config has by default, and of earlier versions.
    """

    threshold: float
    strategy: TradingSummary
    buy_and_hold: TradingSummary
    grid: tuple[CostCell, ...]
    curve: EquityCurve
    paths: tuple[PathCell, ...] = ()
    funding: str = ""
    rules: tuple[Binding, ...] = ()


@dataclasses.dataclass(frozen=True)
class FeatureTest:
    """The information coefficient (IC) of one column at one horizon.

    Attributes:
        low, high: 95 % interval of `ic`.
        blocks: number of blocks of the bootstrap.
        null_quantile: 95 % quantile of |IC| over the shifted columns.
        shifts: number of independent shifts.
        p_block, p_shift, p: p-values by blocks and by shifts, and the larger of the two.
        q: smallest false discovery rate at which the test is a discovery.
        discovery: whether `q` is at most the configured rate.
        periods: IC in each period; `mean`, `std`, `same_sign` and `last` are of these.
    """

    column: str
    horizon: int
    ic: float
    low: float
    high: float
    blocks: int
    null_quantile: float
    shifts: float
    p_block: float
    p_shift: float
    p: float
    q: float
    discovery: bool
    periods: tuple[float, ...]
    mean: float
    std: float
    same_sign: float
    last: float


@dataclasses.dataclass(frozen=True)
class FeatureColumn:
    """A column's cluster, whether it has the largest IC there, and its place in the plot."""

    name: str
    cluster: int
    representative: bool
    place: int
