"""Tables of all trailing windows."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.risk import trailing

WINDOWS = 8


@given(st.integers(0, 1000), st.floats(0, 0.8))
def test_every_row_is_the_maximum_of_its_window(seed, missing):
    rng = np.random.default_rng(seed)
    x, ok = rng.normal(size=(20, 3)).astype(np.float32), rng.random((20, 3)) >= missing
    table = trailing.init(WINDOWS, 3)
    for row, good in zip(x, ok, strict=True):
        table = trailing.push(table, jnp.asarray(row), lambda older, row=row: jnp.maximum(older, row[None]), good)
    for a in range(3):
        own = x[ok[:, a], a]
        for window in range(1, WINDOWS + 1):
            expected = own[-window:].max() if len(own) >= window else np.nan
            np.testing.assert_array_equal(trailing.read(table, trailing.as_index(window))[a], expected)


def test_a_window_outside_the_table_has_no_value():
    table = jnp.ones((WINDOWS, 2))
    for window in (-1, 0, WINDOWS + 1, 10**6):
        assert np.isnan(trailing.read(table, trailing.as_index(window))).all()
    for window in (1, WINDOWS, float(WINDOWS), np.float32(2)):
        assert (np.asarray(trailing.read(table, trailing.as_index(window))) == 1).all()
