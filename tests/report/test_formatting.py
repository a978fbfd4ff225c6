from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.evaluate.results import Estimate, PairedTest
from fxtrade.report import formatting

FORMS = (
    formatting.percent,
    formatting.gain,
    formatting.number,
    formatting.count,
    formatting.probability,
    formatting.duration,
    lambda x: formatting.fixed(x, 2),
    lambda x: formatting.signed_percent(x, 2),
    lambda x: formatting.interval(x, x, x),
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_missing_is_an_en_dash(form, value):
    assert form(value) == "–"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.percent(0.5971), "59.7 %"),
        (formatting.percent(0.00006, 2), "0.01 %"),
        (formatting.gain(0.183), "+18.3 %"),
        (formatting.gain(-0.041), "-4.1 %"),
        (formatting.gain(5.31), "+531 %"),
        (formatting.gain(8.68), "+868 %"),
        (formatting.gain(27.0), "+2,700 %"),
        (formatting.gain(39_885), "x 39,900"),
        (formatting.signed_percent(0.00123, 2), "+0.12 %"),
        (formatting.signed_percent(-0.5, 2), "-50.00 %"),
        (formatting.signed_percent(2.5, 2), "+250 %"),
        (formatting.signed_percent(-12.5, 2), "-1,250 %"),
        (formatting.number(0.0521), "0.052"),
        (formatting.number(8.628), "8.63"),
        (formatting.number(-46.61), "-46.6"),
        (formatting.number(1_618_424), "1,618,424"),
        (formatting.number(0), "0.00"),
        (formatting.probability(0.9), "90.0 %"),
        (formatting.probability(0.99953), "> 99.9 %"),
        (formatting.probability(0.0001), "< 0.1 %"),
        (formatting.duration(83.2), "83 s"),
        (formatting.duration(605), "10 min 5 s"),
        (formatting.duration(8000), "2 h 13 min"),
        (formatting.interval(0.597, 0.59, 0.604), "59.7 [59.0, 60.4]"),
        (formatting.interval(1.5, -0.1, 3.1, 1, 2), "1.50 [-0.10, 3.10]"),
        (formatting.interval(0.597, math.nan, 0.604), "59.7"),
        (formatting.estimate(Estimate(0.6893, 0.6871, 0.6915), 4), "0.6893 [0.6871, 0.6915]"),
        (formatting.estimate(Estimate(0.123), 1, 100), "12.3"),
    ],
)
def test_examples(text, expected):
    assert text == expected


@pytest.mark.parametrize("x", [-0.0, -1e-9])
def test_what_rounds_to_zero_has_no_sign(x):
    test = PairedTest(x, x, x, 0.5)
    made = [form(x) for form in FORMS[:4]] + [form(x) for form in FORMS[6:]] + [formatting.points(test)]
    assert made == [
        "0.0 %", "0.0 %", "0.00" if x == 0 else "0.000", "0", "0.00", "0.00 %", "0.0 [0.0, 0.0]", "0.00 [0.00, 0.00]",
    ]  # fmt: skip


@given(st.floats(0, 1))
def test_a_probability_is_never_certain(x):
    assert formatting.probability(x) not in ("0.0 %", "100.0 %")


@given(st.floats(0.02, 9.9))
def test_a_number_keeps_three_digits(x):
    assert float(formatting.number(x)) == pytest.approx(x, rel=0.03)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("15m", "the next 16 bars (4 hours) and the last 2,880 bars (30 days)"),
        ("1h", "the next 16 bars (16 hours) and the last 2,880 bars (120 days)"),
        ("100ms", "the next 16 bars (1,600 milliseconds) and the last 2,880 bars (4.8 minutes)"),
        ("1.5ms", "the next 16 bars and the last 2880 bars"),
    ],
)
def test_bars_with_their_time(interval, expected):
    assert formatting.with_times("the next 16 bars and the last 2880 bars", interval) == expected


@pytest.mark.parametrize(
    ("interval", "time"), [("1d", "1 day"), ("25h", "25 hours"), ("90s", "90 seconds"), ("10000d", "10,000 days")]
)
def test_one_bar_with_its_time(interval, time):
    assert formatting.with_times("1 bar later", interval) == f"1 bar ({time}) later"
