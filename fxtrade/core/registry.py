"""Registries, which are dicts from names to functions or classes, and checks of the options that a config gives them.

`build` checks the name, the names of the options, and their types, which are the annotations: of the keyword-only
parameters of a function, or of the fields of a class (dataclass, NamedTuple, Flax module). `from_mapping` does the same
for nested config dataclasses. A bare `int` must be at least 1 and a tuple must not be empty; use
`Annotated[int, Interval(ge=0)]` for other ranges. The function or class itself checks everything else.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union

import numpy as np

from fxtrade.core.errors import ConfigError

DTYPES = Literal["float32", "bfloat16", "float16"]
GROUP = "a group of keys"


class Interval(NamedTuple):
    """The finite numbers at least `ge`, above `gt`, at most `le` and below `lt`: `Annotated[float, Interval(gt=0)]`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __contains__(self, x: float) -> bool:
        low = (self.ge is None or x >= self.ge) and (self.gt is None or x > self.gt)
        return low and (self.le is None or x <= self.le) and (self.lt is None or x < self.lt) and abs(x) < float("inf")

    def __str__(self) -> str:
        ends = zip(("at least", "above", "at most", "below"), self, strict=True)
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)


Natural = Annotated[int, Interval(ge=0)]
NonNegative = Annotated[float, Interval(ge=0)]
Positive = Annotated[float, Interval(gt=0)]
Fraction = Annotated[float, Interval(gt=0, lt=1)]
Share = Annotated[float, Interval(gt=0, le=1)]


def build(
    registry: Mapping[str, Any], name: str, options: Mapping[str, Any], kind: str, where: str, **fixed: Any
) -> Any:
    """Return an instance of the class `name`, or the function `name` as a `functools.partial`, with these options.

    Args:
        registry: functions and classes, or entries whose attribute `function` is one.
        kind: of the entry, in messages: "feature".
        where: the config key that names it, in messages: "config.features".
        fixed: Keyword arguments set by the program. Each is passed only to entries that accept it and cannot be set as
            an option.

    Raises:
        ConfigError: an unknown name or option (naming the nearest one), a wrong type, or an option that is missing.
    """
    check_names([name], registry, f"{where}: there is no {kind}")
    target, where = getattr(registry[name], "function", registry[name]), f"{where}: {kind} '{name}'"
    hints = option_types(target)
    fixed = {key: value for key, value in fixed.items() if key in hints}
    check_names(options, hints.keys() - fixed.keys(), f"{where} has no option")
    values = {key: convert(hints[key], value, f"{where}: option {key}") for key, value in options.items()} | fixed
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in hints.keys() - values.keys() and parameter.default is parameter.empty:
            raise ConfigError(f"{where} needs the option '{parameter.name}'")
    return target(**values) if isinstance(target, type) else functools.partial(target, **values)


def from_mapping(cls: type, values: Any, where: str) -> Any:
    """Return the dataclass of nested mappings (a ConfigDict, parsed JSON); `where` is the path of its keys in messages.

    Raises:
        ConfigError: an unknown key (naming the nearest one), a wrong type, or a value that the dataclass refuses.
    """
    if not isinstance(values, Mapping):
        raise _misfit(where, GROUP, values)
    hints = option_types(cls)
    check_names(values, hints, f"{where} has no key")
    values = {key: convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} needs the key '{field.name}'")
    try:
        return cls(**values)
    except ConfigError as e:
        raise ConfigError(f"{where}.{e}") from None


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config dataclass as plain dicts, tuples and scalars."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def require(condition: bool, key: str, value: Any, must: str) -> None:
    """Raise ConfigError unless `condition` holds. The message reads '<key> must <must>, got <value>'."""
    if not condition:
        raise ConfigError(f"{key} must {must}, got {value!r}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` and the list of known names, the end of a message about an unknown one."""
    known = sorted(known)
    close = closest(name, known)
    hint = f"; did you mean '{close}'?" if close else ""
    return f"{hint} (known: {', '.join(known) or 'none'})"


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to `name`, whatever the case, or None if none is similar."""
    plain = {other.lower(): other for other in known}
    return next((plain[found] for found in difflib.get_close_matches(name.lower(), plain, 1, 0.5)), None)


def check_names(given: Iterable[str], known: Iterable[str], message: str) -> None:
    """Raise ConfigError for the first given name that is not known; `message` is its beginning."""
    for name in given:
        if name not in known:
            raise ConfigError(f"{message} '{name}'{nearest(name, known)}")


@functools.cache
def option_types(target: Any) -> dict[str, Any]:
    """Return the annotations by name of what can be set: a function's keyword-only parameters, a class's fields."""
    hints, parameters = typing.get_type_hints(target, include_extras=True), inspect.signature(target).parameters
    flax = {"parent", "name"} if "parent" in parameters else set()  # which every Flax module has
    return {
        p.name: hints.get(p.name, Any)
        for p in parameters.values()
        if p.name not in flax and (isinstance(target, type) or p.kind == p.KEYWORD_ONLY)
    }


def convert(hint: Any, value: Any, where: str, alternative: str = "") -> Any:
    """Return `value` as the annotated type: lists become tuples, whole numbers floats, dtypes their names.

    Raises:
        ConfigError: it has another type; the message begins with `where` and names the type.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _plain(value)
    if value is None and types.NoneType in args:
        return None
    if np.number in args:
        return _scalar(hint, value, where, alternative)
    if origin in (Union, types.UnionType):
        *others, last = [kind for kind in args if kind is not types.NoneType]
        for kind in others:
            try:
                return convert(kind, value, where)
            except ConfigError:
                continue
        return convert(last, value, where, " or None" if types.NoneType in args else "")
    if hint is int:
        return convert(Annotated[int, Interval(ge=1)], value, where, alternative)
    if origin is Annotated:
        number = _scalar(args[0], value, where, alternative)
        if number not in args[1]:
            raise _misfit(where, f"{args[1]}{alternative}", value)
        return number
    if origin is Literal:
        if (type(value), value) not in [(type(choice), choice) for choice in args]:
            *first, last = map(repr, args)
            close = closest(value, map(str, args)) if isinstance(value, str) else None
            hint = f"; did you mean '{close}'?" if close else ""
            raise _misfit(where, f"{', '.join(first)} or {last}{alternative}", value, hint)
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or not value:
            raise _misfit(where, f"a list with at least one item{alternative}", value)
        return tuple(convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _misfit(where, f"{GROUP}{alternative}", value)
        return types.MappingProxyType({k: convert(args[1], v, f"{where}.{k}") for k, v in value.items()})
    if hint is np.dtype:
        import jax.numpy as jnp  # takes seconds, and no config needs it

        return jnp.dtype(value if isinstance(value, np.dtype) else convert(DTYPES, value, where))
    return _scalar(hint, value, where, alternative)


def _scalar(hint: Any, value: Any, where: str, alternative: str) -> Any:
    if np.number in typing.get_args(hint):  # a number that may be traced, such as `trading_types.Number`
        hint, value = float, float(value) if isinstance(value, np.number) else value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint if hint in (bool, int, float, str) else isinstance(value, hint):
        return value
    raise _misfit(where, f"{getattr(hint, '__name__', hint)}{alternative}", value)


def _misfit(where: str, must: str, value: Any, hint: str = "") -> ConfigError:
    return ConfigError(f"{where} must be {must}, got {value!r}{hint}")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value
