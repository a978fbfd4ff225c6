"""The order book's top and shape against loops over levels in float64."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Book
from fxtrade.data import book
from tests.features.test_features_reference import columns
from tests.helpers.causality import compiled, whole
from tests.helpers.markets import bars, gap, tick

N = 80
NAMES = ("book_spread", "mid_return", "queue_imbalance", "microprice", "depth", "depth_slope", "book_pressure")


def thin(market, seed=0):
    """Without the third level of one side or the other in half of the rows."""
    missing = np.random.default_rng(seed).random((2, *market.ok.shape)) < 0.5
    values = {}
    for side, gone in zip(("bid", "ask"), missing, strict=True):
        for name in (f"{side}_price", f"{side}_size"):
            values[name] = getattr(market.book, name).copy()
            values[name][..., 2][gone] = np.nan
    return market.replace(book=Book(**values))


def level(market, bid, ask):
    """The book of every row replaced by these levels, `[(price, size), ...]` a side; prices about 100."""
    sides = {}
    for name, ladder in (("bid", bid), ("ask", ask)):
        for what, values in zip(("price", "size"), np.array(ladder, np.float32).T, strict=True):
            sides[f"{name}_{what}"] = np.broadcast_to(values, (*market.ok.shape, len(ladder)))
    return market.replace(book=Book(**sides))


MARKET = thin(bars(N, seed=4, volatility=0.002))


def sides(market=MARKET):
    """Per row and asset: bids and asks as lists of (price, size) in float64, absent levels left out."""
    b = SimpleNamespace(**{name: np.asarray(v, np.float64) for name, v in vars(market.book).items()})

    def ladder(prices, sizes):
        return [(p, q) for p, q in zip(prices, sizes, strict=True) if np.isfinite(p)]

    return [
        [(ladder(b.bid_price[t, a], b.bid_size[t, a]), ladder(b.ask_price[t, a], b.ask_size[t, a])) for a in range(2)]
        for t in range(len(b.bid_price))
    ]


def each(f, market=MARKET):
    """f(bids, asks) of every row and asset, `[N, A]`."""
    return np.array([[f(bids, asks) for bids, asks in row] for row in sides(market)])


def size(ladder, m=None):
    return sum(q for _, q in ladder[:m])


def mid(bids, asks):
    return (bids[0][0] + asks[0][0]) / 2


def slow(x, halflife=500.0):
    weights = 0.5 ** (np.arange(len(x)) / halflife)
    return np.stack([np.average(x[: t + 1], axis=0, weights=weights[: t + 1][::-1]) for t in range(len(x))])


def widths():
    """Spread over mid."""
    return each(lambda b, a: (a[0][0] - b[0][0]) / mid(b, a))


def unit():
    """The slow average spread in units of price."""
    return np.exp(slow(np.log(widths()))) * each(lambda b, a: b[0][0])


def close_to(made, expected, first=0):
    np.testing.assert_allclose(made[first:], expected[first:], rtol=1e-5, atol=1e-5)


def test_book_spread():
    made, expected = columns({"book_spread": {}}, MARKET), np.log(1e4 * widths())
    close_to(made["book_spread"], expected)
    close_to(made["book_spread_relative"], expected - slow(expected))


def test_mid_return():
    made, mids = columns({"mid_return": {"windows": (1, 5)}}, MARKET), each(mid)
    for w in (1, 5):
        close_to(made[f"mid_return_{w}"], np.arcsinh((mids - np.roll(mids, w, 0)) / unit()), first=5)


@pytest.mark.parametrize("cumulated", [True, False])
def test_queue_imbalance(cumulated):
    made = columns({"queue_imbalance": {"levels": (1, 3), "cumulated": cumulated}}, MARKET)
    for m in (1, 3):
        first = 0 if cumulated else m - 1

        def expected(b, a, first=first, m=m):
            bid, ask = size(b[first:m]), size(a[first:m])
            return (bid - ask) / (bid + ask) if bid + ask > 0 else 0

        name = f"queue_imbalance_{m}" if cumulated else f"queue_imbalance_at_{m}"
        close_to(made[name], each(expected))


def weighted(m):
    """The mid weighted by the sizes of the other side, over m levels."""

    def price(b, a):
        bid, ask = size(b, m), size(a, m)
        mean_bid, mean_ask = (sum(p * q for p, q in side[:m]) / size(side, m) for side in (b, a))
        return (bid * mean_ask + ask * mean_bid) / (bid + ask)

    return each(price)


def test_microprice():
    made = columns({"microprice": {"levels": (1, 3), "windows": (1, 5)}}, MARKET)
    for m in (1, 3):
        close_to(made[f"microprice_{m}"], np.arcsinh((weighted(m) - each(mid)) / (unit() / 2)), first=5)
    for w in (1, 5):
        move = weighted(1) - np.roll(weighted(1), w, 0)
        close_to(made[f"microprice_return_{w}"], np.arcsinh(move / (unit() / 2)), first=5)


def test_microprice_of_the_best_level_is_the_queue_imbalance_in_half_spreads():
    market = level(bars(20), [(99, 3), (98, 9)], [(101, 1), (103, 4)])
    made = columns({"microprice": {"levels": (1,)}, "queue_imbalance": {"levels": (1,)}}, market)
    np.testing.assert_allclose(np.sinh(made["microprice_1"][8:]), 0.5 * 100 / 99, rtol=1e-5)
    np.testing.assert_allclose(made["queue_imbalance_1"][8:], 0.5, rtol=1e-6)


def test_depth():
    made = columns({"depth": {}}, MARKET)
    both = np.log(each(lambda b, a: size(b) + size(a)))
    close_to(made["depth"], both - slow(both))
    close_to(made["depth_ratio"], np.log(each(lambda b, a: size(b) / size(a))))
    one = columns({"depth": {"levels": 1}}, MARKET)
    close_to(one["depth_ratio"], np.log(each(lambda b, a: b[0][1] / a[0][1])))


def test_depth_slope():
    def slope(ladder):
        distance = [1e4 * abs(p - ladder[0][0]) / ladder[0][0] for p, _ in ladder]
        return np.polyfit(distance, np.cumsum([q for _, q in ladder]) / size(ladder) * len(ladder), 1)[0]

    made = columns({"depth_slope": {}}, MARKET)
    bid, ask = np.log(each(lambda b, a: slope(b))), np.log(each(lambda b, a: slope(a)))
    close_to(made["depth_slope"], (bid + ask) / 2)
    close_to(made["depth_slope_skew"], bid - ask)


def test_book_pressure():
    def pressure(b, a):
        bid, ask = (sum(q / abs(p - mid(b, a)) for p, q in side) for side in (b, a))
        return (bid - ask) / (bid + ask)

    close_to(columns({"book_pressure": {}}, MARKET)["book_pressure"], each(pressure))


@pytest.mark.parametrize("name", [*NAMES, "ofi", "ofi_integrated"])
def test_no_book_without_a_best_level_or_with_crossed_prices(name):
    market = tick(bars(150), 70, 0, "ask_price_0", np.nan)
    market = tick(market, 80, 0, "bid_price_0", float(market.book.ask_price[80, 0, 0]))
    market = tick(market, 90, 0, "bid_size_0", 0.0)
    made = columns({name: {}}, market)
    clean = columns({name: {}}, bars(150))
    for column, x in made.items():
        assert np.isnan(x[[70, 80, 90], 0]).all(), column
        np.testing.assert_array_equal(x[:, 1], clean[column][:, 1])


@pytest.mark.parametrize("name", [*NAMES, "ofi", "ofi_integrated"])
@pytest.mark.parametrize("bad", [np.inf, -1.0, 1e30])
def test_a_bad_value_in_a_further_level_empties_the_level(name, bad):
    spec = {name: {}}
    made = columns(spec, tick(bars(100), 70, 0, "ask_price_2", bad))
    absent = columns(spec, tick(tick(bars(100), 70, 0, "ask_price_2", np.nan), 70, 0, "ask_size_2", np.nan))
    for column, x in made.items():
        np.testing.assert_array_equal(x, absent[column])
        assert np.isfinite(x[70:]).all()


@pytest.mark.parametrize("name", ["queue_imbalance", "microprice", "ofi"])
def test_levels_beyond_the_depth_of_the_book(name):
    with pytest.raises(ConfigError, match=f"feature '{name}' asks for level 5 of books that have 3 levels"):
        features.names({name: {"levels": (1, 5)}}, bars(3))


def test_one_level_has_no_slope_and_a_gap_no_book():
    single = level(bars(20), [(99, 3)], [(101, 1)])
    assert np.isnan(columns({"depth_slope": {}}, single)["depth_slope"]).all()
    holed = columns({"book_pressure": {}}, gap(bars(20), slice(5, 8), 0))["book_pressure"]
    assert np.isnan(holed[5:8, 0]).all() and np.isfinite(holed[:, 1]).all() and np.isfinite(holed[8:]).all()


def test_real_book(real_data):
    """On a real book bounds hold, and more size on one side predicts the next move of the mid."""
    panel = book.read(real_data / "book" / "binance_um_BTCUSDT_20240808.parquet", clock=None)
    spec = {name: {} for name in NAMES} | {"ofi": {"levels": (1, 10)}, "ofi_integrated": {}}
    out = whole(compiled(features.build(spec)))(panel.bars)
    x, ok = np.asarray(out.x)[:, 0], np.asarray(out.ok)[:, 0]
    assert ok[64:].all()
    value = {name: x[64:, i] for i, name in enumerate(out.names)}
    assert all(np.abs(value[f"queue_imbalance_{m}"]).max() <= 1 for m in (1, 2, 3))
    ahead = value["mid_return_1"][1:]
    for name in ("queue_imbalance_1", "microprice_1"):
        assert np.corrcoef(value[name][:-1], ahead)[0, 1] > 0.1
    assert np.corrcoef(value["ofi_integrated_8"], value["mid_return_8"])[0, 1] > 0.5
