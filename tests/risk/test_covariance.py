"""Every entry of COVARIANCES: positive semidefinite, equivariant, whole under gaps, the same in a batch; and errors."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.risk.covariance import COVARIANCES, estimate

ROWS, ASSETS = 40, 6
ROTATED = {"ledoit_wolf", "oas", "nonlinear"}  # they shrink covariances, not correlations
STEPS = {"gerber"}  # step functions of the returns
SINGULAR = {"detoned"}
PAGE = Path(__file__).parents[2] / "docs" / "portfolio.md"
NAMES = re.findall(r"^\| `(\w+)` \| \[(\w+)\]\(\S+\) \|([^|]*)\| [^|]+ \|$", PAGE.read_text(), re.M)
compiled = {name: jax.jit(f) for name, f in COVARIANCES.items()}
each = pytest.mark.parametrize("name", COVARIANCES)


def draw(rows: int = ROWS, assets: int = ASSETS, seed: int = 0) -> np.ndarray:
    """Returns with a market factor, and a volatility of each asset of its own."""
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(5, (rows, assets)) + 2 * rng.standard_normal((rows, 1))
    return moves * np.linspace(0.01, 0.05, assets)


def with_gaps(seed: int, rows: int = ROWS, assets: int = ASSETS) -> np.ndarray:
    """Returns of which each asset lacks up to half."""
    x, rng = draw(rows, assets, seed), np.random.default_rng(seed)
    for a in range(assets):
        x[rng.choice(rows, rng.integers(rows // 2 + 1), replace=False), a] = np.nan
    return x


def covariance(name: str, x: np.ndarray) -> np.ndarray:
    with compat.float64():
        return np.asarray(compiled[name](jnp.asarray(x)))


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-10) -> None:
    """Compare covariances in units of the standard deviations."""
    scale = np.sqrt(np.einsum("...ii->...i", b))
    assert_allclose(a / scale[..., None] / scale[..., None, :], correlations(b), rtol=0, atol=tolerance)


def correlations(c: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.einsum("...ii->...i", c))
    return c / scale[..., None] / scale[..., None, :]


@each
class TestEach:
    @given(seed=st.integers(0, 999))
    def test_symmetric_finite_and_positive_semidefinite_under_gaps(self, name, seed):
        made = covariance(name, with_gaps(seed))
        assert np.isfinite(made).all() and (np.diag(made) > 0).all()
        close(made, made.T, 1e-14)
        values = np.linalg.eigvalsh(correlations(made))
        assert values[0] > -1e-12 and values.sum() == pytest.approx(ASSETS)

    def test_follows_permutations_and_scales(self, name):
        x, order = with_gaps(3), np.random.default_rng(1).permutation(ASSETS)
        made = covariance(name, x)
        close(covariance(name, x[:, order]), made[np.ix_(order, order)])
        close(covariance(name, 8 * x), 64 * made)
        if name not in ROTATED:
            scale = 1 + np.arange(ASSETS)
            close(covariance(name, x * scale), made * np.outer(scale, scale))

    def test_an_asset_without_enough_values_is_nan_and_leaves_the_others_as_they_are(self, name):
        x = with_gaps(4)
        more = np.insert(x, 2, x[:, 0], axis=1)
        more[: ROWS // 2 + 1, 2] = np.nan
        made = covariance(name, more)
        assert np.isnan(made[2]).all() and np.isnan(made[:, 2]).all()
        rest = np.delete(np.delete(made, 2, 0), 2, 1)
        close(rest, covariance(name, x))
        assert np.isnan(covariance(name, np.full_like(x, np.nan))).all()

    def test_a_batch_is_one_by_one(self, name):
        windows = np.stack([with_gaps(5), draw(seed=6), with_gaps(7)])
        with compat.float64():
            batch = np.asarray(jax.vmap(compiled[name])(jnp.asarray(windows)))
        close(batch, np.stack([covariance(name, x) for x in windows]))

    def test_float32_is_close(self, name):
        if name in STEPS:
            pytest.skip("a step function may fall on the other side")
        x = draw(seed=2)
        single = np.asarray(compiled[name](x.astype(np.float32)))
        assert single.dtype == np.float32
        close(single, covariance(name, x), 1e-4)

    def test_derivatives_are_finite_differences(self, name):
        """Of fewer rows than assets, whose covariance has equal eigenvalues."""
        if name in STEPS:
            pytest.skip("a step function")
        x, rng = 30 * draw(ASSETS - 2, seed=8), np.random.default_rng(0)
        weight, direction = rng.standard_normal((ASSETS, ASSETS)), rng.standard_normal(x.shape)
        with compat.float64():
            f = jax.jit(jax.value_and_grad(lambda x: jnp.sum(COVARIANCES[name](x) * weight)))
            slope = float(jnp.sum(f(jnp.asarray(x))[1] * direction))
            ahead, behind = (float(f(jnp.asarray(x + h * direction))[0]) for h in (1e-6, -1e-6))
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-6)

    def test_the_front_gives_the_same(self, name):
        x = with_gaps(9)
        close(estimate(name, x, invertible=name not in SINGULAR), covariance(name, x))

    def test_options_have_defaults_and_the_page_lists_them(self, name):
        options = list(inspect.signature(COVARIANCES[name]).parameters.values())[1:]
        assert all(p.kind == p.KEYWORD_ONLY and p.default is not p.empty for p in options)
        listed = {key: (file, re.findall(r"`([^`]+)`", text)) for key, file, text in NAMES}
        module = COVARIANCES[name].__module__.split(".")[-1]
        assert listed[name] == (module, [f"{p.name}={p.default}" for p in options])


def refused(x, error=DataError, name="sample", **options) -> str:
    with pytest.raises(error) as caught:
        estimate(name, x, where="config.covariance", **options)
    assert str(caught.value).startswith("config.covariance: ")
    return str(caught.value)


def test_what_is_wrong_with_the_returns_is_named():
    x, symbols = draw(), [f"S{a}" for a in range(ASSETS)]
    assert "needs at least 2 rows" in refused(x[:1])
    assert "[T, A], got shape (40,)" in refused(x[:, 0])
    assert "every return is NaN" in refused(np.full_like(x, np.nan))
    assert "5 symbols for 6 assets" in refused(x, symbols=symbols[:5])
    empty, constant, infinite = x.copy(), x.copy(), x.copy()
    empty[:30, 1:3] = np.nan
    constant[:, 4] = 0.25
    infinite[3, 0] = np.inf
    assert "S1, S2 has values in fewer than half of the 40 rows; leave it out" in refused(empty, symbols=symbols)
    assert "asset 4 has equal returns in all rows" in refused(constant)
    assert "asset 0 has an infinite return" in refused(infinite)
    many = np.where(np.arange(ROWS)[:, None] < 30, np.nan, draw(assets=9))
    many[:, 8] = 1
    assert "asset 3, asset 4 and 3 more has values" in refused(many)


def test_unknown_names_and_options():
    x = draw()
    assert "did you mean 'ledoit_wolf'" in refused(x, ConfigError, "ledoit_wolff")
    assert "'ew' has no option 'halflive'; did you mean 'halflife'" in refused(
        x, ConfigError, "ew", options={"halflive": 3}
    )
    with pytest.raises(ConfigError, match="did you mean 'identity'"):
        estimate("ledoit_wolf", x, {"target": "identiti"})
    assert "option halflife must be above 0" in refused(x, ConfigError, "ew", options={"halflife": -1})


def test_fewer_rows_than_assets():
    x = draw(5, 12)
    for name in ("ledoit_wolf", "oas", "nonlinear", "factor_model"):
        assert np.linalg.eigvalsh(estimate(name, x, invertible=True))[0] > 0
    assert np.isfinite(estimate("sample", x)).all()
    message = refused(x, ConfigError, invertible=True)
    assert "'sample' of 12 assets from 5 rows is singular" in message and "'ledoit_wolf'" in message
    assert "singular" in refused(draw(), ConfigError, "detoned", invertible=True)
