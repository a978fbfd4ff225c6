"""Sweep the parameters of a trading rule over the bars: every combination of a grid, in one compiled program.

python scripts/sweep.py --config configs/sweep.py
python scripts/sweep.py --config configs/sweep.py:donchian --config.data.path=data/bars_1d
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import flags as cli
from fxtrade.cli import process
from fxtrade.core import compat
from fxtrade.core.sweep_config import freeze
from fxtrade.runs import run_dir

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the sweep's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the sweep's folder; default: the config's name.")


def main() -> None:
    config, results = freeze(cli.required(CONFIG.value, "--config configs/sweep.py")), Path(RESULTS.value)
    run_dir.run_folder(results, RUN.value or config.name)
    compat.use_cores()
    compat.start_backend()
    from fxtrade.experiment import sweep  # takes seconds, so it comes after all that may be wrong before

    sweep.run(config, results, RUN.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
