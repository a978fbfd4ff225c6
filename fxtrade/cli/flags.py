"""Command-line flags of the scripts. Errors that a user can correct are printed as one message, not a traceback."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags
from ml_collections.config_dict import placeholder
from ml_collections.config_flags.tuple_parser import TupleParser

from fxtrade.cli import help
from fxtrade.core.config_dict import OPTIONAL_TYPES, to_config_dict
from fxtrade.core.errors import ConfigError, FxtradeError, Interrupted, first_line
from fxtrade.core.registry import closest, nearest
from fxtrade.runs import run_dir

OPEN = (  # groups that take new keys, checked later: of runs, of comparisons
    *("features", "options", "synth", "costs", "assets", "grid", "estimators"),
    *("market_budgets", "changes", "market_changes", "recipe_changes"),
)
REMOVABLE = ("features", "estimators", "trade.costs", "trade.assets")  # groups whose keys are removed by the value None
KINDS = {"int": "a whole number such as 1000", "float": "a number", "bool": "true or false"}  # by type of a flag
CONFIG_FILE = "Config file, with an optional variant after a colon (configs/wavenet.py:hourly), or a run's config.json."
CONTINUED = "config.train.steps"  # the key that a resumed run may change


class _Optional(flags.ArgumentParser):
    """The parser of a key that may be None."""

    def __init__(self, parser: flags.ArgumentParser):
        super().__init__()
        self.parser = parser

    def parse(self, argument: Any) -> Any:
        return None if argument == "None" else self.parser.parse(argument)

    def flag_type(self) -> str:
        return f"{self.parser.flag_type()} or None"


PARSERS = {int: flags.IntegerParser(), float: flags.FloatParser(), str: flags.ArgumentParser(), tuple: TupleParser()}
for _kind, _parser in PARSERS.items():
    config_flags.register_flag_parser_for_type(OPTIONAL_TYPES[_kind], _Optional(_parser))


class _ConfigFile(flags.ArgumentParser):
    """The parser of a config file, or of a run's `config.json`.

    It adds the new keys that the command line sets in open groups.
    """

    def __init__(self, parser: flags.ArgumentParser):
        super().__init__()
        self.parser = parser

    def parse(self, path: str) -> ConfigDict:
        try:
            own = Path(path).name == run_dir.CONFIG
            config = to_config_dict(run_dir.load_config(Path(path).parent)) if own else self.parser.parse(path)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            reason = str(e).strip().rpartition("\n")[2]  # ml_collections writes the traceback before it
            raise ConfigError(f"{path} cannot be used as a config: {reason}") from e
        if not isinstance(config, ConfigDict):
            missing = "there is no such file, or its get_config() does not return a ConfigDict"
            raise ConfigError(f"{path} is not a config: {missing}")
        _check_keys(sys.argv)
        found = [match for a in sys.argv if (match := re.match(r"--?(?:no)?config\.([\w.]+)(=None$)?", a))]
        _check_groups([match[1] for match in found])
        for match in found:
            group, _, name = match[1].rpartition(".")
            if group in REMOVABLE and match[2]:
                _make_removable(config, group, name)
            else:
                _add_keys(config, match[1].split("."))
        return config


def main(function: Callable[[], None], default_config: str = "") -> int:
    """Parse the flags and call `function`; return the exit code: 1 for an error, 128 + signal if interrupted.

    Args:
        default_config: name of the file in `configs/` that is used without `--config`, unless there is a `--run` whose
            config is used.
    """
    if help.is_asked(sys.argv):
        print(help.text(sys.argv))
        return 0
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parents[1]))  # config files import each other as `configs.x`
    try:
        parse(_with_config(sys.argv, default_config) if default_config else sys.argv)
        function()
    except Interrupted as e:
        return _fail(e, 128 + e.number)
    except KeyboardInterrupt:
        return _fail("stopped", 128 + signal.SIGINT)
    except FxtradeError as e:
        return _fail(e, 1)
    except RuntimeError as e:
        from fxtrade.core import compat  # not before, since it imports JAX, which takes seconds

        if not compat.is_out_of_memory(e):
            raise
        advice = "use fewer symbols, or a smaller train.batch or train.segment_length"
        return _fail(f"not enough memory: {first_line(e)}; {advice}", 1)
    return 0


def config_flag(about: str = CONFIG_FILE) -> flags.FlagHolder:
    """Define `--config`. The config is locked: only the groups of `OPEN` take new keys."""
    holder = config_flags.DEFINE_config_file("config", None, about, lock_config=True)
    flags.FLAGS["config"].parser = _ConfigFile(flags.FLAGS["config"].parser)
    return holder


def parse(argv: list[str]) -> None:
    """Set absl's flags from the command line.

    Overrides are of keys that the config has; `--config.features.rsi="{'windows': (14,)}"` adds a feature to it, and
    `--config.features.rsi=None` removes one, as `--config.trade.costs.fee=None` does a cost.

    Raises:
        ConfigError: an unknown flag or config key, naming the nearest one, a wrong type, or words that are not flags.
    """
    _check_resume(argv)
    try:
        rest = flags.FLAGS(argv)[1:]
    except flags.Error as e:
        if group := re.match(r"flag --(config[\w.]*)=(.*): Failed to parse .* as a ConfigDict", str(e), re.S):
            raise ConfigError(
                f"{group[1]} is a group of keys; set one of them, as in --{group[1]}.name={group[2]}"
            ) from e
        if (value := re.match(r"flag --(config[\w.]*)=(.*?): ", str(e), re.S)) and value[1] in flags.FLAGS:
            kind = flags.FLAGS[value[1]].flag_type()
            wanted = " or ".join(KINDS.get(word, word) for word in kind.split(" or "))
            raise ConfigError(f"--{value[1]}={value[2]}: the value must be {wanted}") from e
        raise ConfigError(str(e)) from e
    if "config" in flags.FLAGS and (config := flags.FLAGS["config"].value) is not None:
        _remove_keys(config)
    if rest:
        raise ConfigError(f"'{rest[0]}' is not a flag; overrides are written --config.train.steps=100")


def more_steps() -> int | None:
    """Return the number of steps to which a resumed run is to be trained; None: its own."""
    return flags.FLAGS[CONTINUED].value if CONTINUED in flags.FLAGS else None


def required(config: ConfigDict | None, example: str) -> ConfigDict:
    """Return the config. Raises ConfigError if the flag was not given."""
    if config is None:
        raise ConfigError(f"name a config, for example {example}")
    return config


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `"2/3"`, the second of three shards, to (2, 3). Raises ConfigError for anything that is not a shard."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard {text} must be i/n with i from 1 to n, as 1/2 and 2/2 for two processes")
    return int(found[1]), int(found[2])


def _with_config(argv: list[str], default: str) -> list[str]:
    """Return the command line with a config: that of the run in `--run`, or the default one.

    Raises:
        ConfigError: there are both a run and a config.
    """
    given = {found[1]: found[2] or following for a, following in zip(argv, [*argv[1:], ""], strict=True)
             if (found := re.fullmatch(r"--?(config|run)(?:=(.*))?", a))}  # fmt: skip
    if "run" not in given:
        file = Path(argv[0]).resolve().parents[1] / "configs" / default
        return argv if "config" in given else [argv[0], f"--config={file}", *argv[1:]]
    if "config" in given:
        raise ConfigError("--config cannot be given with --run, which has a config of its own; override its keys")
    run_dir.load_config(Path(given["run"]))  # says that it is not a run
    return [argv[0], f"--config={Path(given['run']) / run_dir.CONFIG}", *argv[1:]]


def _check_resume(argv: list[str]) -> None:
    """With `--resume`, define the flag of the key that may change. Raises ConfigError for flags that have no effect."""
    names = [found[1] for a in argv[1:] if (found := re.match(r"--?([\w.]+)", a))]
    if "resume" not in names:
        return
    for name in names:
        if name in ("run", "results") or (name.split(".")[0] == "config" and name != CONTINUED):
            raise ConfigError(
                f"--{name} cannot be given with --resume, which continues a run in its own folder with its own config; "
                f"only --{CONTINUED} may change, to train longer"
            )
    if CONTINUED not in flags.FLAGS:
        flags.DEFINE_integer(CONTINUED, None, "Number of steps to which the run is trained.", lower_bound=1)


def _check_keys(argv: list[str]) -> None:
    """Raise ConfigError for a key that a flag cannot name, such as a symbol with a dash; its group can be set."""
    for argument in argv:
        if found := re.match(r"--?config\.([\w.]+)\.(\w*[^\w.=\[][^=]*)=", argument):
            raise ConfigError(
                f"--config.{found[1]}.{found[2]}: a key has only letters, digits and _; set others by their group: "
                f"--config.{found[1]}=\"{{'{found[2].split('.')[0]}': ...}}\""
            )


def _check_groups(names: list[str]) -> None:
    """Raise ConfigError if a key of a group is set beside the group itself, which would lose the key."""
    for name in names:
        for group in names:
            if name.startswith(f"{group}."):
                raise ConfigError(
                    f"--config.{group} sets all keys of its group, so --config.{name} cannot be given beside it; "
                    f"give only the keys, or all of them as in --config.features.rsi=\"{{'windows': (7,)}}\""
                )


def _make_removable(config: ConfigDict, group: str, name: str) -> None:
    """Let a key of a group be set to None. Raises ConfigError if the group has no such key."""
    keys: Any = _group(config, group)
    if name not in keys:
        raise ConfigError(f"config.{group} has no '{name}' that could be removed{nearest(name, keys.keys())}")
    with keys.unlocked():
        del keys[name]
        keys[name] = placeholder(object)


def _remove_keys(config: ConfigDict) -> None:
    """Remove the keys that are None, in the groups of `REMOVABLE`."""
    for group in REMOVABLE:
        keys: Any = _group(config, group)
        with keys.unlocked():
            for name in [name for name, options in keys.items() if options is None]:
                del keys[name]


def _group(config: ConfigDict, path: str) -> ConfigDict:
    """Return a group of a config; an empty one where there is none."""
    group: Any = config
    for name in path.split("."):
        group = group.get(name, ConfigDict())
    return group


def _add_keys(config: ConfigDict, path: list[str]) -> None:
    """Add the keys of a path that the config lacks, in open groups. Raises ConfigError for another group."""
    group, walked, is_open = config, "config", False
    for key, following in zip(path, [*path[1:], None], strict=True):
        if not isinstance(group, ConfigDict):
            raise ConfigError(f"{walked} has no key '{key}': it is not a group")
        if key not in group:
            if not is_open:
                known = nearest(key, group.keys())
                if "options" in group and closest(key, {*group.keys()} - {"options"}) is None:
                    known += f"; an option is set by --{walked}.options.{key}"
                raise ConfigError(f"{walked} has no key '{key}'{known}")
            with group.unlocked():
                group[key] = placeholder(object) if following is None else ConfigDict()
        group, walked, is_open = group[key], f"{walked}.{key}", is_open or key in OPEN


def _fail(message: Any, code: int) -> int:
    print(f"error: {message}" if code == 1 else f"\n{message}", file=sys.stderr)
    return code
