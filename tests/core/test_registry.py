"""Options against annotations: what fits is converted, and what does not is named."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import registry
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import Fraction, Interval, Natural, build, convert, from_mapping, nearest, to_dict
from fxtrade.core.types import PerAsset


def mean(x, *, window: int = 8, kind: Literal["plain", "weighted"] = "plain", scale: float | None = None):
    return x, window, kind, scale


@dataclasses.dataclass(frozen=True)
class Band:
    width: Annotated[float, Interval(gt=0, le=2)]
    ends: tuple[int, ...] = (1, 2)

    def __post_init__(self):
        registry.require(sum(self.ends) < 10, "ends", self.ends, "sum to less than 10")


class Stop(NamedTuple):
    level: Fraction = 0.5


class Layer(nn.Module):
    size: int = 4
    dtype: jnp.dtype = jnp.float32


class Entry(NamedTuple):
    function: Any
    trait: bool = True


THINGS = {"mean": mean, "band": Band, "stop": Stop, "layer": Layer, "entry": Entry(mean)}


def make(name, options, **fixed):
    return build(THINGS, name, options, "thing", "config.things", **fixed)


def test_a_function_becomes_a_partial_and_a_class_an_instance():
    assert make("mean", {"window": 3, "scale": 2})(7) == (7, 3, "plain", 2.0)
    assert make("entry", {"kind": "weighted"})(7) == (7, 8, "weighted", None)
    assert make("band", {"width": 2, "ends": [3]}) == Band(2.0, (3,))
    assert make("stop", {"level": 0.25}) == Stop(0.25)
    assert make("layer", {"size": 2, "dtype": "bfloat16"}) == Layer(2, jnp.dtype("bfloat16"))


def test_fixed_values_go_where_they_are_taken_and_are_no_options():
    assert make("mean", {}, window=5, width=1.0)(0) == (0, 5, "plain", None)
    assert make("band", {}, window=5, width=1.0) == Band(1.0)
    with pytest.raises(ConfigError, match="thing 'mean' has no option 'window'.*known: kind, scale."):
        make("mean", {"window": 3}, window=5)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("men", {}, r"there is no thing 'men'; did you mean 'mean'\? \(known: band, entry, layer, mean, stop\)"),
        ("mean", {"windw": 3}, r"thing 'mean' has no option 'windw'; did you mean 'window'\?"),
        ("mean", {"x": 3}, "thing 'mean' has no option 'x'"),
        ("mean", {"window": 0}, "thing 'mean': option window must be at least 1, got 0"),
        ("mean", {"kind": "wighted"}, "option kind must be 'plain' or 'weighted', got 'wighted'"),
        ("mean", {"scale": "2"}, "option scale must be float or None, got '2'"),
        ("band", {}, "thing 'band' needs the option 'width'"),
        ("band", {"width": 3}, "option width must be above 0 and at most 2, got 3"),
        ("stop", {"level": 1}, "thing 'stop': option level must be above 0 and below 1, got 1"),
        ("layer", {"name": "x"}, "thing 'layer' has no option 'name'"),
        ("layer", {"dtype": "float8"}, "option dtype must be 'float32', 'bfloat16' or 'float16', got 'float8'"),
    ],
)
def test_what_does_not_fit_is_named(name, options, message):
    with pytest.raises(ConfigError, match=rf"^config\.things: .*{message}"):
        make(name, options)


def test_a_class_refuses_values_in_its_own_words():
    with pytest.raises(ConfigError, match=r"^ends must sum to less than 10, got \(5, 5\)"):
        make("band", {"width": 1, "ends": (5, 5)})


@pytest.mark.parametrize(
    "hint, given, converted",
    [
        (int, 3, 3),
        (Natural, 0, 0),
        (float, 2, 2.0),
        (float, -0.5, -0.5),
        (bool, False, False),
        (str, "", ""),
        (float | None, None, None),
        (PerAsset | None, None, None),
        (PerAsset | None, 2, 2.0),
        (float | str, 1, 1.0),
        (float | str, "a", "a"),
        (Literal[2, 3], 3, 3),
        (tuple[float, ...], [1, 0.5], (1.0, 0.5)),
        (tuple[str, ...] | None, ["b"], ("b",)),
        (Any, {"a": [1, [2]]}, {"a": (1, (2,))}),
    ],
)
def test_what_fits(hint, given, converted):
    made = convert(hint, given, "here")
    assert made == converted and type(made) is type(converted)


@pytest.mark.parametrize(
    "hint, given, message",
    [
        (int, 1.0, "here must be int, got 1.0"),
        (int, True, "here must be int, got True"),
        (int, -2, "here must be at least 1, got -2"),
        (Natural, -1, "here must be at least 0, got -1"),
        (bool, 1, "here must be bool, got 1"),
        (float, "a", "here must be float, got 'a'"),
        (float, None, "here must be float, got None"),
        (Fraction, float("nan"), "here must be above 0 and below 1, got nan"),
        (registry.Positive, float("inf"), "here must be above 0, got inf"),
        (float | str, (1,), r"here must be str, got \(1,\)"),
        (Literal[2, 3], 2.0, "here must be 2 or 3, got 2.0"),
        (tuple[int, ...], 5, "here must be a list with at least one item, got 5"),
        (tuple[int, ...], "12", "here must be a list"),
        (tuple[int, ...], (), "here must be a list"),
        (tuple[int, ...] | None, (), "here must be a list with at least one item or None"),
        (tuple[int, ...], (1, -2), r"here\[1\] must be at least 1, got -2"),
        (tuple[str, ...], ("b", 3), r"here\[1\] must be str, got 3"),
    ],
)
def test_what_does_not_fit(hint, given, message):
    with pytest.raises(ConfigError, match=message):
        convert(hint, given, "here")


@given(st.floats(allow_nan=True), st.floats(-10, 10), st.floats(-10, 10))
def test_intervals(x, low, high):
    assert (x in Interval(ge=low, lt=high)) == (low <= x < high)
    assert (x in Interval(gt=low, le=high)) == (low < x <= high)


def test_a_dataclass_of_mappings_and_back():
    @dataclasses.dataclass(frozen=True)
    class Outer:
        band: Band
        name: str = "a"

    outer = from_mapping(Outer, {"band": {"width": 1, "ends": [4]}}, "config")
    assert outer == Outer(Band(1.0, (4,))) and from_mapping(Outer, to_dict(outer), "config") == outer
    for values, message in [
        ({"band": {"widht": 1}}, r"config\.band has no key 'widht'; did you mean 'width'"),
        ({"band": {"width": 0}}, r"config\.band\.width must be above 0"),
        ({"band": {"width": 1, "ends": (9, 9)}}, r"config\.band\.ends must sum to less than 10, got \(9, 9\)"),
        ({"band": 3}, r"config\.band must be a group of keys, got 3"),
        (3, "config must be a group of keys"),
    ]:
        with pytest.raises(ConfigError, match=f"^{message}"):
            from_mapping(Outer, values, "config")


def test_nearest():
    assert nearest("wavnet", ["tcn", "wavenet"]) == "; did you mean 'wavenet'? (known: tcn, wavenet)"
    assert nearest("btcusdt", ["BTCUSDT", "ETHUSDT"]) == "; did you mean 'BTCUSDT'? (known: BTCUSDT, ETHUSDT)"
    assert nearest("zzz", ["tcn"]) == " (known: tcn)"
    assert nearest("zzz", []) == " (known: none)"
