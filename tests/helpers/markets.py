"""Small markets for tests: clean ones, and ones with everything that goes wrong in real data."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from hypothesis import strategies as st

from fxtrade.core.types import Bars, Book

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume", "quote_volume", "trades", "taker_buy")
LEVELS = 3  # of the book
BOOK = tuple(f"{side}_{what}_{m}" for side in ("bid", "ask") for what in ("price", "size") for m in range(LEVELS))
BAD = (float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 1e-30, 1e15, 1e30, 3e38)


def bars(
    n: int, assets: int = 2, seed: int = 0, price: float = 100.0, volatility: float = 0.01, volume: float = 1000.0
) -> Bars:
    """A random walk with all columns and a book, NumPy float32. `volatility` 0 makes every price the same."""
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
    ladders = book(columns["close"], volume, np.random.default_rng([seed, 1]))
    return Bars(**columns, ok=np.ones((n, assets), bool), second_of_week=clock, book=ladders)


def book(close: np.ndarray, size: float, rng: np.random.Generator) -> Book:
    """Levels on a grid of ticks, the bids below and the asks above the close; sizes lognormal about `size` / 10."""
    tick = 2.0 ** (np.floor(np.log2(close.astype(np.float64))) - 8)  # 256 to 512 in a price
    at = close / tick
    shape = (*close.shape, LEVELS)
    away_bid, away_ask = (np.cumsum(rng.choice([1, 1, 1, 2], shape), -1) for _ in range(2))
    bid = (np.ceil(at)[..., None] - away_bid) * tick[..., None]
    ask = (np.floor(at)[..., None] + away_ask) * tick[..., None]
    sizes = (0.1 * size * np.exp(rng.standard_normal(shape)) for _ in range(2))
    return Book(*(a.astype(np.float32) for a in (bid, next(sizes), ask, next(sizes))))


def gap(market: Bars, rows, assets=slice(None)) -> Bars:
    """Without the bars of these rows and assets, as `data.bars` leaves a gap."""
    missing = np.zeros(market.ok.shape, bool)
    missing[rows, assets] = True
    values = {c: np.where(missing, np.float32(np.nan), getattr(market, c)) for c in COLUMNS}
    sides = jax.tree.map(lambda a: np.where(missing[..., None], np.float32(np.nan), a), market.book)
    return market.replace(**values, ok=market.ok & ~missing, book=sides)


def tick(market: Bars, row: int, asset: int, column: str, value: float) -> Bars:
    """With one bad value, in a column or in a level of the book such as "bid_price_0"."""
    if column in BOOK:
        name, level = column.rsplit("_", 1)
        side = getattr(market.book, name).copy()
        side[row, asset, int(level)] = value
        return market.replace(book=market.book.replace(**{name: side}))
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
    row, asset, bad = st.integers(0, until - 1), st.integers(0, assets - 1), st.sampled_from(BAD)
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
        ticks=tuple(
            draw(st.lists(st.tuples(row, asset, st.sampled_from(COLUMNS), bad), max_size=4))
            + draw(st.lists(st.tuples(row, asset, st.sampled_from(BOOK), bad), max_size=3))
        ),
    )
