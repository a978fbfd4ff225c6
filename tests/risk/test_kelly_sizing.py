"""The sizing `kelly`: against its reference for forecasts of probabilities, against closed forms, and bad input."""

import numpy as np
import pytest

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.core.trading_types import Observation
from fxtrade.core.types import Forecast
from fxtrade.risk import RULES
from fxtrade.risk.rule import replay
from tests.helpers import kelly_loops
from tests.helpers.markets import bars, gap

N, A = 80, 3
OPTIONS = {
    "fraction": 0.5, "observations": 1e4, "halflife": 20.0, "shrinkage": 0.2, "min_bars": 5, "horizon": 3,
    "max_gross_exposure": 20.0, "allow_short": True,
}  # fmt: skip
kelly = RULES["kelly"]


def rows(probability: np.ndarray | float, classes: int = 2, assets: int = A, volatility: float = 0.02) -> Observation:
    """Forecasts of up with this probability, and half of the rest flat where there are three classes."""
    up = np.broadcast_to(probability, (N, assets))
    prob = np.stack([1 - up, up] if classes == 2 else [(1 - up) / 2, (1 - up) / 2, up], -1).astype(np.float32)
    return Observation(Forecast(prob, np.ones((N, assets), bool)), bars(N, assets, volatility=volatility))


def targets(seen: Observation, **options) -> np.ndarray:
    with compat.float64():
        return np.asarray(replay(kelly(**OPTIONS | options), seen))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "changed", [{}, {"shrinkage": 1.0}, {"max_gross_exposure": 0.3}, {"allow_short": False}], ids=str
)
def test_probabilities_are_sized_as_in_the_loop(classes, changed):
    seen = rows(np.random.default_rng(0).uniform(0.2, 0.8, (N, A)), classes)
    seen = seen._replace(bars=gap(seen.bars, slice(20, 25), 1))
    got = targets(seen, **changed)
    np.testing.assert_allclose(got, kelly_loops.kelly(seen, **OPTIONS | changed), rtol=1e-9, atol=1e-12)
    assert np.abs(got).sum(1).max() > 0.29


def test_one_asset_has_the_stake_of_a_bet_on_its_move():
    """With moves of +-s the binary bet pays `fraction * edge / s`; a normal move has the mean size sqrt(2 / pi) s."""
    seen = rows(0.55, assets=1)
    got = targets(seen, shrinkage=0.0, halflife=1e6, observations=np.inf, horizon=1)
    moves = np.diff(np.asarray(seen.bars.close, np.float64)[:, 0]) / np.asarray(seen.bars.close, np.float64)[:-1, 0]
    expected = 0.5 * np.sqrt(2 / np.pi) * 0.1 / np.sqrt(np.mean(moves**2))
    assert got[-1, 0] == pytest.approx(expected, rel=1e-3)


def test_forecasts_of_no_move_hold_nothing():
    assert (targets(rows(0.5)) == 0).all()


def test_assets_that_replicate_each_other_share_the_weight_of_one():
    one = rows(0.6, assets=1)
    columns = ("open", "high", "low", "close", "volume", "ok")
    twins = rows(0.6, assets=2).bars.replace(**{c: np.repeat(getattr(one.bars, c), 2, 1) for c in columns})
    both = targets(rows(0.6, assets=2)._replace(bars=twins), shrinkage=0.0)
    np.testing.assert_allclose(both.sum(1), targets(one)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(both[:, 0], both[:, 1], rtol=1e-9)


def test_few_observations_shrink_small_edges_most():
    for p, low, high in ((0.9, 0.95, 1), (0.52, 0, 0.1)):
        shrunk, plain = (
            targets(rows(p), observations=number, max_gross_exposure=1e3)[10:] for number in (100.0, np.inf)
        )
        assert (low < shrunk / plain).all() and (shrunk / plain < high).all()


def test_bars_without_a_move_have_no_weight():
    assert (targets(rows(0.9, volatility=0.0)) == 0).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fraction": -0.1}, "fraction=-0.1"),
        ({"observations": 0.0}, "observations=0.0"),
        ({"halflife": -1.0}, "halflife=-1.0"),
        ({"shrinkage": 1.5}, "shrinkage=1.5"),
        ({"max_gross_exposure": -1.0}, "max_gross_exposure=-1.0"),
        ({"horizon": 0}, "horizon=0"),
    ],
)
def test_impossible_options_are_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message):
        kelly(**options)


def test_a_forecast_without_bars_or_with_five_classes_is_one_clear_error():
    seen = rows(0.5)
    with pytest.raises(ConfigError, match="reads a forecast and bars"):
        replay(kelly(), seen._replace(bars=None))
    five = Forecast(np.full((N, A, 5), 0.2, np.float32), np.ones((N, A), bool))
    with pytest.raises(ConfigError, match="5 classes"):
        replay(kelly(), seen._replace(forecast=five))
