"""JSON to typed values, by the annotations of dataclasses: the inverse of `files.to_jsonable`."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fxtrade.core import files
from fxtrade.core.errors import FxtradeError

RECREATE = "run it again to recreate the file"
_hints = functools.cache(typing.get_type_hints)


class Versioned:
    """A dataclass with a field `version`, whose default is the version that this code writes and reads."""

    version: int

    def to_json(self) -> str:
        return json.dumps(files.to_jsonable(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Return the value that `to_json` wrote, up to infinities, which become NaN.

        Args:
            where: the file, for error messages.

        Raises:
            FxtradeError: the text is damaged or of another version.
        """
        try:
            values = json.loads(text)
            version = values["version"]
        except (ValueError, TypeError, KeyError, RecursionError) as e:
            raise FxtradeError(f"{where} is damaged or of an older version of fxtrade ({e!r}); {RECREATE}") from e
        if version != cls.version:
            raise FxtradeError(
                f"{where} holds version {version} of {cls.__name__}, this fxtrade reads {cls.version}; {RECREATE}"
            )
        return from_jsonable(cls, values, f"{where}: {cls.__name__}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the value in a file. Raises FxtradeError if it is missing, damaged or of another version."""
        try:
            return cls.from_json(path.read_text(), str(path))
        except (OSError, UnicodeDecodeError) as e:
            raise FxtradeError(f"{path} cannot be read: {e}") from e

    def write(self, path: Path) -> None:
        """Write the value to a file, atomically. Raises FxtradeError if that cannot be."""
        files.write_json(path, self)


def from_jsonable(hint: Any, value: Any, path: str) -> Any:
    """Return `value`, parsed from JSON, as the type `hint`; null in place of a float is NaN.

    Types are dataclasses, `tuple[X, ...]`, `Mapping[K, X]` with strings, numbers or enums as keys, `X | None`,
    `Literal`, scalars and Any.

    Args:
        path: file and field, for error messages.

    Raises:
        FxtradeError: a field is missing, unknown or of another type; the message names it.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value, path)
    if hint is Any or origin is typing.Literal:
        return _with_tuples(value)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else from_jsonable(args[0], value, path)
    if origin is tuple:
        return tuple(from_jsonable(args[0], v, f"{path}[{i}]") for i, v in enumerate(_check(value, list, path)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        items = _check(value, dict, path).items()
        return {_key(args[0], k, path): from_jsonable(args[1], v, f"{path}.{k}") for k, v in items}
    if hint is float:
        return math.nan if value is None else float(_check(value, (int, float), path))
    return _check(value, hint, path)


def _dataclass(cls: Any, values: Any, path: str) -> Any:
    hints, fields = _hints(cls), {f.name: f for f in dataclasses.fields(cls)}
    for name in _check(values, dict, path):
        if name not in fields:
            raise FxtradeError(f"{path} has a field '{name}' that this version of fxtrade does not know; {RECREATE}")
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise FxtradeError(f"{path} lacks the field '{name}'; {RECREATE}")
    return cls(**{name: from_jsonable(hints[name], value, f"{path}.{name}") for name, value in values.items()})


def _key(kind: Any, key: str, path: str) -> Any:
    try:
        return kind(key)
    except ValueError as e:
        raise FxtradeError(f"{path} has a key {key!r} that is not a {kind.__name__}; {RECREATE}") from e


def _check(value: Any, kind: Any, path: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = "a number" if kind == (int, float) else kind.__name__
        raise FxtradeError(f"{path} must be {wanted}, got {value!r:.60}; {RECREATE}")
    return value


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _with_tuples(v) for k, v in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
