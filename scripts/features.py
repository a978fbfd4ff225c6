"""Study features: information coefficients with later returns, and their significance. The test span is not read.

python scripts/features.py --config configs/wavenet.py
python scripts/features.py --config configs/wavenet.py:flow --config.data.path=data --config.study.horizons="(1, 5)"
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.config_dict import freeze
from fxtrade.runs import run_dir

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the study's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the study's folder; default: the config's name, 'features' and the time.")


def main() -> None:
    config = freeze(cli.required(CONFIG.value, "--config configs/wavenet.py"))
    run_dir.check_new(Path(RESULTS.value), RUN.value)
    backend.start()
    from fxtrade.experiment import feature_study  # takes seconds, so it comes after all that may be wrong before

    feature_study.run(config, Path(RESULTS.value), RUN.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
