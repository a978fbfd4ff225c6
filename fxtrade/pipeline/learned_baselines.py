"""The learned baselines by name: fitted to the training rows, they give probabilities for all others.

To add one, write its function, a name in `core.config.Baseline` and a line in `LEARNED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fxtrade import labels
from fxtrade.core.config import Baseline, RunConfig
from fxtrade.core.errors import ConfigError
from fxtrade.core.types import Forecast
from fxtrade.pipeline import baselines, har, network_baseline
from fxtrade.pipeline.dataset import Dataset


class LearnedBaseline(NamedTuple):
    """An entry of `LEARNED`.

    Attributes:
        title: name in reports.
        fit: from the data and the config of a run to forecasts of all rows except those of training.
        of_volatility: whether it is only for labels without direction.
    """

    title: str
    fit: Callable[[Dataset, RunConfig], Forecast]
    of_volatility: bool = False


LEARNED: dict[Baseline, LearnedBaseline] = {
    "logistic_regression": LearnedBaseline(
        "logistic regression", lambda data, c: baselines.logistic(data, c.label.classes, c.seed)
    ),
    "boosted_trees": LearnedBaseline(
        baselines.BOOSTED_TREES, lambda data, c: baselines.boosted_trees(data, c.label.classes, c.seed)
    ),
    "mlp": LearnedBaseline("MLP, last row", network_baseline.multilayer_perceptron),
    "har": LearnedBaseline("HAR", har.har, of_volatility=True),
    "seasonal_har": LearnedBaseline("seasonal HAR", har.seasonal_har, of_volatility=True),
}


def chosen(config: RunConfig) -> list[LearnedBaseline]:
    """Return the baselines that the config names, in the order of `LEARNED`; of all, those that fit its label.

    Raises:
        ConfigError: a choice, other than all, names one that does not fit the label.
    """
    directional, names = labels.spec(config.label).directional, config.report.baselines or ()
    unfit = {name for name in names if directional and LEARNED[name].of_volatility}
    if unfit and set(names) != set(LEARNED):
        raise ConfigError(
            f"config.report.baselines: '{min(unfit)}' is for labels of volatility, and '{config.label.name}' is none; "
            "leave it out"
        )
    return [entry for name, entry in LEARNED.items() if name in names and name not in unfit]


def fit(data: Dataset, config: RunConfig) -> Iterator[tuple[str, Forecast]]:
    """Yield title and forecast of each baseline of the config, one fitted after the other."""
    for entry in chosen(config):
        yield entry.title, entry.fit(data, config)
