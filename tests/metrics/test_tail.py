import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fxtrade.metrics import tail as m

QUICK = settings(deadline=None, max_examples=100)
RETURNS = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))


def test_var_is_the_quantile_and_cvar_weights_the_last_return_of_the_tail():
    r = np.arange(-10.0, 0.0)[::-1] / 100
    assert m.var(r, 0.8) == pytest.approx(np.quantile(r, 0.2))
    assert m.cvar(r, 0.8) == pytest.approx(-0.095)
    assert m.cvar(r, 0.75) == pytest.approx(-(0.10 + 0.09 + 0.5 * 0.08) / 2.5)
    assert m.cvar(r, 0.99) == pytest.approx(-0.10)


@QUICK
@given(RETURNS, st.floats(0.01, 0.99))
def test_agree_with_the_quantile_and_the_integral_of_the_quantiles(r, level):
    value, shortfall = m.var_and_cvar(r, level)
    assert value == m.var(r, level) and shortfall == m.cvar(r, level)
    assert value == pytest.approx(np.quantile(r, 1 - level), abs=1e-14)
    ordered, share = np.sort(r), (1 - level) * r.size
    weights = np.diff(np.minimum(np.arange(r.size + 1), share))  # of the worst `share` of the returns
    assert shortfall == pytest.approx(weights @ ordered / share, abs=1e-14)


@QUICK
@given(RETURNS, st.floats(0.01, 0.98), st.floats(0, 0.01))
def test_bounds_and_growth_with_the_level(r, level, step):
    assert r.min() - 1e-15 <= m.cvar(r, level) <= m.var(r, level) + 1e-15
    assert m.var(r, level + step) <= m.var(r, level) + 1e-15
    assert m.cvar(r, level + step) <= m.cvar(r, level) + 1e-15


def test_tail_ratio_by_hand():
    r = np.linspace(-0.1, 0.2, 101)
    assert m.tail_ratio(r) == pytest.approx(np.quantile(r, 0.95) / -np.quantile(r, 0.05))
    assert m.tail_ratio(r, 0.9) == pytest.approx(0.17 / 0.07)
    assert np.isnan(m.tail_ratio([0.0, 0.0, 0.1], 0.5))
