"""Trade a run again on other terms, or your own targets or signals: equity, trades, costs and a tear sheet.

python scripts/backtest.py --run results/wavenet-sim-20250101-120000 --config.trade.latency=1
python scripts/backtest.py --targets weights.csv --data bars --config.trade.costs.fee.rate_bps=5
python scripts/backtest.py --signals signals.parquet --data bars --config.trade.bracket.stop=0.05

docs/trading.md describes the files and all keys of config.trade.
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.config import DataConfig
from fxtrade.core.config_dict import freeze, freeze_group
from fxtrade.core.errors import ConfigError
from fxtrade.core.trade_config import TradeConfig
from fxtrade.experiment import backtest_checks

CONFIG = cli.config_flag("Config file with keys of trade and data, for --targets and --signals.")
RUN = flags.DEFINE_string("run", "", "Folder of a finished run whose forecasts of its test span are traded.")
TARGETS = flags.DEFINE_string("targets", "", "Parquet or CSV file of target weights.")
SIGNALS = flags.DEFINE_string("signals", "", "Parquet or CSV file of entries and exits.")
DATA = flags.DEFINE_string("data", "", "Folder or file of the bars for --targets and --signals (config.data.path).")
RESULTS = flags.DEFINE_string(
    "results", "", "Folder that gets the backtest's folder; default: that of the run, or results."
)
NAME = flags.DEFINE_string(
    "name", "", "The backtest's folder is backtest-<name>, its tear sheet has this title; default: the time."
)


def main() -> None:
    given = [flag.name for flag in (RUN, TARGETS, SIGNALS) if flag.value]
    if len(given) != 1:
        raise ConfigError(f"give one of --run, --targets and --signals, not {' and '.join(given) or 'none'}")
    if RUN.value and DATA.value:
        raise ConfigError("--data cannot be given with --run, which has its own; --config.data.path says where it lies")
    config, run, file = CONFIG.value, Path(RUN.value), Path(TARGETS.value or SIGNALS.value)
    if DATA.value:
        config.data.path = DATA.value
    trade, data = freeze_group(TradeConfig, config, "trade"), freeze_group(DataConfig, config, "data")
    results = Path(RESULTS.value or RUN.value or "results")
    backtest_checks.new_folder(results, NAME.value)
    if not RUN.value:
        backtest_checks.check_files(file, data)
    backend.start()
    from fxtrade.experiment import backtest  # takes seconds, so it comes after all that may be wrong before

    if RUN.value:
        backtest.of_run(run, freeze(config), results, NAME.value)
    else:
        backtest.of_file(file, "weights" if TARGETS.value else "signals", trade, data, results, NAME.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main, default_config="backtest.py"))
