"""Contract 1 for every entry of FEATURES and for the scaled pipeline of all of them."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade import features
from fxtrade.core.config import ScalerConfig
from fxtrade.core.stream import Stream, run
from fxtrade.features import FEATURES
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars, gap, messy, tick

N = 650  # rows: disturbances lie in the first half, recovery in the second
PIECES = (1, 324)  # few shapes, since each is compiled anew; tests/core/test_stream.py has many
HALFLIFE = 40.0  # rows
PIPELINES = (*FEATURES, "scaled")
# features with a recursive memory; how fast it fades is tested here or beside their references
SLOW_MEMORY = {"volume_z", "flow_z"}
SLOW_MEMORY |= {"kalman"}  # see test_kalman.py
SLOW_MEMORY |= {"atr", "rsi", "macd", "adx"}  # see test_technical.py
SLOW_MEMORY |= {"signed_volume", "trade_size", "trades_z", "vpin", "kyle", "amihud"}  # see test_flow.py
SLOW_MEMORY |= {"book_spread", "mid_return", "microprice", "depth"}  # see test_book.py
BOOK = {"book_spread", "mid_return", "queue_imbalance", "microprice", "depth", "depth_slope", "book_pressure"}
BOOK |= {"ofi", "ofi_integrated"}  # features of the order book, which bars need not have

# features that look at the other assets, and what is made of them
CROSS = {"market_return", "beta", "residual_return", "lead_lag", "cross_rank", "dispersion", "correlation"}
CROSS |= {"absorption", "graph_degree", "scaled"}


@cache
def pipeline(name: str) -> Stream:
    spec = {name: {}} if name in FEATURES else {feature: {} for feature in FEATURES}
    return compiled(features.build(spec, ScalerConfig(HALFLIFE) if name == "scaled" else None))


def tolerance(name: str) -> dict[str, float]:
    """Scaling divides by spreads down to 0.01, and rounding with it."""
    return {"rtol": 1e-5, "atol": 2e-4 if name == "scaled" else 1e-5}


@cache
def warm_up(name: str) -> int:
    """Rows of a clean market before the first that is ok."""
    ok = np.asarray(whole(pipeline(name))(bars(N)).ok).all(1)
    first = int(ok.argmax())
    assert ok[first:].all(), "a clean market stays ok"
    return first


each = pytest.mark.parametrize("name", PIPELINES)


@each
def test_the_future_is_unseen(name):
    market = gap(bars(N), slice(200, 210))
    for t in (0, 1, warm_up(name), 333, N - 2):
        future_is_unseen(whole(pipeline(name)), market, t)


@each
def test_a_prefix_gives_the_rows_of_the_whole(name):
    prefix_is_whole(whole(pipeline(name)), gap(bars(N), slice(200, 210)), max(PIECES), rtol=1e-6, atol=2e-6)


@each
@pytest.mark.parametrize("sizes", [(1,), PIECES])
def test_bar_by_bar_and_in_chunks_as_the_whole(name, sizes):
    chunks_are_whole(pipeline(name), gap(bars(N), slice(200, 210)), sizes, **tolerance(name))


@each
@given(messy(N), st.integers(0, N - 2))
def test_contract_on_messy_markets(name, recipe, t):
    market = recipe.bars()
    out = whole(pipeline(name))(market)
    x, ok = np.asarray(out.x), np.asarray(out.ok)
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert (x[~ok] == 0).all()
    future_is_unseen(whole(pipeline(name)), market, t)
    chunks_are_whole(pipeline(name), market, PIECES, **tolerance(name))


@each
@given(messy(N, until=320))
def test_recovers_within_its_warm_up_after_gaps_and_bad_ticks(name, recipe):
    ok = np.asarray(whole(pipeline(name))(recipe.bars()).ok)
    assert ok[recipe.clean + warm_up(name) :].all()


@each
def test_a_missing_bar_is_not_ok_and_leaves_the_other_asset_alone(name):
    market = bars(N)
    holed = gap(market, slice(300, 310), 0)
    before, after = (whole(pipeline(name))(m) for m in (market, holed))
    ok = np.asarray(after.ok)
    assert not ok[300:310, 0].any()
    if name in CROSS:
        return
    np.testing.assert_array_equal(ok[:, 1], np.asarray(before.ok)[:, 1])
    np.testing.assert_array_equal(np.asarray(after.x)[:, 1], np.asarray(before.x)[:, 1])


@pytest.mark.parametrize("name", sorted(set(FEATURES) - SLOW_MEMORY))
@pytest.mark.parametrize("column", ["close", "volume"])
def test_a_bad_tick_is_gone_without_a_trace(name, column):
    """All but those with a slow memory look at a window alone."""
    before, after = (whole(pipeline(name))(m) for m in (bars(N), tick(bars(N), 300, 0, column, 1e12)))
    first = 301 + 256
    np.testing.assert_array_equal(np.asarray(after.x)[first:], np.asarray(before.x)[first:])


@pytest.mark.parametrize("name", ["volume_z", "flow_z"])
def test_a_bad_print_of_volume_is_nearly_gone(name):
    market, f = bars(1000), whole(compiled(features.build({name: {}})))
    before, after = (np.asarray(f(m).x) for m in (market, tick(market, 600, 0, "volume", 1e12)))
    assert np.abs(after - before)[600:].max() > 1
    assert np.abs(after - before)[600 + 256 :].max() < 0.1


def test_the_scaled_pipeline_is_bounded_and_standardised():
    out = whole(pipeline("scaled"))(bars(N))
    x = np.asarray(out.x)[np.asarray(out.ok).all(1)]
    assert np.abs(x).max() <= 5.0
    std = x.std((0, 1))
    # two assets are always neighbours
    assert {name for name, s in zip(out.names, std, strict=True) if s == 0} == {"degree_top_k_64", "degree_tree_64"}
    assert np.abs(x.mean((0, 1))).max() < 1 and 0.2 < std[std > 0].min() and std.max() < 2


@pytest.mark.slow
def test_real_bars_by_the_runner_in_chunks(real_panel):
    market = real_panel.bars
    stream = features.build({feature: {} for feature in FEATURES if feature not in BOOK}, ScalerConfig())
    out, other = run(stream, market, chunk=len(market.close) // 3), whole(compiled(stream))(market)
    assert out.ok[756:].all()
    np.testing.assert_array_equal(out.ok, other.ok)
    np.testing.assert_allclose(out.x, other.x, **tolerance("scaled"))


def test_names_are_those_of_the_rows():
    market, spec = bars(40), {"log_return": {"horizons": (1, 3)}, "bar_shape": {"window": 4}, "calendar": {}}
    expected = ("log_return_1", "log_return_3", "bar_place", "bar_range", "day_sin", "day_cos", "week_sin", "week_cos")
    out = whole(compiled(features.build(spec)))(market)
    assert features.names(spec, market) == out.names == expected
    assert out.x.shape == (40, 2, len(expected))


def test_what_runs_is_a_jax_pytree_without_the_names():
    out = whole(compiled(features.build({"log_return": {}})))(bars(40))
    assert len(jax.tree.leaves(out)) == 2
