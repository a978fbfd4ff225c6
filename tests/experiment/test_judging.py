from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.experiment import fitting, forecast, judging, recipes
from fxtrade.train import members
from tests.tiny_comparison import TINY, config


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 6))
def test_preceded(wanted, lead):
    made = judging.preceded(np.array(wanted), lead)
    for t in range(len(wanted)):
        assert made[t] == any(wanted[t : t + lead + 1])


@given(st.integers(1, 2_000), st.integers(1, 64))
def test_thinned(tiny_market, most, length):
    thin, valid = judging.thinned(tiny_market.data, length, most), tiny_market.data.split.valid
    assert not (thin & ~valid).any() and thin.any()
    assert 2 * thin.sum() <= max(most, 2 * length)
    if most >= 2 * valid.sum() + 2 * length:
        usable = (tiny_market.data.features.ok & (tiny_market.data.labels.y >= 0)).any(1)
        np.testing.assert_array_equal(thin & usable, valid & usable)


def test_thinned_rows_spread_over_the_span(tiny_market):
    rows = np.flatnonzero(judging.thinned(tiny_market.data, 8, 128))
    whole = np.flatnonzero(tiny_market.data.split.valid)
    assert rows.mean() == pytest.approx(whole.mean(), abs=0.1 * len(whole))


@pytest.mark.parametrize("model", ["wavenet", "tcn"])
def test_reading_only_what_is_needed_gives_the_same_forecasts(tiny_market, model):
    """With a hole in the wanted rows that is longer than the lead."""
    cell = next(c for c in recipes.cells(config(), {"sim": 2}) if c.model == model)
    network = fitting.network(cell.stages[0])
    params = members.stack(
        [network.init(jax.random.PRNGKey(i), np.zeros((1, 1, 2, 2), np.float32))["params"] for i in range(2)]
    )
    split = tiny_market.data.split
    wanted = split.valid & (np.arange(len(split.valid)) % 100 > 80)
    data = tiny_market.data._replace(split=split.replace(valid=wanted))
    made = judging.forecasts(cell.stages[0], network, params, data)
    used = wanted | split.test
    for i, (one, _) in enumerate(made):
        whole = forecast.score(network, members.member(params, i), tiny_market.data.features)
        np.testing.assert_array_equal(one.ok, whole.ok & used[:, None])
        np.testing.assert_allclose(one.prob[one.ok], whole.prob[one.ok], atol=1e-6)


def test_forecasts_that_adapt_are_those_of_a_single_run(tiny_market):
    own = {"changes": TINY["changes"] | {"adapt": {"steps": 2, "every": 20, "lookback": 40}}, "seeds": 1}
    cell = recipes.cells(config(own), {"sim": 2})[0].stages[0]
    network = fitting.network(cell)
    params = network.init(jax.random.PRNGKey(0), np.zeros((1, 1, 2, 2), np.float32))["params"]
    ((made, _),) = judging.forecasts(cell, network, params, tiny_market.data)
    ((whole, _),) = judging.adapt.score(network, judging.objective(cell), [params], tiny_market.data, cell.adapt)
    np.testing.assert_allclose(made.prob[made.ok], whole.prob[made.ok], atol=1e-6)
    plain = forecast.score(network, params, tiny_market.data.features)
    assert np.abs(made.prob - plain.prob)[made.ok].max() > 1e-4


def test_sums_by_day_are_the_accuracies(tiny_market):
    rng = np.random.default_rng(0)
    prob = rng.dirichlet((3, 3), tiny_market.data.labels.y.shape)
    entry, sums = judging.judge(tiny_market, judging.Forecast(prob, tiny_market.data.features.ok))
    shares = judging.accuracies(sums)
    for i, kind in enumerate(tiny_market.labels):
        table = entry["accuracy"][kind]
        np.testing.assert_allclose(shares[i], [r["accuracy"] for r in table])
        np.testing.assert_array_equal(sums.count[i].sum(-1), [r["rows"] for r in table])
    assert list(tiny_market.labels) == ["tradable", "close"]
    assert sums.surprise.sum() / sums.rows.sum() == pytest.approx(entry["scores"]["log_loss"], rel=1e-12)
    np.testing.assert_array_equal(sums.rows, sums.count[0, 0])
