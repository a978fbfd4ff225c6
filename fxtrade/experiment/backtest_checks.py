"""What may be wrong with a backtest before anything is read that takes long, without JAX."""

from __future__ import annotations

from pathlib import Path

from fxtrade.core.config import DataConfig
from fxtrade.core.errors import ConfigError, DataError, FxtradeError
from fxtrade.core.files import check_writable
from fxtrade.data.files import find_files
from fxtrade.runs import run_dir


def new_folder(results: Path, name: str, kind: str = "backtest") -> Path:
    """Return the folder of a backtest, `<kind>-<name>`, or `<kind>-<time>` without a name, which is not there yet.

    Raises:
        FxtradeError: it cannot be made.
    """
    if name and Path(name).name != name:
        raise ConfigError(f"--name {name} must be a plain name; choose the folder around it with --results")
    for folder in run_dir.candidates(results, f"{kind}-{name}" if name else "", kind, "--name"):
        if not folder.exists():
            check_writable(folder)
            return folder
    raise FxtradeError(f"{results / f'{kind}-{name}'} exists already; give another --name")


def check_files(path: Path, data: DataConfig) -> None:
    """Raise FxtradeError unless there are a file of targets or signals, and files of bars."""
    if data.path is None:
        raise ConfigError(f"{path}: name the folder or file of its bars with --data")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    find_files(Path(data.path), data.symbols)
