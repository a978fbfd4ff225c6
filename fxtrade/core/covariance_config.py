"""The configuration of a comparison of covariance estimators: the estimators, the dates, and the bars."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from ml_collections import ConfigDict

from fxtrade.core.config import DataConfig
from fxtrade.core.config_base import Config, Options, empty
from fxtrade.core.registry import Interval, Natural, check_names, from_mapping, require


@dataclasses.dataclass(frozen=True)
class CovarianceConfig(Config):
    """Every `horizon` bars each estimator sees `window` returns, and is judged on the `horizon` returns that follow."""

    name: str = "covariance"
    data: DataConfig = DataConfig()
    estimators: Mapping[str, Options] = empty()  # options by key of risk.covariance.COVARIANCES
    reference: str = "sample"  # the estimator that the others are compared with
    window: Annotated[int, Interval(ge=2)] = 250  # bars
    horizon: int = 5  # bars
    bootstrap_samples: int = 2000
    bootstrap_block: str = "30d"  # block of the bootstrap
    seed: Natural = 0  # of the bootstrap


def freeze(values: Mapping[str, Any]) -> CovarianceConfig:
    """Return the `CovarianceConfig` of nested mappings (a ConfigDict, parsed JSON).

    Raises:
        ConfigError: an unknown key (naming the nearest valid one), a wrong type or an impossible value.
    """
    values = values.to_dict() if isinstance(values, ConfigDict) else values
    config = from_mapping(CovarianceConfig, values, "config")
    require(bool(config.estimators), "config.estimators", {}, "name at least one estimator")
    check_names([config.reference], config.estimators, "config.reference: config.estimators has no")
    return config
