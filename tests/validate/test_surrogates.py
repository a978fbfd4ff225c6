"""Surrogate markets: valid bars that keep everything but the direction or the order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.data.panel import Panel
from fxtrade.labels import horizon
from fxtrade.validate import surrogates
from tests.helpers.markets import bars, gap, tick

HOUR = 3600 * 10**9
KINDS = {"random walk": surrogates.random_walk, "shuffled": lambda panel, seed: surrogates.shuffled(panel, 4, seed)}
kinds = pytest.mark.parametrize("kind", KINDS)


def panel_of(market) -> Panel:
    n = len(market.close)
    return Panel(market, HOUR * np.arange(n), ("A", "B"), HOUR, "test", np.full(market.ok.shape, 0.5))


def panel_with_gaps(n=400, seed=0) -> Panel:
    market = gap(bars(n, seed=seed), slice(50, 60), 0)
    return panel_of(gap(market, slice(100, 105)))


def parts(market):
    """Compute gap from the last close, high, low and body of every bar as logs `[N, A]`; NaN without one."""
    prices = {c: np.asarray(getattr(market, c), np.float64) for c in ("open", "high", "low", "close")}
    logs = {c: np.log(np.where(market.ok, p, np.nan)) for c, p in prices.items()}
    last = np.full(logs["close"].shape, np.nan)
    for a in range(last.shape[1]):
        before = np.nan
        for t in range(len(last)):
            last[t, a] = before
            before = logs["close"][t, a] if market.ok[t, a] else before
    return tuple([logs["open"] - last, *(logs[c] - logs["open"] for c in ("high", "low", "close"))])


@kinds
@given(st.integers(0, 1000), st.sampled_from([0.0, 1e-4, 0.05]), st.integers(-8, 6))
def test_bars_are_valid(kind, seed, volatility, level):
    market = gap(bars(120, seed=seed, volatility=volatility, price=10.0**level), slice(30, 40), 0)
    made = KINDS[kind](panel_of(market), seed).bars
    ok = made.ok
    for c in ("open", "high", "low", "close"):
        price = getattr(made, c)
        assert price.dtype == np.float32
        np.testing.assert_array_equal(np.isfinite(price), ok)
        assert (price[ok] > 0).all()
    assert (made.low <= np.minimum(made.open, made.close))[ok].all()
    assert (made.high >= np.maximum(made.open, made.close))[ok].all()
    assert ((made.taker_buy >= 0) & (made.taker_buy <= made.volume))[ok].all()


@kinds
def test_clock_names_and_gaps_are_kept(kind):
    panel = panel_with_gaps()
    made = KINDS[kind](panel, 0)
    np.testing.assert_array_equal(made.times, panel.times)
    np.testing.assert_array_equal(made.bars.second_of_week, panel.bars.second_of_week)
    np.testing.assert_array_equal(made.bars.ok, panel.bars.ok)
    assert made.symbols == panel.symbols and made.interval == panel.interval and made.edge is None
    assert kind in made.source and panel.source in made.source
    assert panel.edge is not None, "the original is unchanged"


@kinds
def test_a_surrogate_has_no_planted_edge(kind):
    original = dataclasses.replace(panel_of(bars(50, seed=0)), simulated=True, planted_edge=True)
    made = KINDS[kind](original, 0)
    assert made.simulated and not made.planted_edge and made.edge is None


@kinds
def test_seed_determines_the_market(kind):
    panel = panel_with_gaps()
    one, same, other = (KINDS[kind](panel, seed) for seed in (1, 1, 2))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert one.fingerprint() != panel.fingerprint()


@kinds
def test_missing_columns_stay_missing(kind):
    market = bars(60).replace(taker_buy=None, trades=None, quote_volume=None)
    made = KINDS[kind](panel_of(market), 0).bars
    assert made.taker_buy is None and made.trades is None and made.quote_volume is None


def panel_with_books(n=400) -> Panel:
    """A panel in which a level of the ask is missing in row 0."""
    panel = panel_with_gaps(n)
    market = tick(tick(panel.bars, 0, 0, "ask_price_2", np.nan), 0, 0, "ask_size_2", np.nan)
    return dataclasses.replace(panel, bars=market)


def log_offset(market, side):
    """Compute the log of each price of a side of the book over the close of its bar, `[N, A, L]` float64."""
    close = np.asarray(market.close, np.float64)[..., None]
    return np.log(np.asarray(getattr(market.book, f"{side}_price"), np.float64) / close)


@kinds
def test_books_are_valid(kind):
    panel = panel_with_books()
    made = KINDS[kind](panel, 0).bars
    ok = made.ok
    for name, side in vars(made.book).items():
        assert side.dtype == np.float32 and np.isnan(side[~ok]).all(), name
    missing = [int(np.isnan(side[ok]).sum()) for side in vars(made.book).values()]
    assert missing in ([0, 0, 1, 1], [1, 1, 0, 0]), "the level of the ask, unless its bar is mirrored"
    best = made.book
    assert (best.bid_price[..., 0] < best.ask_price[..., 0])[ok].all()
    for step in (-np.diff(best.bid_price), np.diff(best.ask_price)):
        assert (step > 0)[ok].sum() == np.isfinite(step[ok]).sum()
    assert KINDS[kind](panel_of(bars(60).replace(book=None)), 0).bars.book is None


def test_a_mirrored_bar_has_a_mirrored_book():
    panel = panel_with_books()
    made = surrogates.random_walk(panel, 0)
    old, new = parts(panel.bars)[3][:, 0], parts(made.bars)[3][:, 0]
    kept, turned = (np.flatnonzero(s * old * new > 0) for s in (1, -1))
    assert min(len(kept), len(turned)) > 100
    for rows, bid, ask, sign in ((kept, "bid", "ask", 1), (turned, "ask", "bid", -1)):
        for was, now in ((bid, "bid"), (ask, "ask")):
            np.testing.assert_allclose(
                log_offset(made.bars, now)[rows], sign * log_offset(panel.bars, was)[rows], atol=3e-7
            )
            sizes = getattr(made.bars.book, f"{now}_size")[rows], getattr(panel.bars.book, f"{was}_size")[rows]
            np.testing.assert_array_equal(*sizes)


@pytest.mark.parametrize("block", [1, 7])
def test_shuffled_books_keep_their_distance_from_the_close(block):
    panel = panel_with_books()
    made = surrogates.shuffled(panel, block, 0)
    row_of = {v: i for i, v in enumerate(panel.bars.volume[:, 1]) if np.isfinite(v)}
    rows = np.flatnonzero(made.bars.ok[:, 1])
    order = [row_of[v] for v in made.bars.volume[rows, 1]]
    assert sorted(order) == list(rows) and order != list(rows)
    for side in ("bid", "ask"):
        np.testing.assert_allclose(log_offset(made.bars, side)[rows], log_offset(panel.bars, side)[order], atol=3e-7)
        sizes = getattr(made.bars.book, f"{side}_size")[rows], getattr(panel.bars.book, f"{side}_size")[order]
        np.testing.assert_array_equal(*sizes)


def test_the_random_walk_keeps_sizes_and_volumes():
    panel = panel_with_gaps()
    made = surrogates.random_walk(panel, 0)
    old, new = parts(panel.bars), parts(made.bars)
    tolerance = {"rtol": 1e-3, "atol": 1e-6}  # prices are float32
    for i in (0, 3):
        np.testing.assert_allclose(np.abs(new[i])[1:], np.abs(old[i])[1:], **tolerance)
    np.testing.assert_allclose(new[1] - new[2], old[1] - old[2], **tolerance)
    for c in ("volume", "trades"):
        np.testing.assert_array_equal(getattr(made.bars, c), getattr(panel.bars, c))


def with_vwap(market, seed=0):
    """The market with volume-weighted prices anywhere in its bars, and some bars without volume."""
    rng = np.random.default_rng(seed)
    low, high = (np.asarray(p, np.float64) for p in (market.low, market.high))
    volume = np.where(rng.random(low.shape) < 0.1, 0, market.volume).astype(np.float32)
    quote = volume * (low + rng.random(low.shape) * (high - low))
    bought = (volume * rng.random(low.shape)).astype(np.float32)
    return market.replace(volume=volume, quote_volume=quote.astype(np.float32), taker_buy=bought)


def vwap(market):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(market.quote_volume, np.float64) / market.volume


@kinds
@given(st.integers(0, 1000), st.integers(-3, 3))
def test_volume_weighted_prices_stay_in_their_bars(kind, seed, level):
    market = with_vwap(gap(bars(120, seed=seed, volatility=0.05, price=10.0**level), slice(30, 40), 0), seed)
    made = KINDS[kind](panel_of(market), seed).bars
    traded = made.ok & (made.volume > 0)
    assert made.quote_volume.dtype == np.float32
    np.testing.assert_array_equal(made.quote_volume[made.ok & (made.volume == 0)], 0)
    np.testing.assert_array_equal(np.isnan(made.quote_volume), ~made.ok)
    price = vwap(made)
    assert (price >= made.low * (1 - 1e-6))[traded].all() and (price <= made.high * (1 + 1e-6))[traded].all()
    assert ((made.taker_buy >= 0) & (made.taker_buy <= made.volume))[made.ok].all()


def test_a_mirrored_bar_has_a_mirrored_volume_weighted_price():
    panel = panel_of(with_vwap(bars(400)))
    made = surrogates.random_walk(panel, 0).bars
    old, new = (np.log(vwap(b) / np.asarray(b.open, np.float64)) for b in (panel.bars, made))
    traded = made.volume > 0
    sign = np.broadcast_to(np.sign(parts(made)[3] * parts(panel.bars)[3]), traded.shape)
    np.testing.assert_allclose(new[traded], (sign * old)[traded], atol=1e-6)


@kinds
def test_quote_volume_in_other_units_moves_with_the_price(kind):
    """As where volume counts contracts of 100 units."""
    panel = panel_of(with_vwap(bars(200)))
    contracts = panel.bars.replace(volume=panel.bars.volume / 100)
    made = KINDS[kind](dataclasses.replace(panel, bars=contracts), 0).bars
    ratio = (vwap(made) / made.close)[made.volume > 0] / 100
    assert 0.8 < ratio.min() and ratio.max() < 1.25


def test_taker_volume_above_the_volume_by_rounding_is_cut():
    market = with_vwap(bars(60))
    above = market.replace(taker_buy=np.nextafter(market.volume, np.float32(np.inf)))
    made = surrogates.random_walk(panel_of(above), 0).bars
    assert ((made.taker_buy >= 0) & (made.taker_buy <= made.volume)).all()


def test_mirrored_bars_are_mirrored_in_all_parts_and_assets():
    panel = panel_of(bars(400))
    made = surrogates.random_walk(panel, 0)
    old, new = parts(panel.bars), parts(made.bars)
    kept = np.sign(new[3][:, 0]) == np.sign(old[3][:, 0])
    assert 150 < kept.sum() < 250
    old_high, old_low = old[1], old[2]
    for rows, sign, high, low in ((kept, 1, old_high, old_low), (~kept, -1, -old_low, -old_high)):
        np.testing.assert_allclose(new[3][rows], sign * old[3][rows], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(new[0][rows][1:], sign * old[0][rows][1:], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(new[1][rows], high[rows], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(new[2][rows], low[rows], rtol=1e-3, atol=1e-6)
    b, m = panel.bars, made.bars
    np.testing.assert_array_equal(m.taker_buy[kept], b.taker_buy[kept])
    np.testing.assert_array_equal(m.taker_buy[~kept], (b.volume - b.taker_buy)[~kept])


def test_directions_of_the_random_walk_are_unpredictable(market, panel):
    """The oracle of the simulated market has no accuracy on its random walk, within four standard errors."""
    up, known = market.edge > 0.5, market.edge != 0.5

    def hits(p):
        move = horizon.open_to_open(p.bars, horizon=1).value
        return np.mean((up == (move > 0))[np.isfinite(move) & (move != 0) & known])

    error = 0.5 / np.sqrt(len(market.times))  # assets are mirrored together, so that two count as one
    assert hits(panel) > 0.5 + 4 * error
    scores = [hits(surrogates.random_walk(panel, seed)) for seed in range(20)]
    assert abs(np.mean(scores) - 0.5) < 4 * error / np.sqrt(20)

    trend = panel_of(bars(2000))
    up = np.exp(0.01 * np.arange(2000))[:, None].astype(np.float32)
    rising = trend.bars.replace(**{c: getattr(trend.bars, c) * up for c in ("open", "high", "low", "close")})
    walk = surrogates.random_walk(dataclasses.replace(trend, bars=rising), 0)
    move = horizon.close_to_close(walk.bars, horizon=1).value[:-1, 0]
    assert walk.simulated and not trend.simulated
    assert abs(np.mean(move > 0) - 0.5) < 4 * 0.5 / np.sqrt(2000)
    assert abs(np.corrcoef(move[1:] > 0, move[:-1] > 0)[0, 1]) < 4 / np.sqrt(2000)


@pytest.mark.parametrize("block", [1, 7])
def test_shuffled_keeps_every_bar_and_moves_all_assets_together(block):
    panel = panel_of(bars(200))
    made = surrogates.shuffled(panel, block, 0)
    order = [int(np.flatnonzero(panel.bars.volume[:, 0] == v)[0]) for v in made.bars.volume[:, 0]]
    assert sorted(order) == list(range(200)) and order != list(range(200))
    for c in ("volume", "trades", "taker_buy"):
        np.testing.assert_array_equal(getattr(made.bars, c), getattr(panel.bars, c)[order])
    old, new = parts(panel.bars), parts(made.bars)
    first = order.index(0)
    for i in range(4):
        rows = np.setdiff1d(np.arange(1, 200), [first]) if i == 0 else np.arange(200)
        np.testing.assert_allclose(new[i][rows], old[i][order][rows], rtol=1e-3, atol=1e-6)
    together = int(np.sum(np.diff(order) == 1))
    assert together >= 200 - -(-200 // block) if block > 1 else together < 20


def test_shuffled_keeps_the_returns_within_each_pattern_of_gaps():
    panel = panel_with_gaps()
    made = surrogates.shuffled(panel, 1, 0)
    for pattern in np.unique(panel.bars.ok, axis=0):
        rows = (panel.bars.ok == pattern).all(1)
        for a in np.flatnonzero(pattern):
            old, new = (np.sort(parts(p.bars)[3][rows, a]) for p in (panel, made))
            np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-6)
            np.testing.assert_array_equal(np.sort(made.bars.volume[rows, a]), np.sort(panel.bars.volume[rows, a]))


def test_shuffled_keeps_the_drift():
    """The sum of all moves is the same in any order."""
    panel = panel_of(bars(300))
    made = surrogates.shuffled(panel, 5, 3)
    first = int(np.flatnonzero(panel.bars.volume[:, 0] == made.bars.volume[0, 0])[0])
    expected = panel.bars.close[-1] / panel.bars.open[0]
    np.testing.assert_allclose(made.bars.close[-1] / panel.bars.open[first], expected, rtol=1e-4)
