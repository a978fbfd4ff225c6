"""Spread estimators against the package `bidask`, the papers' formulas, and bars of known spread."""

from __future__ import annotations

import warnings
from functools import cache, partial

import jax
import numpy as np
import pytest

from fxtrade import features
from fxtrade.core.errors import ConfigError
from fxtrade.features.spread import ESTIMATORS, FLOOR, LIMIT
from tests.helpers.causality import compiled, whole
from tests.helpers.feature_columns import by_name
from tests.helpers.markets import bars, gap

WINDOW = 128
PRICES = ("open", "high", "low", "close")


def root(square):
    """The spread with its sign, of its signed square."""
    return np.sign(square) * np.sqrt(np.abs(square))


@partial(jax.jit, static_argnums=(0, 5), static_argnames=("zero_negatives", "undefined"))
def estimate(name, open, high, low, close, window, **options):
    return ESTIMATORS[name](open, high, low, close, window, **options)


@cache
def stream(*options):
    return compiled(features.build({"spread_estimate": dict(options)}))


@cache
def trades(n, per_bar=390, true=0.01, volatility=0.03, share=1.0, tick=0.0, seed=0, price=100.0):
    """Prices `[n, 1]` of bars of trades at the efficient price +- half the spread; a `share` of the trades is seen."""
    rng = np.random.default_rng(seed)
    efficient = np.cumsum(volatility / np.sqrt(per_bar) * rng.standard_normal((n, per_bar))).reshape(n, per_bar)
    paid = price * np.exp(efficient) * (1 + true / 2 * rng.choice([-1, 1], (n, per_bar)))
    if tick:
        paid = np.maximum(np.round(paid / tick), 1) * tick
    seen = rng.random((n, per_bar)) < share
    seen[:, 0] |= ~seen.any(1)
    first, last = seen.argmax(1), per_bar - 1 - seen[:, ::-1].argmax(1)
    row = np.arange(n)
    high, low = np.where(seen, paid, 0).max(1), np.where(seen, paid, np.inf).min(1)
    made = (paid[row, first], high, low, paid[row, last])
    return {c: x[:, None].astype(np.float32) for c, x in zip(PRICES, made, strict=True)}


def both(prices, **options):
    """EDGE with its sign by `bidask` on the same float32 prices, and here: `[T]` each."""
    bidask, pd = pytest.importorskip("bidask"), pytest.importorskip("pandas")
    table = pd.DataFrame({c: prices[c][:, 0].astype(np.float64) for c in PRICES})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package about newer versions of pandas
        expected = bidask.edge_rolling(table, WINDOW, sign=True).to_numpy()[WINDOW - 1 :]
    return expected, np.asarray(root(estimate("edge", *prices.values(), WINDOW, **options)))[:, 0]


CASES = {
    "liquid": {},
    "few trades": {"share": 0.01},
    "some without trades": {"share": 0.002},
    "ticks": {"share": 0.01, "tick": 1.0},
    "mostly still": {"share": 0.01, "tick": 0.5, "true": 0.0, "volatility": 1e-3},
    "no spread": {"true": 0.0},
    "bitcoin": {"price": 1e5, "volatility": 1e-3, "true": 1e-4, "share": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_edge_is_that_of_bidask(case):
    prices = trades(500, **CASES[case])
    expected, actual = both(prices)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    known = np.isfinite(expected)
    assert known.sum() > 50
    np.testing.assert_allclose(actual[known], expected[known], rtol=1e-4, atol=1e-4 * np.nanmedian(np.abs(expected)))
    if case == "no spread":
        assert (expected < 0).any()


def test_edge_of_one_window_is_that_of_bidask():
    bidask, prices = pytest.importorskip("bidask"), trades(WINDOW, share=0.01)
    expected = bidask.edge(*(x[:, 0].astype(np.float64) for x in prices.values()), sign=True)
    assert np.asarray(root(estimate("edge", *prices.values(), WINDOW))).item() == pytest.approx(expected, rel=1e-5)


def test_edge_of_bars_that_do_not_move_or_close_at_the_extremes_is_undefined():
    still = {c: np.full((200, 1), 3.0, np.float32) for c in PRICES}
    one_trade = np.exp(np.random.default_rng(0).standard_normal((200, 1))).astype(np.float32)
    for prices in (still, dict.fromkeys(PRICES, one_trade)):
        expected, actual = both(prices)
        assert np.isnan(expected).all() and np.isnan(actual).all()
        expected, actual = both(prices, undefined=0.0)
        assert (actual == 0).all()
    missing = {c: np.where(np.arange(200)[:, None] == 10, np.nan, x) for c, x in still.items()}
    known = np.isfinite(both(missing, undefined=0.0)[1])
    np.testing.assert_array_equal(known, np.arange(200 - WINDOW + 1) > 10)


def reference(name, o, h, l, c):  # noqa: E741
    """The signed squared spread of one window by the paper, in float64."""
    if name == "roll":
        r = np.diff(c)
        return -4 * np.mean((r[1:] - r[1:].mean()) * (r[:-1] - r[:-1].mean()))
    if name == "abdi_ranaldo":
        eta = (h + l) / 2
        return 4 * np.mean((c[:-1] - eta[:-1]) * (c[:-1] - eta[1:]))
    pairs = []
    for i in range(len(c) - 1):
        beta = (h[i] - l[i]) ** 2 + (h[i + 1] - l[i + 1]) ** 2
        gamma = (max(h[i : i + 2]) - min(l[i : i + 2])) ** 2
        k = 3 - 2 * np.sqrt(2)
        alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
        pairs.append(2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)))
    mean = np.mean(pairs if name == "corwin_schultz" else np.maximum(pairs, 0))
    return mean * abs(mean)


