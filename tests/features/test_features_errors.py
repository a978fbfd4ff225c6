"""What is wrong with a feature config is said at once and by name."""

from __future__ import annotations

import pytest

from fxtrade import features
from fxtrade.core.errors import ConfigError
from tests.helpers.markets import bars


@pytest.mark.parametrize(
    "spec, message",
    [
        ({"log_retrn": {}}, r"there is no feature 'log_retrn'; did you mean 'log_return'\? \(known: .*bar_shape,"),
        ({"log_return": {"horizon": 1}}, r"feature 'log_return' has no option 'horizon'; did you mean 'horizons'"),
        ({"log_return": {"bars": 1}}, "has no option 'bars'"),
        ({"log_return": {"horizons": 1}}, r"feature 'log_return': option horizons must be a list such as \(1, 2"),
        ({"log_return": {"horizons": (1, -1)}}, "option horizons must be at least 1, got -1"),
        ({"log_return": {"horizons": ()}}, "option horizons must be a list"),
        ({"volatility": {"windows": (1.5,)}}, "feature 'volatility': option windows must be int, got 1.5"),
        ({"bar_shape": {"window": 0}}, "feature 'bar_shape': option window must be at least 1, got 0"),
        ({"calendar": {"periods": (1,)}}, "option periods must be str, got 1"),
    ],
)
def test_when_it_is_built(spec, message):
    with pytest.raises(ConfigError, match=message):
        features.build(spec)


def test_a_period_that_does_not_exist():
    with pytest.raises(ConfigError, match="feature 'calendar' has no period 'dai'; did you mean 'day'"):
        features.names({"calendar": {"periods": ("dai",)}}, bars(3))


@pytest.mark.parametrize(
    "name, column", [("taker_imbalance", "taker_buy"), ("flow_z", "taker_buy"), ("trade_size_z", "trades")]
)
def test_a_column_that_the_bars_lack(name, column):
    without = bars(3).replace(**{column: None})
    with pytest.raises(ConfigError, match=f"feature '{name}' needs the column {column}.*leave the feature out"):
        features.names({name: {}}, without)


def test_features_without_flow_need_no_flow():
    without = bars(3).replace(taker_buy=None, trades=None, quote_volume=None)
    spec = {name: {} for name in ("log_return", "volatility", "bar_shape", "volume_z", "calendar")}
    assert len(features.names(spec, without)) == 17
