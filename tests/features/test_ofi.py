"""Order flow imbalance: a table by hand, loops over the cases of the paper, and the first principal component."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import features
from fxtrade.core.stream import from_kernels
from fxtrade.core.types import Book
from fxtrade.features.book_flow import CLIP, first_component, level_flows
from tests.features.test_book import MARKET
from tests.features.test_features_reference import columns
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, whole
from tests.helpers.markets import bars, gap

# bid price and size, ask price and size, and the imbalance that Cont, Kukanov & Stoikov (2014) give the change: size
# added at the bid counts up and size removed counts down, the opposite at the ask; a queue at a better price is new,
# and one at a price that was left is gone
TABLE = [
    (100.0, 5, 101.0, 4, np.nan),
    (100.0, 8, 101.0, 4, +3),  # bid grows by 3
    (100.0, 8, 101.0, 6, -2),  # ask grows by 2
    (100.5, 2, 101.0, 7, +2 - 1),  # new bid of 2, ask grows by 1
    (100.5, 2, 101.5, 3, +7),  # ask of 7 is gone
    (101.0, 6, 102.0, 2, +6 + 3),  # new bid of 6, ask of 3 is gone
    (100.5, 9, 102.0, 5, -6 - 3),  # bid of 6 is gone, ask grows by 3
    (100.5, 4, 101.5, 1, -5 - 1),  # bid shrinks by 5, new ask of 1
    (100.0, 3, 101.0, 6, -4 - 6),  # bid of 4 is gone, new ask of 6
    (100.5, 2, 100.75, 8, +2 - 8),  # new bid of 2, new ask of 8
    (100.0, 1, 101.0, 2, -2 + 8),  # bid of 2 and ask of 8 are gone
]


def one_level(table):
    bid_price, bid_size, ask_price, ask_size = (np.array(table, np.float32)[:, i, None, None] for i in range(4))
    return bars(len(table), assets=1).replace(book=Book(bid_price, bid_size, ask_price, ask_size))


def test_every_case_by_hand():
    made = columns({"ofi": {"windows": (1, 3), "levels": (1,)}}, one_level(TABLE))
    expected = np.array([e for *_, e in TABLE])
    depth = np.array([(q + r) / 2 for _, q, _, r, _ in TABLE])
    cases = {(np.sign(b[0] - a[0]), np.sign(b[2] - a[2])) for a, b in zip(TABLE[:-1], TABLE[1:], strict=True)}
    assert len(cases) == 9
    np.testing.assert_allclose(made["ofi_1_1"][3:, 0], (expected / depth)[3:], rtol=1e-6)
    np.testing.assert_allclose(made["ofi_1_3"][3, 0], (3 - 2 + 1) / ((6 + 7 + 4.5) / 3), rtol=1e-6)
    np.testing.assert_allclose(made["ofi_1_3"][10, 0], (-10 - 6 + 6) / ((4.5 + 5 + 1.5) / 3), rtol=1e-6)
    assert np.isnan(made["ofi_1_3"][:3]).all()


def flows(book, levels):
    """Imbalance of each level of asset 0, `[N, m]`, case by case; an absent level is empty and infinitely far away."""
    out = np.full((len(book.bid_price), levels), np.nan)

    def level(t, m):
        bid, q, ask, r = (
            np.asarray(a, np.float64)[t, 0, m] for a in (book.bid_price, book.bid_size, book.ask_price, book.ask_size)
        )
        bid, q = (-np.inf, 0.0) if np.isnan(bid) else (bid, q)
        ask, r = (np.inf, 0.0) if np.isnan(ask) else (ask, r)
        return bid, q, ask, r

    for t in range(1, len(out)):
        if np.isnan(book.bid_price[t - 1 : t + 1, 0, 0]).any():
            continue
        for m in range(levels):
            old_bid, old_q, old_ask, old_r = level(t - 1, m)
            bid, q, ask, r = level(t, m)
            bought = q if bid > old_bid else q - old_q if bid == old_bid else -old_q
            sold = r if ask < old_ask else r - old_r if ask == old_ask else -old_r
            out[t, m] = bought - sold
    return out


def depths(book):
    """Mean size over both sides and all three levels of asset 0; absent ones are empty."""
    sizes = np.concatenate([book.bid_size[:, 0], book.ask_size[:, 0]], -1).astype(np.float64)
    return np.where(np.isnan(book.bid_price[:, 0, 0]), np.nan, np.nansum(sizes, -1) / 6)


def over(e, depth, w):
    """Sums of windows without a missing row over the mean depth there."""
    out = np.full(e.shape, np.nan)
    for t in range(w - 1, len(e)):
        out[t] = e[t - w + 1 : t + 1].sum(0) / depth[t - w + 1 : t + 1].mean()
    return out


def test_ofi():
    market = gap(MARKET, slice(40, 43), 0)
    e, depth = flows(market.book, 3), depths(market.book)
    assert np.isnan(market.book.bid_price[:, 0, 2]).sum() > 20 and len(np.unique(e[1:40])) > 60
    made = columns({"ofi": {"windows": (1, 5), "levels": (1, 3)}}, market)
    for m in (1, 3):
        for w in (1, 5):
            expected = over(e, depth, w)[:, m - 1]
            known = np.isfinite(over(e, depth, 5)[:, 0])
            np.testing.assert_array_equal(np.isfinite(made[f"ofi_{m}_{w}"][:, 0]), known)
            np.testing.assert_allclose(made[f"ofi_{m}_{w}"][known, 0], expected[known], rtol=1e-5, atol=1e-5)


quote = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(4, 6), st.integers(1, 9))


@given(st.lists(quote, min_size=9, max_size=9))
def test_ofi_of_any_quotes(table):
    market = one_level(table)
    e, depth = flows(market.book, 1)[:, 0], np.array([(q + r) / 2 for _, q, _, r in table])
    made = columns_of_nine(market)
    np.testing.assert_allclose(made[3:, 0, 0], over(e, depth, 3)[3:], rtol=1e-5, atol=1e-5)


NINE = from_kernels(lambda k, rows: features.FEATURES["ofi"].function(k, rows, windows=(3,), levels=(1,)))
INIT, STEP = jax.jit(NINE.init), jax.jit(NINE.step)


def columns_of_nine(market):
    return np.asarray(STEP(INIT(market), market)[1]["ofi_1_3"])[..., None]


@pytest.mark.parametrize("weights", ["equal", "component"])
def test_bids_and_asks_mirrored_give_the_opposite(weights):
    b = MARKET.book
    mirrored = Book(300 - b.ask_price, b.ask_size, 300 - b.bid_price, b.bid_size)
    spec = {"ofi": {"windows": (1, 4)}, "ofi_integrated": {"windows": (4,), "weights": weights, "halflife": 10.0}}
    made, other = columns(spec, MARKET), columns(spec, MARKET.replace(book=mirrored))
    # 300 - price rounds, so that prices about 100 are moved to the grid of the mirrored ones first
    assert (np.float32(300) - mirrored.bid_price == b.ask_price)[~np.isnan(b.ask_price)].all()
    for name, x in made.items():
        np.testing.assert_allclose(other[name], -x, rtol=1e-4, atol=1e-4)


def components(x, halflife):
    """Weights before each row of x `[N, m]` by power iteration in float64."""
    moments, weights, seen, out = np.zeros((x.shape[1],) * 2), np.full(x.shape[1], 1 / x.shape[1]), 0, []
    decay = 0.5 ** (1 / halflife)
    for z in x:
        out.append(weights if seen >= halflife else np.full(x.shape[1], 1 / x.shape[1]))
        if np.isnan(z).any():
            continue
        largest = CLIP * np.trace(moments) ** 0.5
        z = z * min(1, largest / np.linalg.norm(z)) if seen >= halflife else z
        moments = decay * moments + (1 - decay) * np.outer(z, z)
        turned = moments @ weights
        weights, seen = turned / np.abs(turned).sum() * np.sign(turned.sum()), seen + 1
    return np.array(out)


def test_ofi_integrated():
    e, depth = flows(MARKET.book, 3), depths(MARKET.book)
    made = columns({"ofi_integrated": {"windows": (1, 4)}}, MARKET)
    for window in (1, 4):
        expected = over(e.mean(-1), depth, window)
        np.testing.assert_allclose(made[f"ofi_integrated_{window}"][4:, 0], expected[4:], rtol=1e-5, atol=1e-5)


BY_COMPONENT = {"ofi_integrated": {"windows": (1, 4), "weights": "component", "halflife": 10.0}}


def test_ofi_integrated_by_the_first_component():
    e, depth = flows(MARKET.book, 3), depths(MARKET.book)
    between = (depth + np.roll(depth, 1)) / 2
    w = components(e / between[:, None], 10.0)
    made = columns(BY_COMPONENT, MARKET)
    for window in (1, 4):
        expected = over((w * e).sum(-1), depth, window)
        np.testing.assert_allclose(made[f"ofi_integrated_{window}"][4:, 0], expected[4:], rtol=1e-4, atol=1e-4)


def test_the_first_component_is_of_the_past_alone_and_the_same_in_pieces():
    stream = compiled(features.build(BY_COMPONENT))
    future_is_unseen(whole(stream), MARKET, 40)
    chunks_are_whole(stream, MARKET, (1, 7, 30))


def test_weights_are_those_of_the_first_principal_component():
    x = mixed()
    weights = last_weights(x)
    aged = x[:-1] * 0.5 ** (np.arange(len(x) - 1)[::-1, None] / 2000)
    first = np.linalg.eigh(aged.T @ aged)[1][:, -1]
    np.testing.assert_allclose(np.abs(weights).sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(weights, first / np.abs(first).sum() * np.sign(first.sum()), atol=5e-3)


def test_weights_do_not_change_sides():
    """The sign of a component that rotates is kept positive."""
    angle = np.linspace(0, 3 * np.pi, 6000)
    x = np.stack([np.cos(angle), np.sin(angle)], 1) * np.random.default_rng(0).standard_normal((6000, 1))
    made = from_kernels(lambda k, rows: first_component(k, rows, 50.0))
    x = x.astype(np.float32)[:, None]
    weights = np.asarray(made.step(made.init(x), x)[1])[:, 0]
    assert weights.sum(-1).min() >= 0 and weights.min() < -0.4


def test_one_bad_row_hardly_turns_the_weights():
    x = mixed()
    bad = x.copy()
    bad[3500] = [0, 0, 1e3, 0]
    np.testing.assert_allclose(last_weights(bad), last_weights(x), atol=0.02)


def mixed():
    """4,000 rows of 4 columns whose principal components have the standard deviations 2, 1, 0.7, 0.5."""
    rng = np.random.default_rng(2)
    mixing = np.linalg.qr(rng.standard_normal((4, 4)))[0] * np.array([2.0, 1, 0.7, 0.5])
    return (rng.standard_normal((4000, 4)) @ mixing.T).astype(np.float32)


def last_weights(x):
    made = from_kernels(lambda k, rows: first_component(k, rows, 1000.0))
    return np.asarray(made.step(made.init(x[:, None]), x[:, None])[1])[-1, 0]


def test_depth_between_rows_bounds_the_flow():
    made = from_kernels(lambda k, rows: level_flows(k, rows, "ofi", 3, 3))
    e, between, _ = (np.asarray(a) for a in made.step(made.init(MARKET), MARKET)[1])
    assert np.nanmax(np.abs(e) / between[..., None]) <= 2 * 2 * 3
