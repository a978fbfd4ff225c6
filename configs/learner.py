r"""Does an architecture find an edge that is there? Every one on simulated markets whose best accuracy is known.

    python scripts/comparison.py --config configs/learner.py
    python scripts/comparison.py --config configs/learner.py:lag --config.models="('wavenet', 'mlp')" \
        --config.budget=500000

needs no data; all cells take about an hour on two CPU cores, and an interrupted comparison resumes. The second command
takes two minutes: the WaveNet finds the edge, and `mlp` cannot. Each market hides its edge in another place
(`fxtrade/data/planted.py`): `threshold`, `interaction`, `lag` (the flow of 50 bars ago), `volatility`, and `flow`, the
default of the simulated market.

--config.budget is the training of a cell in bars of single symbols, for each seed: 50 steps of 4 segments of 512 bars
of 4 symbols are 409,600. The recipe is that of configs/common.py, the same for all. Every network should come within
one percentage point of the best possible accuracy, `mlp` only where the last row says it all. The trees and the other
baselines stand beside them. Results: results/README.md.

Variants: one or several of these markets, as in `threshold,lag`; all but `flow` by default.
"""

from typing import get_args

from ml_collections import ConfigDict

from configs import common
from configs.comparison import MODELS
from fxtrade.data.synth import SignalName

SIGNALS = get_args(SignalName)


def get_config(variant: str = "") -> ConfigDict:
    parts = common.variants(variant, SIGNALS)
    changes = {  # a faster scaler hides the levels that two of the signals depend on
        signal: {"data": {"synth": {"signal": signal}}, "scaler": {"halflife": 4000.0}}
        for signal in parts or [s for s in SIGNALS if s != "flow"]
    }
    config = common.comparison("-".join(["learner", *parts]), MODELS, changes, preset="sim")
    config.update(seeds=1, budget=6_000_000, evaluations=6)
    return config
