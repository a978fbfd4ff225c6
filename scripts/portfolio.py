"""Trade a portfolio of rules over the bars: sleeves of rules, blended by risk, with a tear sheet.

python scripts/portfolio.py --config configs/portfolio.py
python scripts/portfolio.py --config configs/portfolio.py:trend --config.data.path=data/bars_1d
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.portfolio_config import freeze
from fxtrade.data.files import find_files
from fxtrade.experiment import backtest_checks
from fxtrade.runs import run_dir

CONFIG = cli.config_flag("Config file, with an optional variant after a colon (configs/portfolio.py:trend).")
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the portfolio's folder.")
NAME = flags.DEFINE_string(
    "name", "", "The folder is <config.name>-<name>, the tear sheet has this title; default: the time."
)


def main() -> None:
    config, results = freeze(cli.required(CONFIG.value, "--config configs/portfolio.py")), Path(RESULTS.value)
    backtest_checks.new_folder(results, NAME.value, config.name)
    if config.run is not None:
        run_dir.load_config(Path(config.run))  # says that it is not a run
    if config.data.path is not None:
        find_files(Path(config.data.path), config.data.symbols)
    backend.start()
    from fxtrade.experiment import portfolio  # takes seconds, so it comes after all that may be wrong before

    portfolio.run(config, results, NAME.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
