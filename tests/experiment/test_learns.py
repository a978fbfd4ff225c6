"""The learner learns: what can be learnt of a market whose best possible accuracy is known, and nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from configs import wavenet
from fxtrade.core.config_dict import freeze
from fxtrade.experiment import run
from fxtrade.report.progress import Console
from fxtrade.report.schema import RunReport
from fxtrade.runs import run_dir

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sim", "random"])
def outcome(request, tmp_path_factory):
    """The report of the default config without its null baselines."""
    config = wavenet.get_config(request.param)
    config.report.null_baseline = False
    folder = run.run(freeze(config), tmp_path_factory.mktemp("learns"), "run", console=Console(quiet=True))
    return request.param, RunReport.read(folder / run_dir.REPORT)


def test_accuracy_against_the_oracle(outcome):
    """Planted: within one percentage point of the oracle, and above every rule and the logistic regression.
    Random walk: what there is to know is nothing, and the interval says so."""
    market, report = outcome
    everything, *surer = report.accuracy
    best = report.data.best_accuracy
    if market == "sim":
        assert best > 0.58
        assert everything.accuracy > best - 0.01
        assert everything.accuracy < best + 0.005, "better than the oracle: a leak"
        rivals = {name: table[0] for name, table in report.baselines.items()}
        assert all(everything.low > rival.accuracy for rival in rivals.values())
        accuracies = [everything.accuracy, *(row.accuracy for row in surer)]
        assert accuracies == sorted(accuracies)
        return
    assert everything.low < 0.5 < everything.high
    # the open of the next bar bounces, no more: about a percent of the moves
    assert abs(everything.accuracy - 0.5) < 0.01
    for row in surer:
        spread = 0.5 / np.sqrt(row.rows) if row.rows else 1
        assert abs(row.accuracy - 0.5) < 5 * spread + 0.01 or row.rows < 100


def test_money_follows_skill(outcome):
    """Without costs or delay the planted edge pays; the random walk does not, beyond chance."""
    market, report = outcome
    free = next(g for g in report.trading.grid if (g.fee_bps, g.latency) == (0, 0))
    late = next(g for g in report.trading.grid if (g.fee_bps, g.latency) == (0, 5))
    if market == "sim":
        assert free.sharpe > 5 and free.sharpe > late.sharpe + 3
    else:
        assert abs(free.sharpe) < 5
