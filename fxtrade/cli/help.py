"""The text of `--help`: what the script does with examples, its flags, and the configs with their variants."""

from __future__ import annotations

import ast
import shutil
import sys
import textwrap
from pathlib import Path

from absl import flags

WORDS = ("help", "h", "helpshort", "helpfull", "?")
MARKETS = "sim (the default), random, bars, flow, next_close, hourly, volatility, book"
SWEEPS = "sma (the default), ema, donchian, rsi, momentum, sizing, gate, forecast"
PORTFOLIOS = "trend (the default), trend_short, universe, carry, forecast, allocation, all"
VARIANTS = {"train.py": MARKETS, "features.py": MARKETS, "sweep.py": SWEEPS, "portfolio.py": PORTFOLIOS}
TAKES = {"features.py": ("features.py", "train.py")}  # scripts whose configs a script takes, where not only its own


def is_asked(argv: list[str]) -> bool:
    """Return whether a flag of the command line asks for help."""
    return any(argument in {f"-{word}", f"--{word}"} for argument in argv[1:] for word in WORDS)


def text(argv: list[str]) -> str:
    """Return the help of the script that runs; with a config on the command line, that config's own text in full."""
    lines = [str(sys.modules["__main__"].__doc__).strip(), "", "Flags:"]
    for flag in [flags.FLAGS["config"], *flags.FLAGS.get_key_flags_for_module(argv[0])]:
        default = f" (default: {flag.default})" if flag.default else ""
        lines.append(_entry(f"--{flag.name}", f"{flag.help}{default}"))
    about = "Override a key of the config, such as --config.trade.latency=1; fxtrade/core/*config.py list the keys."
    lines.append(_entry("--config.KEY=VALUE", about))
    chosen = _chosen_config(argv)
    if chosen is not None:
        return "\n".join([*lines, "", f"{chosen}:", "", _docstring(chosen)])
    variants = VARIANTS.get(Path(argv[0]).name)
    lines += ["", f"Configs, with variants after a colon: {variants}" if variants else "Configs:"]
    lines += [_entry(f"configs/{path.name}", _docstring(path).splitlines()[0]) for path in configs(argv[0])]
    return "\n".join([*lines, "", "--config FILE --help shows the text of a config in full."])


def _entry(name: str, about: str) -> str:
    """Return a name and what it means, as a line or several that fit the terminal."""
    width = min(shutil.get_terminal_size().columns, 120)
    start = f"  {name}".ljust(27) + " "
    return textwrap.fill(about, width, initial_indent=start, subsequent_indent=" " * 28)


def _chosen_config(argv: list[str]) -> Path | None:
    """Return the config file that the command line names, if it exists."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = argument.lstrip("-").partition("=")
        if name == "config" and argument.startswith("-"):
            path = Path((value or following).rpartition(":")[0] or value or following)
            return path if path.is_file() else None
    return None


def configs(script: str) -> list[Path]:
    """Return the files in `configs/` for the script: those whose text shows a command with it."""
    path = Path(script).resolve()
    commands = [f"python scripts/{name} " for name in TAKES.get(path.name, (path.name,))]
    files = sorted((path.parents[1] / "configs").glob("*.py"))
    return [file for file in files if any(command in _docstring(file) for command in commands)]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""
