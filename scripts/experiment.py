"""Compare all architectures and ways of training at equal budget; stop it at any time and start it again.

    python scripts/experiment.py --config configs/comparison.py:small
    python scripts/experiment.py --config configs/comparison.py:sim --config.budget=200000 --config.seeds=2
    python scripts/experiment.py --table results/comparison-small
"""

import sys
from pathlib import Path

from absl import flags

from fxtrade.experiment import cli, comparison, recipes

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the comparison's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the comparison's folder; default: the config's name.")
TABLE = flags.DEFINE_string("table", "", "Folder of a comparison, whose tables and plots are made anew from its cells.")


def main() -> None:
    if TABLE.value:
        comparison.table(Path(TABLE.value))
    else:
        config = recipes.freeze(cli.required(CONFIG.value, "--config configs/comparison.py:small"))
        comparison.run(config, Path(RESULTS.value), RUN.value)


if __name__ == "__main__":
    sys.exit(cli.main(main))
