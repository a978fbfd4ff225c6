"""Compare estimators of the covariance of assets: which of them forecasts risk best on these bars.

python scripts/covariance.py --config configs/covariance.py
python scripts/covariance.py --config configs/covariance.py --config.data.path=data/bars_1d --config.window=120
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.covariance_config import freeze
from fxtrade.core.files import check_writable
from fxtrade.data.files import find_files
from fxtrade.runs import run_dir

CONFIG = cli.config_flag("Config file with the estimators, such as configs/covariance.py.")
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the comparison's folder.")
NAME = flags.DEFINE_string("name", "", "Name of the comparison's folder; default: the config's name and the time.")


def main() -> None:
    config, results = freeze(cli.required(CONFIG.value, "--config configs/covariance.py")), Path(RESULTS.value)
    check_writable(run_dir.run_folder(results, NAME.value or config.name, "--name"))
    if config.data.path is not None:
        find_files(Path(config.data.path), config.data.symbols)
    backend.start()
    from fxtrade.experiment import covariance_study  # takes seconds, so it comes after all that may be wrong before

    covariance_study.run(config, results, NAME.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
