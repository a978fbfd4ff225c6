"""JSON to typed values."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core.codec import Versioned, from_jsonable
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import to_jsonable


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Drawing(Versioned):
    points: tuple[Point, ...]
    by_size: Mapping[float, Point]
    by_count: Mapping[int, tuple[float, ...]]
    best: Point | None
    options: Mapping[str, Any]
    closed: bool
    kind: Literal["line", "area"] = "line"
    version: int = 3


finite = {"allow_nan": False, "allow_infinity": False}
floats = st.just(math.nan) | st.floats(**finite)
points = st.builds(Point, floats, st.text())
options = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(**finite) | st.text(),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
drawings = st.builds(
    Drawing,
    points=st.lists(points).map(tuple),
    by_size=st.dictionaries(st.floats(**finite), points, max_size=3),
    by_count=st.dictionaries(st.integers(), st.lists(floats).map(tuple), max_size=3),
    best=st.none() | points,
    options=st.dictionaries(st.text(), options, max_size=3),
    closed=st.booleans(),
    kind=st.sampled_from(["line", "area"]),
    version=st.just(3),
)


@given(drawings)
def test_what_is_written_comes_back(drawing):
    assert repr(Drawing.from_json(drawing.to_json(), "a.json")) == repr(drawing)  # NaN is not equal to itself
    json.loads(drawing.to_json(), parse_constant=pytest.fail)  # strict JSON


def test_infinities_come_back_as_nan():
    assert math.isnan(from_jsonable(Point, to_jsonable(Point(math.inf)), "p").x)


def test_defaults_stand_in_for_missing_fields_and_whole_numbers_for_floats():
    assert from_jsonable(Point, {"x": 1}, "p") == Point(1.0)


GOOD = {"points": [], "by_size": {}, "by_count": {}, "best": None, "options": {}, "closed": True, "version": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "a.json holds version 2 of Drawing, this fxtrade reads 3; run it again to recreate the file"),
        ({"points": [{"x": 1.0, "y": 2.0}]}, r"a.json: Drawing.points\[0\] has a field 'y' that this version"),
        ({"points": [{}]}, r"a.json: Drawing.points\[0\] lacks the field 'x'; run it again to recreate the file"),
        ({"points": {}}, "a.json: Drawing.points must be list"),
        ({"by_size": {"1.0": {"x": "much"}}}, "a.json: Drawing.by_size.1.0.x must be a number, got 'much'"),
        ({"closed": 1}, "a.json: Drawing.closed must be bool, got 1"),
        ({"best": True}, "a.json: Drawing.best must be dict"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(FxtradeError, match=message):
        Drawing.from_json(json.dumps(GOOD | changes), "a.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}"])
def test_damaged_files(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FxtradeError, match="a.json is damaged or of an older version"):
        Drawing.read(tmp_path / "a.json")


def test_missing_and_binary_files(tmp_path):
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    for name in ("a.json", "b.json"):
        with pytest.raises(FxtradeError, match=f"{name} cannot be read"):
            Drawing.read(tmp_path / name)
