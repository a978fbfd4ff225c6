"""Compare architectures and training recipes at equal budget. An interrupted comparison resumes when started again.

    python scripts/comparison.py --config configs/comparison.py:small
    python scripts/comparison.py --config configs/comparison.py:sim --config.budget=200000 --config.seeds=2
    python scripts/comparison.py --table results/comparison-small

Several processes may divide the work in one folder, with a core each:
    taskset -c 0 python scripts/comparison.py --config configs/comparison.py:small --shard 1/2
    taskset -c 1 python scripts/comparison.py --config configs/comparison.py:small --shard 2/2
"""

from pathlib import Path

from absl import flags

from fxtrade.cli import backend, process
from fxtrade.cli import flags as cli
from fxtrade.comparison import grid
from fxtrade.core.files import check_writable

CONFIG = cli.config_flag()
RESULTS = flags.DEFINE_string("results", "results", "Folder that gets the comparison's folder.")
RUN = flags.DEFINE_string("run", "", "Name of the comparison's folder; default: the config's name.")
TABLE = flags.DEFINE_string(
    "table", "", "Folder of a comparison: rewrite its tables and plots from the finished cells, without training."
)
SHARD = flags.DEFINE_string("shard", "1/1", "Run the i-th of n shards of the cells, written i/n.")


def main() -> None:
    results, shard = Path(RESULTS.value), cli.parse_shard(SHARD.value)
    config = None
    if not TABLE.value:
        config = grid.freeze(cli.required(CONFIG.value, "--config configs/comparison.py:small"))
        check_writable(results)
    backend.start()
    from fxtrade.comparison import run  # takes seconds, so it comes after all that may be wrong before

    if config is None:
        run.table(Path(TABLE.value))
    else:
        run.run(config, results, RUN.value, shard=shard)


if __name__ == "__main__":
    process.leave(lambda: cli.main(main))
