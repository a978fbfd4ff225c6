"""Small markets for tests: clean ones, and ones with everything that goes wrong in real data."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from fxtrade.core.types import Bars

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume", "quote_volume", "trades", "taker_buy")
BAD = (float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e-30, 1e15, 1e30, 3e38)


def bars(
    n: int, assets: int = 2, seed: int = 0, price: float = 100.0, volatility: float = 0.01, volume: float = 1000.0
) -> Bars:
    """A random walk with all columns, NumPy float32. `volatility` 0 makes every price the same."""
    rng = np.random.default_rng(seed)
    moves = volatility * rng.standard_normal((n, 4, assets))
    path = np.cumsum(moves.reshape(4 * n, assets), 0).reshape(n, 4, assets) * 0.5
    inside = np.log(price) + path
    traded = volume * np.exp(0.5 * rng.standard_normal((n, assets)))
    columns = {
        "open": np.exp(inside[:, 0]),
        "high": np.exp(inside.max(1)),
        "low": np.exp(inside.min(1)),
        "close": np.exp(inside[:, 3]),
        "volume": traded,
        "quote_volume": traded * price,
        "trades": np.ceil(50 * rng.random((n, assets))),
        "taker_buy": traded * rng.random((n, assets)),
    }
    columns = {k: v.astype(np.float32) for k, v in columns.items()}
    clock = (3600 * np.arange(n) % 604_800).astype(np.int32)
    return Bars(**columns, ok=np.ones((n, assets), bool), second_of_week=clock)


def gap(market: Bars, rows, assets=slice(None)) -> Bars:
    """Without the bars of these rows and assets, as `data.bars` leaves a gap."""
    missing = np.zeros(market.ok.shape, bool)
    missing[rows, assets] = True
    values = {c: np.where(missing, np.float32(np.nan), getattr(market, c)) for c in COLUMNS}
    return market.replace(**values, ok=market.ok & ~missing)


def tick(market: Bars, row: int, asset: int, column: str, value: float) -> Bars:
    """With one bad value."""
    changed = getattr(market, column).copy()
    changed[row, asset] = value
    return market.replace(**{column: changed})


def quiet(market: Bars, silent: np.ndarray) -> Bars:
    """Without any trade in the bars where `silent [N, A]`."""
    columns = ("volume", "quote_volume", "trades", "taker_buy")
    return market.replace(**{c: np.where(silent, np.float32(0), getattr(market, c)) for c in columns})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is wrong with a market: prices of any size, constant or not, silence, gaps and bad ticks."""

    n: int
    assets: int
    seed: int
    price: float
    volatility: float
    volume: float
    silent: float  # share of bars without trades
    gaps: tuple[tuple[int, int, int], ...]  # first row, row after the last, asset
    ticks: tuple[tuple[int, int, str, float], ...]  # row, asset, column, value

    @property
    def clean(self) -> int:
        """The first row after all gaps and bad ticks."""
        return max([0, *(stop for _, stop, _ in self.gaps), *(row + 1 for row, *_ in self.ticks)])

    def bars(self) -> Bars:
        market = bars(self.n, self.assets, self.seed, self.price, self.volatility, self.volume)
        market = quiet(market, np.random.default_rng(self.seed).random(market.ok.shape) < self.silent)
        for start, stop, asset in self.gaps:
            market = gap(market, slice(start, stop), asset)
        for bad in self.ticks:
            market = tick(market, *bad)
        return market


@st.composite
def messy(draw, n: int, assets: int = 2, until: int | None = None) -> Recipe:
    """Recipes whose gaps and bad ticks lie before row `until`."""
    until = until or n
    row, asset = st.integers(0, until - 1), st.integers(0, assets - 1)
    gaps = draw(st.lists(st.tuples(row, st.integers(1, 40), asset), max_size=3))
    return Recipe(
        n,
        assets,
        seed=draw(st.integers(0, 1000)),
        price=10.0 ** draw(st.integers(-8, 6)),
        volatility=draw(st.sampled_from([0.0, 1e-5, 1e-3, 0.05])),
        volume=10.0 ** draw(st.integers(-3, 8)),
        silent=draw(st.sampled_from([0.0, 0.3, 0.8, 1.0])),
        gaps=tuple((start, min(start + size, until), which) for start, size, which in gaps),
        ticks=tuple(draw(st.lists(st.tuples(row, asset, st.sampled_from(COLUMNS), st.sampled_from(BAD)), max_size=4))),
    )
