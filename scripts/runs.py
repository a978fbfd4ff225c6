"""Compare runs: accuracy, trading and speed side by side, and the config keys in which they differ.

    python scripts/runs.py results/*
    python scripts/runs.py results/* --sort sharpe --plot comparison.png

Exit code: 0 done, 1 nothing to compare, 2 arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from fxtrade.cli import process
from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.report import runs_table
from fxtrade.report.plotting import pixels, save_png


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of runs; others are reported and skipped")
    parser.add_argument("--sort", default="accuracy", help="accuracy, top_5, log_loss, sharpe, seconds, name, ...")
    parser.add_argument("--plot", type=png, help="PNG file for accuracy by coverage and equity of all runs")
    return parser.parse_args(argv)


def png(text: str) -> Path:
    """Return the path of a plot. Raises ArgumentTypeError for another format."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} must end in .png, the format of plots")
    return path


def main() -> int:
    options = parse()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        runs, skipped = runs_table.collect(options.folders)
        for reason in skipped:
            print(f"skipped {reason}", file=sys.stderr)
        runs = runs_table.order(runs, options.sort)
        runs_table.show(console, runs)
        if options.plot:
            save_png(options.plot, pixels(runs_table.figure(runs)))
            print(f"plot: {options.plot}")
    except FxtradeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


if __name__ == "__main__":
    process.leave(main)
