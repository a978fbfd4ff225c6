"""The text of `--help`: what the script does with examples, its flags, and the configs with their variants."""

from __future__ import annotations

import ast
import shutil
import sys
import textwrap
from pathlib import Path

from absl import flags

WORDS = ("help", "h", "helpshort", "helpfull", "?")
VARIANTS = "sim (the default), random, bars, flow, next_close, hourly, volatility, book"


def is_asked(argv: list[str]) -> bool:
    """Return whether a flag of the command line asks for help."""
    return any(argument in {f"-{word}", f"--{word}"} for argument in argv[1:] for word in WORDS)


def text(argv: list[str]) -> str:
    """Return the help of the script that runs; with a config on the command line, that config's own text in full."""
    lines = [str(sys.modules["__main__"].__doc__).strip(), "", "Flags:"]
    for flag in [flags.FLAGS["config"], *flags.FLAGS.get_key_flags_for_module(argv[0])]:
        default = f" (default: {flag.default})" if flag.default else ""
        lines.append(_entry(f"--{flag.name}", f"{flag.help}{default}"))
    about = "Override a key of the config, such as --config.train.steps=100; fxtrade/core/config.py lists the keys."
    lines.append(_entry("--config.KEY=VALUE", about))
    chosen = _chosen_config(argv)
    if chosen is not None:
        return "\n".join([*lines, "", f"{chosen}:", "", _docstring(chosen)])
    lines += ["", f"Configs, with variants after a colon: {VARIANTS}"]
    lines += [_entry(f"configs/{path.name}", _docstring(path).splitlines()[0]) for path in _configs(argv[0])]
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


def _configs(script: str) -> list[Path]:
    """Return the files in `configs/` that can be given to `--config`."""
    folder = Path(script).resolve().parents[1] / "configs"
    return [path for path in sorted(folder.glob("*.py")) if "def get_config(" in path.read_text()]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""
