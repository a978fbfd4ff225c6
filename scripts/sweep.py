"""Sweep the parameters of a trading rule over the bars: every combination of a grid, in one compiled program.

python scripts/sweep.py --config configs/sweep.py
python scripts/sweep.py --config configs/sweep.py:donchian --config.data.path=data/bars_1d
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.files import check_writable
from fxtrade.core.sweep_config import freeze
from fxtrade.data.files import find_files
from fxtrade.runs import run_dir

CONFIG = cli.config_flag("Config file, with an optional variant after a colon (configs/sweep.py:donchian).")
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the sweep's folder.")
NAME = flags.DEFINE_string("name", "", "Name of the sweep's folder; default: the config's name.")


def main() -> None:
    config, results = freeze(cli.required(CONFIG.value, "--config configs/sweep.py")), Path(RESULTS.value)
    check_writable(run_dir.run_folder(results, NAME.value or config.name, "--name"))
    if config.run is not None:
        run_dir.load_config(Path(config.run))  # says that it is not a run
    if config.data.path is not None:
        find_files(Path(config.data.path), config.data.symbols)
    backend.start(every_core=True)
    from fxtrade.experiment import sweep  # takes seconds, so it comes after all that may be wrong before

    sweep.run(config, results, NAME.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
