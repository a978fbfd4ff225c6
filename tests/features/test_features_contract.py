"""Contracts of time and streams for every entry of FEATURES, the traits it states, and a scaled pipeline."""

from __future__ import annotations

import inspect
import typing
from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxtrade import features
from fxtrade.core.config import ScalerConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.stream import Stream, run
from fxtrade.features import BOOK, FEATURES, FLOW, PRICE
from tests.helpers.causality import chunks_are_whole, compiled, future_is_unseen, prefix_is_whole, whole
from tests.helpers.markets import bars, gap, messy, tick

N = 650  # rows: disturbances lie in the first half, recovery in the second
PIECES = (1, 324)  # few shapes, since each is compiled separately; tests/core/test_stream.py has many
# of each kind of memory, and sharing kernels with each other; compiling all of them takes minutes
SCALED = {
    **{"log_return": {}, "volatility": {}, "volume_zscore": {}, "kalman": {}, "macd": {}, "stochastic": {}},
    **{"residual_return": {}, "graph_degree": {}, "spectrum": {}, "volume_profile": {}, "calendar": {}},
    **{"signed_volume": {}, "kyle_lambda": {}, "vpin": {}, "mid_return": {}, "depth": {}, "ofi": {}},
}
SCALER = ScalerConfig(halflife=40.0)
PIPELINES = (*FEATURES, "scaled")
RECURSIVE = [name for name, feature in FEATURES.items() if feature.recursive]
WINDOWED = [name for name in FEATURES if name not in RECURSIVE]
CROSS_ASSET = [name for name, feature in FEATURES.items() if feature.cross_asset]

