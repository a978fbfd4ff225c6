"""Allocations along the tree: equal to loops over lists, limits of gamma, missing assets, bounds, gradients."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.risk.allocation_types import Allocation, Groups, Problem
from fxtrade.risk.allocations import ALLOCATIONS, LEAVES_OUT_MISSING
from tests.helpers import hierarchy_loops as loops

A = 7
seeds = st.integers(0, 10_000)
names = pytest.mark.parametrize("name", sorted(LEAVES_OUT_MISSING))


def covariance(seed: int, num: int = A, rows: int = 40) -> np.ndarray:
    """Of assets with a common factor and volatilities from 0.1 to 3."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_normal((rows, num)) + rng.standard_normal((rows, 1)) * rng.uniform(0, 2, num)
    return np.cov(returns * np.exp(rng.uniform(-2.3, 1.1, num)), rowvar=False).reshape(num, num)


@functools.cache
def compiled(name: str, options: tuple):
    return jax.jit(jax.vmap(lambda problem: ALLOCATIONS[name](problem, **dict(options))))


def allocate(name: str, *problem, **options) -> Allocation:
    """The allocation of a batch of problems, in float64."""
    with compat.float64():
        made = compiled(name, tuple(options.items()))(
            Problem(*(None if p is None else jnp.asarray(p) for p in problem))
        )
        return jax.tree.map(np.asarray, made)


def weights(name: str, matrix: np.ndarray, **options) -> np.ndarray:
    made = allocate(name, matrix[None], **options)
    assert made.ok.all()
    return made.weight[0]


@pytest.mark.parametrize(
    "linkage, metric", [("single", "correlation"), ("ward", "correlation"), ("single", "euclidean")]
)
@given(seed=seeds)
def test_hrp_equals_recursion_over_lists(linkage, metric, seed):
    matrix = covariance(seed)
    made = weights("hrp", matrix, linkage=linkage, metric=metric)
    assert_allclose(made, loops.hrp(matrix, linkage, metric), rtol=1e-12)


@pytest.mark.parametrize("num", [1, 2, 3, 8])
def test_hrp_of_any_number_of_assets(num):
    matrix = covariance(num, num)
    assert_allclose(weights("hrp", matrix), loops.hrp(matrix), rtol=1e-12)


@given(seed=seeds)
def test_hrp_within_bounds_moves_what_is_cut_to_the_other_half(seed):
    matrix, rng = covariance(seed), np.random.default_rng(seed)
    lower, upper = rng.uniform(0, 0.9 / A, A), rng.uniform(1.1 / A, 0.5, A)
    made = allocate("hrp", *(x[None] if x is not None else None for x in (matrix, None, None, None, lower, upper)))
    assert_allclose(made.weight[0], loops.hrp(matrix, lower=lower, upper=upper), rtol=1e-12)
    assert made.ok[0] and (made.weight[0] >= lower - 1e-15).all() and (made.weight[0] <= upper + 1e-15).all()


@pytest.mark.parametrize("count, risk", [(3, "variance"), (1, "volatility"), (A, "volatility")])
@given(seed=seeds)
def test_herc_equals_recursion_over_the_tree(count, risk, seed):
    matrix = covariance(seed)
    made = weights("herc", matrix, clusters=count, risk=risk)
    assert_allclose(made, loops.herc(matrix, count, risk=risk), rtol=1e-12)


@pytest.mark.parametrize("count", [3, A])
@given(seed=seeds)
def test_nco_equals_optimizations_of_lists(count, seed):
    matrix = covariance(seed)
    made = weights("nco", matrix, clusters=count, allow_short=True)
    assert_allclose(made, loops.nco(matrix, count), rtol=1e-9, atol=1e-12)


@given(seed=seeds)
def test_nco_without_short_positions(seed):
    matrix = covariance(seed)
    made = weights("nco", matrix, clusters=3)
    assert_allclose(made, loops.nco(matrix, 3, solve=loops.long_only), atol=1e-7)
    assert (made >= 0).all()


@given(seed=seeds)
def test_number_of_clusters_by_the_gap(seed):
    matrix = covariance(seed)
    count = loops.gap_count(matrix)
    assert_allclose(weights("herc", matrix), loops.herc(matrix, count), rtol=1e-12)
    assert_allclose(weights("nco", matrix, allow_short=True), loops.nco(matrix, count), rtol=1e-9, atol=1e-12)


@functools.cache
def path_of_schur():
    return jax.jit(jax.vmap(lambda c, gamma: ALLOCATIONS["schur"](Problem(c), gamma=gamma), (None, 0)))


@given(seed=seeds)
def test_schur_leads_from_hrp_to_minimum_variance(seed):
    matrix, gammas = covariance(seed), np.array([0.0, 0.3, 0.7, 1.0])
    with compat.float64():
        made = jax.tree.map(np.asarray, path_of_schur()(jnp.asarray(matrix), jnp.asarray(gammas)))
    assert_allclose(made.weight[0], loops.hrp(matrix), rtol=1e-12)
    assert_allclose(made.weight[3], loops.minimum_variance(matrix), atol=1e-10)
    for gamma, weight in zip(gammas, made.weight, strict=True):
        assert_allclose(weight, loops.schur(matrix, gamma), rtol=1e-8, atol=1e-10)


