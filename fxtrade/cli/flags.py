"""What the scripts share: errors that a user can act on are one message, never a traceback."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, FxtradeError, Interrupted
from fxtrade.core.options import nearest
from fxtrade.features import FEATURES

OPEN = ("config.loss.options", "config.pretrain.options", "config.model.options")  # to keys that the config lacks


def main(function: Callable[[], None]) -> int:
    """Parse the flags and call `function`; returns the exit code: 1 for a mistake, 128 + signal if stopped."""
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parents[1]))  # config files import each other as `configs.x`
    compat.compile_small_loops()
    compat.use_compilation_cache()
    try:
        parse(sys.argv)
        function()
    except Interrupted as e:
        return _fail(e, 128 + e.number)
    except KeyboardInterrupt:
        return _fail("stopped", 128 + signal.SIGINT)
    except FxtradeError as e:
        return _fail(e, 1)
    return 0


def config_flag() -> flags.FlagHolder:
    """Define `--config`. It takes new keys, of which `parse` refuses all but features and options."""
    about = "Config file, with an optional variant after a colon."
    return config_flags.DEFINE_config_file("config", None, about, lock_config=False, accept_new_attributes=True)


def parse(argv: list[str]) -> None:
    """Set absl's flags from the command line.

    Overrides are of keys that the config has; `--config.features.rsi="{'windows': (14,)}"` adds a feature to it.

    Raises:
        ConfigError: an unknown flag or config key, naming the nearest one, a wrong type, or words that are no flag.
    """
    app.define_help_flags()
    try:
        rest = flags.FLAGS(argv)[1:]
    except flags.Error as e:
        raise ConfigError(str(e)) from e
    except OSError as e:  # config_flags keeps the error of a file that it could not load and raises it on first use
        raise ConfigError(_no_config(_config_name(argv))) from e
    except (AttributeError, KeyError) as e:
        raise _unknown_key(argv) or ConfigError(f"{_config_name(argv)} cannot be used as a config: {e}") from e
    if unknown := _unknown_key(argv):
        raise unknown
    if rest:
        raise ConfigError(f"'{rest[0]}' is no flag; overrides are written --config.train.steps=100")


def required(config: ConfigDict | None, example: str) -> ConfigDict:
    """The config, if the flag was given and its file could be read."""
    if config is None:
        raise ConfigError(f"name a config, for example {example}")
    if not isinstance(config, ConfigDict):
        raise ConfigError(_no_config(_config_name(sys.argv)))
    return config


def parse_shard(text: str) -> tuple[int, int]:
    """`"2/3"`, the second of three shards, as (2, 3). Raises ConfigError for anything that is not a shard."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard {text} must be i/n with i from 1 to n, as 1/2 and 2/2 for two processes")
    return int(found[1]), int(found[2])


def _no_config(name: str) -> str:
    return f"{name} is no config: there is no such file, or its get_config() does not return a ConfigDict"


def _config_name(argv: list[str]) -> str:
    """What `--config` names; empty if it is not there."""
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        if found := re.fullmatch(r"--?config(?:=(.*))?", argument):
            return following if found[1] is None else found[1]
    return ""


def _unknown_key(argv: list[str]) -> ConfigError | None:
    """The error of the first override `--config.a.b=1` whose key does not exist."""
    paths = [found[1].split(".") for argument in argv if (found := re.match(r"--?config\.([\w.]+)", argument))]
    if not paths:
        return None
    # absl has set the flags by now, or stopped before that: read the file once more
    config = flags.FLAGS["config"].parser.parse(_config_name(argv))
    return next((error for path in paths if (error := _missing(config, path))), None)


def _missing(config: Any, path: list[str]) -> ConfigError | None:
    """The error of a path that the config lacks, unless it adds a feature or an option of a loss or the model."""
    walked = "config"
    for i, key in enumerate(path, 1):
        present = config.keys() if isinstance(config, ConfigDict) else ()
        if walked in OPEN:
            return None  # they depend on the loss or the model, which knows them
        if key not in present:
            new = FEATURES if walked == "config.features" else ()
            if key not in new:
                return ConfigError(f"{walked} has no key '{key}'{nearest(key, {*present, *new})}")
            if path[i:]:
                example = f"--{walked}.{key}=\"{{'{path[i]}': ...}}\""
                return ConfigError(f"{walked} has no key '{key}'; add it with its options: {example}")
            return None
        config, walked = config[key], f"{walked}.{key}"
    return None


def _fail(message: Any, code: int) -> int:
    print(f"error: {message}" if code == 1 else f"\n{message}", file=sys.stderr)
    return code
