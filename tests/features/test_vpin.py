"""VPIN against a table by hand and a loop that fills buckets piece by piece in float64."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.features.vpin import Buckets, fill
from tests.features.test_features_reference import columns, precise
from tests.features.test_features_reference import slow_volume as slow_average
from tests.features.test_flow import MARKET, close_to, net, total
from tests.helpers.markets import bars, gap, quiet


def buckets_of(volume, share, n):
    """VPIN after every bar, from a list of buckets of volume 1 that are filled piece by piece, in float64."""
    done, filled, flow, out = [], 0.0, 0.0, []
    for v, s in zip(volume, share, strict=True):
        while v > 0:
            piece = min(v, 1 - filled)
            filled, flow, v = filled + piece, flow + s * piece, v - piece
            if filled >= 1 - 1e-6:
                done, filled, flow = [*done, abs(flow)], 0.0, 0.0
            if v < 1e-12:
                break
        out.append(np.mean(done[-n:]) if done else 0.0)
    return np.array(out)


def test_vpin_of_six_bars_by_hand():
    """Bars of 8 fill buckets of 6: |net buys| of the buckets are 6, 4, 0, 6, 0, 1, 0, 3."""
    bought = np.array([[8.0], [6], [0], [4], [5], [2]], np.float32)
    market = bars(6, assets=1).replace(volume=np.full((6, 1), 8, np.float32), taker_buy=bought)
    made = columns({"vpin": {"buckets": 3, "size": 0.75}}, market)["vpin_3"][:, 0]
    assert np.isnan(made[:2]).all()
    np.testing.assert_allclose(made[2:], [10 / 18, 6 / 18, 7 / 18, 4 / 18], rtol=1e-6)


def test_vpin():
    b = precise(MARKET)
    clock = b.volume / (1.7 * slow_average(b.volume))
    share = np.where(b.volume > 0, net(b) / np.where(b.volume > 0, b.volume, 1), 0)
    made = columns({"vpin": {"buckets": 7, "size": 1.7}}, MARKET)["vpin_7"]
    expected = np.stack([buckets_of(clock[:, a], share[:, a], 7) for a in range(2)], 1)
    assert np.isnan(made[:11]).all()
    close_to(made[11:], expected[11:])


bar = st.tuples(st.sampled_from([0.0, 0.125, 0.5, 1.0, 1.75, 2.25, 6.5]), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]))


@given(st.lists(bar, min_size=1, max_size=24), st.integers(1, 5))
def test_buckets_that_bars_cross_and_fill_several_of(rows, n):
    volume, share = np.array(rows).T
    b = Buckets(*np.zeros((2, 1), np.float32), np.zeros((n, 1), np.float32), *np.zeros((3, 1), np.float32))
    at_most = np.minimum(volume, n + 1)
    for v, s, expected in zip(volume, share, buckets_of(at_most, share, n), strict=True):
        b, (value, _) = jax.jit(fill)(b, (np.float32([v if v < n + 1 else n + 1]), np.float32([s])))
        np.testing.assert_allclose(value, [expected], rtol=1e-6, atol=1e-6)


def test_vpin_holds_over_a_gap_and_is_zero_without_trades():
    market = bars(60)
    spec = {"vpin": {"buckets": 5, "size": 2.0}}
    before, after = columns(spec, market)["vpin_5"], columns(spec, gap(market, slice(30, 40)))["vpin_5"]
    np.testing.assert_array_equal(after[:30], before[:30])
    assert np.isnan(after[30:40]).all() and np.isfinite(after[40:]).all()
    silent = columns(spec, quiet(market, np.ones((60, 2), bool)))["vpin_5"]
    assert (silent[10:] == 0).all()


def test_vpin_bars():
    b = precise(MARKET)
    made = columns({"vpin_bars": {"windows": (8,)}}, MARKET)["vpin_bars_8"]
    close_to(made[7:], (total(np.abs(net(b)), 8) / total(b.volume, 8))[7:])