def test_variance_falls_as_gamma_rises_where_the_matrix_is_well_known():
    matrix = covariance(1, rows=2_000)
    with compat.float64():
        made = np.asarray(path_of_schur()(jnp.asarray(matrix), jnp.array([0.0, 0.25, 0.5, 1.0])).weight)
    assert (np.diff(np.einsum("gi,ij,gj->g", made, matrix, made)) < 0).all()


@given(seed=seeds)
def test_the_order_of_assets_does_not_matter_for_herc(seed):
    """For those that take halves it does: which of two leaves comes first depends on their order."""
    matrix, order = covariance(seed), np.random.default_rng(seed).permutation(A)
    moved = weights("herc", matrix[np.ix_(order, order)])
    assert_allclose(moved, weights("herc", matrix)[order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("missing", [[0], [2, 6], [0, 1, 3, 5]], ids=str)
@pytest.mark.parametrize("bad", [np.nan, 0.0, np.inf])
def test_assets_without_a_variance_are_as_if_they_were_not_there(bad, missing):
    matrix = covariance(4)
    rest = [k for k in range(A) if k not in missing]
    part, holed = matrix[np.ix_(rest, rest)], matrix.copy()
    holed[missing] = holed[:, missing] = bad
    expected = {
        "hrp": ({}, loops.hrp(part)),
        "herc": ({"clusters": 3}, loops.herc(part, 3)),
        "nco": ({"clusters": 3, "allow_short": True}, loops.nco(part, 3)),
        "schur": ({}, loops.schur(part, 0.5)),
    }
    assert expected.keys() == LEAVES_OUT_MISSING
    for name, (changed, weight) in expected.items():
        made = weights(name, holed, **changed)
        assert (made[missing] == 0).all()
        assert_allclose(made[rest], weight, rtol=1e-9)


@pytest.mark.parametrize("missing", range(1, A - 1))
def test_the_gap_is_that_of_the_assets_that_are_there(missing):
    holed = covariance(9)
    rest = holed[missing:, missing:].copy()
    holed[:missing] = holed[:, :missing] = np.nan
    assert_allclose(weights("herc", holed)[missing:], loops.herc(rest, loops.gap_count(rest)), rtol=1e-12)


def test_a_batch_is_its_dates_one_by_one():
    many = np.stack([covariance(seed) for seed in range(4)])
    together = allocate("hrp", many)
    for k in range(4):
        assert_allclose(together.weight[k], weights("hrp", many[k]), rtol=1e-12)


@names
def test_hopeless_input_gives_the_fallback(name):
    hole = covariance(0)
    hole[1, 2] = hole[2, 1] = np.nan
    made, none = allocate(name, hole[None]), allocate(name, np.full((1, A, A), np.nan))
    fallback = 1 / np.sqrt(np.diag(hole))
    assert not made.ok[0] and not none.ok[0]
    assert_allclose(made.weight[0], fallback / fallback.sum(), rtol=1e-12)
    assert_allclose(none.weight[0], 1 / A, rtol=1e-12)


def test_schur_of_a_singular_matrix_is_not_ok():
    made = allocate("schur", np.ones((1, A, A)))
    assert not made.ok[0]
    assert_allclose(made.weight[0], 1 / A, rtol=1e-12)


@pytest.mark.parametrize("name, options", [("hrp", {}), ("herc", {"clusters": 2}), ("schur", {})])
def test_gradients_are_those_of_finite_differences(name, options):
    matrix, h = covariance(5, 4), 1e-6
    with compat.float64():
        step = np.zeros((4, 4))
        step[1, 2] = step[2, 1] = h
        around = jnp.asarray(np.stack([matrix, matrix - step, matrix + step]))
        first = jax.value_and_grad(lambda c: ALLOCATIONS[name](Problem(c), **options).weight[2])
        weight, (gradient, *_) = map(np.asarray, jax.jit(jax.vmap(first))(around))
    assert np.isfinite(gradient).all()
    assert_allclose(gradient[1, 2] + gradient[2, 1], (weight[2] - weight[1]) / (2 * h), rtol=1e-5, atol=1e-8)


def test_what_is_not_supported_is_refused():
    problem = Problem(jnp.eye(3))
    bounded, grouped = (
        problem._replace(upper=jnp.ones(3)),
        problem._replace(groups=Groups(jnp.ones((1, 3)), *[jnp.ones(1)] * 2)),
    )
    for name in sorted(LEAVES_OUT_MISSING - {"hrp"}):
        with pytest.raises(ConfigError, match=f"'{name}' does not support problem.upper"):
            ALLOCATIONS[name](bounded)
    for name in sorted(LEAVES_OUT_MISSING):
        with pytest.raises(ConfigError, match=f"'{name}' does not support problem.groups"):
            ALLOCATIONS[name](grouped)
    for gamma in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="gamma=.* from 0"):
            ALLOCATIONS["schur"](problem, gamma=gamma)