@pytest.mark.parametrize("name", ["roll", "abdi_ranaldo", "corwin_schultz", "corwin_schultz zeroed"])
@pytest.mark.parametrize("case", CASES)
def test_estimators_against_their_papers(name, case):
    prices = trades(300, **CASES[case])
    logs = [np.log(x[:, 0].astype(np.float64)) for x in prices.values()]
    expected = np.array([reference(name, *(x[t - WINDOW : t] for x in logs)) for t in range(WINDOW, 301)])
    options = {"zero_negatives": True} if "zeroed" in name else {}
    actual = np.asarray(estimate(name.split()[0], *prices.values(), WINDOW, **options))[:, 0]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * np.diff(logs[3]).var())


def test_a_known_spread_is_found():
    """A spread of 1 %: of one sample to the digits known, and on the average of four."""
    found, n = [], 4_000
    for seed in range(4):
        prices = trades(n, seed=seed).values()
        one = {name: estimate(name, *prices, n) for name in ESTIMATORS}
        one["cut off at zero"] = estimate("corwin_schultz", *prices, n, zero_negatives=True)
        found.append({name: float(root(square)[0, 0]) for name, square in one.items()})
    known = {"edge": 0.0094, "abdi_ranaldo": 0.0092, "corwin_schultz": 0.0096, "cut off at zero": 0.0172}
    assert {name: round(found[0][name], 4) for name in known} == known
    for name, error in {"edge": 0.0005, "abdi_ranaldo": 0.0015, "corwin_schultz": 0.0007, "roll": 0.006}.items():
        assert np.mean([one[name] for one in found]) == pytest.approx(0.01, abs=error), name
    assert min(one["cut off at zero"] for one in found) > 0.016


def test_edge_needs_few_trades_where_the_range_is_biased():
    """Ardia, Guidotti & Kroencke: with a few trades a bar the high-low estimators break down, EDGE does not."""
    prices = trades(5_000, share=0.01, seed=1).values()
    found = {name: float(root(estimate(name, *prices, 5_000))[0, 0]) for name in ESTIMATORS}
    assert found["edge"] == pytest.approx(0.01, abs=0.002)
    assert found["corwin_schultz"] < 0


def columns(prices, **options):
    """Columns `[N]` of the feature, NaN where not ok."""
    market = bars(len(prices["close"]), 1).replace(**prices)
    out = whole(stream(*options.items()))(gap(market, np.isnan(prices["close"])[:, 0]))
    return {name: x[:, 0] for name, x in by_name(out).items()}


def test_spread_estimate():
    """The share of bounce in the variance of returns, and the log of the spread."""
    prices = trades(400, share=0.01, seed=2, true=0.02)
    share, level = columns(prices), columns(prices, unit="log")
    assert not np.isfinite(share["spread_edge_128"][: WINDOW - 1]).any()
    r = np.diff(np.log(prices["close"][:, 0].astype(np.float64)))
    variance = np.array([np.mean(r[t - WINDOW + 1 : t] ** 2) for t in range(WINDOW - 1, 400)])
    for name in ESTIMATORS:
        square = np.asarray(estimate(name, *prices.values(), WINDOW), np.float64)[:, 0]
        expected = np.clip(square / (2 * variance), -LIMIT, LIMIT)
        np.testing.assert_allclose(share[f"spread_{name}_128"][WINDOW - 1 :], expected, rtol=1e-5, atol=1e-6)
        expected = 0.5 * np.log(np.maximum(square, 2 * FLOOR * variance))
        np.testing.assert_allclose(level[f"spread_{name}_128"][WINDOW - 1 :], expected, rtol=1e-5, atol=1e-5)
    # Roll: returns of variance s^2 + S^2/2
    assert np.nanmean(share["spread_edge_128"]) == pytest.approx(2e-4 / (2e-4 + 9e-4), abs=0.08)


def test_real_prices_are_as_precise(real_panel):
    prices = {c: np.asarray(getattr(real_panel.bars, c))[:500, :1] for c in PRICES}
    expected, actual = both(prices)
    typical = np.diff(np.log(prices["close"][:, 0].astype(np.float64))).var()
    np.testing.assert_allclose(actual * abs(actual), expected * abs(expected), rtol=1e-5, atol=1e-6 * typical)


def test_a_price_that_does_not_move_has_no_spread():
    still = {c: np.full((200, 1), 3.0, np.float32) for c in PRICES}
    for values in columns(still).values():
        assert (values[WINDOW - 1 :] == 0).all()
    for values in columns(still, unit="log").values():
        np.testing.assert_allclose(values[WINDOW - 1 :], np.log(1e-7), rtol=1e-6)


def test_a_missing_bar_leaves_the_windows_that_hold_it_undefined():
    prices = {c: np.where(np.arange(400)[:, None] == 150, np.nan, x) for c, x in trades(400, share=0.01).items()}
    for values in columns(prices).values():
        known = np.isfinite(values)
        assert known[WINDOW - 1 : 150].all() and not known[150 : 150 + WINDOW].any() and known[150 + WINDOW :].all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 3}, "window must be at least 4, got 3"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=f"feature 'spread_estimate'.*{message}"):
        features.names({"spread_estimate": options}, bars(3))
