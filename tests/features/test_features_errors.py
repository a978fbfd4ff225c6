"""Errors of a feature config name the feature and the option."""

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
        (
            {"log_return": {"horizons": 1}},
            r"feature 'log_return': option horizons must be a list with at least one item, got 1",
        ),
        ({"log_return": {"horizons": (1, -1)}}, r"option horizons\[1\] must be at least 1, got -1"),
        ({"log_return": {"horizons": ()}}, "option horizons must be a list"),
        ({"volatility": {"windows": (1.5,)}}, r"feature 'volatility': option windows\[0\] must be int, got 1.5"),
        ({"bar_shape": {"window": 0}}, "feature 'bar_shape': option window must be at least 1, got 0"),
        ({"calendar": {"periods": (1,)}}, r"option periods\[0\] must be 'hour', 'day', 'week' or 'funding', got 1"),
        ({"calendar": {"periods": ("dai",)}}, r"feature 'calendar': option periods\[0\] must be .* got 'dai'"),
    ],
)
def test_errors_of_build(spec, message):
    with pytest.raises(ConfigError, match=message):
        features.build(spec)


@pytest.mark.parametrize(
    "spec, message",
    [
        ({"vpin": {"size": 0.0}}, "feature 'vpin': option size must be positive, got 0"),
        ({"ofi_integrated": {"halflife": 0.0}}, "feature 'ofi_integrated': option halflife must be positive, got 0"),
    ],
)
def test_errors_when_the_first_rows_arrive(spec, message):
    with pytest.raises(ConfigError, match=message):
        features.names(spec, bars(3))