each = pytest.mark.parametrize("name", PIPELINES)
some = settings(max_examples=max(settings().max_examples // 3, 1))  # of each of so many features


@cache
def pipeline(name: str) -> Stream:
    return compiled(features.build(SCALED, SCALER) if name == "scaled" else features.build({name: {}}))


def tolerance(name: str) -> dict[str, float]:
    """Scaling divides by standard deviations down to 0.01, and rounding with it."""
    return {"rtol": 1e-5, "atol": 2e-4 if name == "scaled" else 1e-5}


@cache
def warm_up(name: str) -> int:
    """Rows of a clean market before the first that is ok."""
    ok = np.asarray(whole(pipeline(name))(bars(N)).ok).all(1)
    first = int(ok.argmax())
    assert ok[first:].all(), "a clean market stays ok"
    return first


def disturbed(name: str) -> list[str]:
    """Columns of the bars that get a bad tick."""
    if name in BOOK:
        return ["ask_price_0", "bid_size_0"]
    return ["close", "volume", "trades"] if name in FLOW else ["close", "volume"]


@each
def test_the_future_is_unseen(name):
    market = gap(bars(N), slice(200, 210))
    for t in (0, warm_up(name), 333):
        future_is_unseen(whole(pipeline(name)), market, t)


@each
@pytest.mark.slow
def test_a_prefix_gives_the_rows_of_the_whole(name):
    prefix_is_whole(whole(pipeline(name)), gap(bars(N), slice(200, 210)), max(PIECES), rtol=1e-6, atol=2e-6)


@each
@pytest.mark.parametrize("sizes", [(1,), pytest.param(PIECES, marks=pytest.mark.slow)])
def test_bar_by_bar_and_in_chunks_as_the_whole(name, sizes):
    chunks_are_whole(pipeline(name), gap(bars(N), slice(200, 210)), sizes, **tolerance(name))


@each
@some
@given(messy(N), st.integers(0, N - 2))
@pytest.mark.slow
def test_contract_on_messy_markets(name, recipe, t):
    market = recipe.bars()
    out = whole(pipeline(name))(market)
    x, ok = np.asarray(out.x), np.asarray(out.ok)
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert (x[~ok] == 0).all()
    future_is_unseen(whole(pipeline(name)), market, t)
    chunks_are_whole(pipeline(name), market, PIECES, **tolerance(name))


@each
@some
@given(messy(N, until=320))
def test_recovers_within_its_warm_up_after_gaps_and_bad_ticks(name, recipe):
    ok = np.asarray(whole(pipeline(name))(recipe.bars()).ok)
    assert ok[recipe.clean + warm_up(name) :].all()


@pytest.mark.parametrize("name", FEATURES)
def test_a_missing_bar_is_not_ok_and_leaves_other_assets_alone_unless_cross_asset(name):
    market = bars(N)
    before, after = (whole(pipeline(name))(m) for m in (market, gap(market, slice(300, 310), 0)))
    assert not np.asarray(after.ok)[300:310, 0].any()
    same = np.array_equal(before.x[:, 1], after.x[:, 1]) and np.array_equal(before.ok[:, 1], after.ok[:, 1])
    assert same != (name in CROSS_ASSET), "state in the registry whether other assets matter: Feature(cross_asset=...)"


@pytest.mark.parametrize("name", WINDOWED)
def test_a_bad_tick_leaves_no_trace(name):
    """A feature with an exponential memory says so in the registry: Feature(recursive=True)."""
    for column in disturbed(name):
        before, after = (whole(pipeline(name))(m) for m in (bars(N), tick(bars(N), 300, 0, column, 1e12)))
        first = 301 + 256
        np.testing.assert_array_equal(np.asarray(after.x)[first:], np.asarray(before.x)[first:])


@pytest.mark.parametrize("name", RECURSIVE)
def test_a_bad_tick_fades(name):
    """After 256 rows, half a halflife of the slowest memory, to less than a tenth of a standard deviation.

    In units of a slow average to less than 0.05, and only a tick after the first 500 rows.
    """
    slow, moved = FEATURES[name].slow_unit, 0
    market, row = (bars(1000), 600) if slow else (bars(N), 300)
    for column in disturbed(name):
        before, after = (np.asarray(whole(pipeline(name))(m).x) for m in (market, tick(market, row, 0, column, 1e12)))
        change = np.abs(after - before)
        moved = max(moved, change[row:].max())
        limit = 0.05 if slow else 0.1 * before[warm_up(name) :].std((0, 1))
        unit = "" if slow else ": state in the registry if the unit is a slow average: Feature(slow_unit=True)"
        assert (change[row + 1 + 256 :].max((0, 1)) < limit).all(), f"{column}{unit}"
    assert moved > 0.05


@pytest.mark.parametrize("name", FEATURES)
def test_options_are_keywords_with_types_and_defaults(name):
    _, _, *options = inspect.signature(FEATURES[name].function).parameters.values()
    for p in options:
        assert p.kind is p.KEYWORD_ONLY and p.default is not p.empty and p.annotation is not p.empty, p.name


def test_choices_are_checked():
    for name, feature in FEATURES.items():
        for option, hint in typing.get_type_hints(feature.function).items():
            is_list = typing.get_origin(hint) is tuple
            if typing.get_origin(typing.get_args(hint)[0] if is_list else hint) is typing.Literal:
                with pytest.raises(
                    ConfigError, match=rf"feature '{name}': option {option}(\[0\])? must be .*got 'nonsense'"
                ):
                    features.build({name: {option: ("nonsense",) if is_list else "nonsense"}})


@pytest.mark.parametrize("name", CROSS_ASSET)
def test_what_compares_assets_says_that_it_needs_two(name):
    market = bars(3, assets=1)
    try:
        features.names({name: {}}, market)
    except ConfigError as e:
        assert str(e).startswith(f"feature '{name}' needs at least two symbols; add symbols or leave the feature out")


def test_columns_that_bars_need():
    """PRICE needs neither flow nor book, FLOW no book; all say which column they miss."""
    without = bars(3).replace(taker_buy=None, trades=None, quote_volume=None, book=None)
    assert features.names({name: {} for name in PRICE}, without)
    assert features.names({name: {} for name in FLOW}, bars(3).replace(book=None))
    for name in (*FLOW, *BOOK):
        source = "an order book" if name in BOOK else "the column (taker_buy_base|trades)"
        with pytest.raises(ConfigError, match=f"feature '{name}' needs {source}, .*leave the feature out"):
            features.names({name: {}}, without)


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
    stream = features.build({name: {} for name in PRICE | FLOW}, ScalerConfig())
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


def test_the_output_is_a_jax_pytree_without_the_names():
    out = whole(compiled(features.build({"log_return": {}})))(bars(40))
    assert len(jax.tree.leaves(out)) == 2
