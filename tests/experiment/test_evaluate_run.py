from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from fxtrade.core.config import LabelConfig, RunConfig
from fxtrade.data.panel import Panel
from fxtrade.experiment.evaluate_run import null_panels
from fxtrade.report.progress import Console
from tests.helpers.markets import bars

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("label", "kinds"), [("open_to_open", ["random walk", "shuffled"]), ("volatility_direction", ["shuffled"])]
)
def test_mirrored_bars_are_not_trained_on_for_labels_of_volatility(label, kinds):
    market = bars(100)
    panel = Panel(market, HOUR * np.arange(100), ("A", "B"), HOUR, "test", np.full(market.ok.shape, 0.5))
    config = dataclasses.replace(RunConfig(), label=LabelConfig(label, 4))
    screen = io.StringIO()
    made = list(null_panels(panel, config, Console(file=screen)))
    assert [kind for kind, _ in made] == kinds
    # bars of a block that keep their order would tell how volatile it is
    assert made[-1][1].source.endswith(f"shuffled in blocks of {4 if len(kinds) == 2 else 1}")
    assert screen.getvalue().count("The random walk is not a null baseline") == 2 - len(kinds)
