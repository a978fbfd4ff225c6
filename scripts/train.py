"""Train a model, evaluate it on the test span and write the report.

python scripts/train.py --config configs/wavenet.py
python scripts/train.py --config configs/wavenet.py:hourly --config.data.path=data --config.train.steps=100
python scripts/train.py --resume results/wavenet-sim-20250101-120000
python scripts/train.py --resume results/wavenet-sim-20250101-120000 --config.train.steps=2000
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.core.config_dict import freeze
from fxtrade.runs import continuation, run_dir

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the run's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the run's folder; default: the config's name and the time.")
RESUME = flags.DEFINE_string("resume", "", "Folder of a run to resume from its last checkpoint.")


def main() -> None:
    folder, results = Path(RESUME.value), Path(RESULTS.value)
    if RESUME.value:
        continuation.planned_config(folder, cli.more_steps())
    else:
        config = freeze(cli.required(CONFIG.value, "--config configs/wavenet.py"))
        run_dir.check_new(results, RUN.value)
    backend.start()
    from fxtrade.experiment import run  # takes seconds, so it comes after all that may be wrong before

    if RESUME.value:
        run.resume(folder, cli.more_steps())
    else:
        run.run(config, results, RUN.value)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
