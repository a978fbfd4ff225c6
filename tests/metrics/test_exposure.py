import numpy as np
import pytest

from fxtrade.core.errors import DataError
from fxtrade.metrics import exposure as m
from tests.helpers.refusals import refused


def test_turnover_is_over_the_equity_before_the_bar():
    traded, equity = np.array([[0.5, 0.5], [0.0, 1.0], [2.0, 1.0]]), [2.0, 3.0, 1.0]
    assert m.turnover(traded, equity) == pytest.approx((1 / 1 + 1 / 2 + 3 / 3) / 3)
    assert np.isnan(m.turnover(np.empty((0, 2)), []))


def test_exposure_adds_long_and_short():
    assert m.exposure([[0.5, -0.5], [0.0, 0.25]]) == pytest.approx(0.625)
    assert np.isnan(m.exposure(np.empty((0, 2))))


def test_a_batch_equals_each_account_alone():
    rng = np.random.default_rng(0)
    traded, equity = rng.random((2, 3, 20, 4)), 1 + rng.random((2, 3, 20))
    turnover, exposure = m.turnover(traded, equity), m.exposure(traded)
    assert turnover.shape == exposure.shape == (2, 3)
    assert turnover[1, 2] == pytest.approx(m.turnover(traded[1, 2], equity[1, 2]))
    assert exposure[1, 2] == pytest.approx(m.exposure(traded[1, 2]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.turnover(np.ones((3, 2)), np.ones(2)), "same bars"),
        (lambda: m.exposure(np.ones(3)), r"\[N, A\]"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with refused(DataError, message):
        call()
