"""Hierarchical allocations against those of skfolio, PyPortfolioOpt and Riskfolio-Lib."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.risk.allocation_types import Problem
from fxtrade.risk.allocations import ALLOCATIONS

T, A = 200, 20
SEEDS = range(3)
each_seed = pytest.mark.parametrize("seed", SEEDS)


@pytest.fixture(autouse=True)
def quiet():
    """Their warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def returns(seed: int) -> np.ndarray:
    """Three groups of assets, and volatilities that differ by a factor of 20."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((T, 3))[:, np.arange(A) % 3] + rng.standard_normal((T, 1))
    return 0.01 * (common + rng.standard_normal((T, A))) * np.exp(rng.uniform(-2, 1, A))


def ours(name: str, x: np.ndarray, lower=None, upper=None, **options) -> np.ndarray:
    with compat.float64():
        bounds = (None if bound is None else jnp.asarray(bound) for bound in (lower, upper))
        problem = Problem(jnp.asarray(np.cov(x, rowvar=False)), None, None, None, *bounds)
        made = jax.jit(lambda problem: ALLOCATIONS[name](problem, **options))(problem)
    assert made.ok
    return np.asarray(made.weight)


@each_seed
@pytest.mark.parametrize("linkage", ["single", "complete", "average", "ward"])
def test_hrp_of_pyportfolioopt(seed, linkage):
    peer = pytest.importorskip("pypfopt", reason="needs PyPortfolioOpt: pip install -e '.[parity]'")
    x = returns(seed)
    expected = peer.HRPOpt(pd.DataFrame(x)).optimize(linkage)
    assert_allclose(ours("hrp", x, linkage=linkage), [expected[a] for a in range(A)], rtol=1e-12)


@each_seed
@pytest.mark.parametrize("linkage", ["single", "ward"])
def test_hrp_of_riskfolio(seed, linkage):
    peer = pytest.importorskip("riskfolio", reason="needs Riskfolio-Lib: pip install riskfolio-lib")
    x = returns(seed)
    expected = peer.HCPortfolio(returns=pd.DataFrame(x)).optimization(
        model="HRP", codependence="pearson", rm="MV", linkage=linkage, leaf_order=False
    )
    assert_allclose(ours("hrp", x, linkage=linkage), expected.to_numpy().ravel(), rtol=1e-12)


def skfolio_clustering(linkage: str, clusters: int | None = None):
    cluster = pytest.importorskip("skfolio.cluster", reason="needs skfolio: pip install -e '.[parity]'")
    return cluster.HierarchicalClustering(max_clusters=clusters, linkage_method=cluster.LinkageMethod[linkage.upper()])


@each_seed
@pytest.mark.parametrize("linkage", ["single", "ward"])
@pytest.mark.parametrize("bounded", [False, True])
def test_hrp_of_skfolio_with_the_order_of_leaves_of_scipy(seed, linkage, bounded):
    clustering = skfolio_clustering(linkage)
    from skfolio.optimization import HierarchicalRiskParity
    from skfolio.seriation import HierarchicalSeriation

    x = returns(seed)
    low, high = (0.02, 0.1) if bounded else (0.0, 1.0)
    order = HierarchicalSeriation(hierarchical_clustering_estimator=clustering, optimal_ordering=False)
    expected = HierarchicalRiskParity(seriation_estimator=order, min_weights=low, max_weights=high).fit(x).weights_
    bounds = (np.full(A, low), np.full(A, high)) if bounded else ()
    assert_allclose(ours("hrp", x, *bounds, linkage=linkage), expected, rtol=1e-12)


@each_seed
def test_the_default_of_skfolio_differs(seed):
    """Ward's linkage and an order of leaves in which neighbours are close: docs/portfolio.md says by how much."""
    skfolio_clustering("ward")
    from skfolio.optimization import HierarchicalRiskParity

    x = returns(seed)
    assert 0.001 < np.abs(HierarchicalRiskParity().fit(x).weights_ - ours("hrp", x)).max() < 0.5


@each_seed
@pytest.mark.parametrize("clusters", [None, 3, 5])
@pytest.mark.parametrize("risk", ["variance", "volatility"])
def test_herc_of_skfolio(seed, clusters, risk):
    clustering = skfolio_clustering("ward", clusters)
    from skfolio import RiskMeasure
    from skfolio.optimization import HierarchicalEqualRiskContribution

    x = returns(seed)
    measure = RiskMeasure.VARIANCE if risk == "variance" else RiskMeasure.STANDARD_DEVIATION
    peer = HierarchicalEqualRiskContribution(
        risk_measure=measure, hierarchical_clustering_estimator=clustering, solver="CLARABEL"
    )
    assert_allclose(ours("herc", x, risk=risk, clusters=clusters), peer.fit(x).weights_, atol=1e-9)


@each_seed
def test_nco_of_skfolio(seed):
    clustering = skfolio_clustering("ward", 3)
    from skfolio.optimization import NestedClustersOptimization

    x = 100 * returns(seed)  # its solver is exact to a share of a variance of the order of 1
    peer = NestedClustersOptimization(clustering_estimator=clustering, cv="ignore")
    assert_allclose(ours("nco", x, clusters=3), peer.fit(x).weights_, atol=5e-5)


@each_seed
def test_schur_of_skfolio_at_gamma_0(seed):
    clustering = skfolio_clustering("single")
    from skfolio.optimization import SchurComplementary
    from skfolio.seriation import HierarchicalSeriation

    x = returns(seed)
    order = HierarchicalSeriation(hierarchical_clustering_estimator=clustering, optimal_ordering=False)
    peer = SchurComplementary(gamma=0.0, seriation_estimator=order)
    assert_allclose(ours("schur", x, gamma=0.0), peer.fit(x).weights_, rtol=1e-10)
