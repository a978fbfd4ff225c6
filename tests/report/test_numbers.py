from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.report import numbers

FORMS = (
    numbers.percent,
    numbers.gain,
    numbers.number,
    numbers.count,
    numbers.probability,
    numbers.duration,
    lambda x: numbers.fixed(x, 2),
    lambda x: numbers.interval(x, x, x),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [None, math.nan])
def test_missing_is_an_en_dash(form, value):
    assert form(value) == "–"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.percent(0.5971), "59.7 %"),
        (numbers.percent(0.00006, 2), "0.01 %"),
        (numbers.gain(0.183), "+18.3 %"),
        (numbers.gain(-0.041), "-4.1 %"),
        (numbers.gain(5.31), "+531 %"),
        (numbers.gain(39_885), "x 39,900"),
        (numbers.number(0.0521), "0.052"),
        (numbers.number(8.628), "8.63"),
        (numbers.number(-46.61), "-46.6"),
        (numbers.number(1_618_424), "1,618,424"),
        (numbers.number(0), "0.00"),
        (numbers.probability(0.9), "90.0 %"),
        (numbers.probability(0.99953), "> 99.9 %"),
        (numbers.probability(0.0001), "< 0.1 %"),
        (numbers.duration(83.2), "83 s"),
        (numbers.duration(605), "10 min 5 s"),
        (numbers.duration(8000), "2 h 13 min"),
        (numbers.interval(0.597, 0.59, 0.604), "59.7 [59.0, 60.4]"),
        (numbers.interval(1.5, -0.1, 3.1, 1, 2), "1.50 [-0.10, 3.10]"),
        (numbers.interval(0.597, None, 0.604), "59.7"),
    ],
)
def test_examples(text, expected):
    assert text == expected


@given(st.floats(0, 1))
def test_a_probability_is_never_certain(x):
    assert numbers.probability(x) not in ("0.0 %", "100.0 %")


@given(st.floats(0.02, 9.9))
def test_a_number_keeps_three_digits(x):
    assert float(numbers.number(x)) == pytest.approx(x, rel=0.03)
