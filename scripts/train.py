"""Train a model, evaluate it on the test span and write the report.

python scripts/train.py --config configs/wavenet.py
python scripts/train.py --config configs/wavenet.py:hourly --config.data.path=data --config.train.steps=100
python scripts/train.py --resume results/wavenet-sim-20250101-120000
"""

import sys
from pathlib import Path

from absl import flags

from fxtrade.cli import flags as cli
from fxtrade.core.config import freeze
from fxtrade.experiment import run
from fxtrade.runs import run_dir

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the run's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the run's folder; default: the config's name and the time.")
RESUME = flags.DEFINE_string("resume", "", "Folder of a run to resume from its last checkpoint.")


def main() -> None:
    if RESUME.value:
        folder = Path(RESUME.value)
        run.run(run_dir.load_config(folder), folder.parent, resume=folder)
    else:
        config = freeze(cli.required(CONFIG.value, "--config configs/wavenet.py"))
        run.run(config, Path(RESULTS.value), RUN.value)


if __name__ == "__main__":
    sys.exit(cli.main(main))
