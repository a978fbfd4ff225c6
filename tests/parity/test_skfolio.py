"""Covariances against skfolio's: the same numbers, or the reason why not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fxtrade.risk.covariance import estimate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that it imports
    peer = pytest.importorskip("skfolio.moments", reason="needs skfolio: pip install -e '.[parity]'")

ROWS, ASSETS = 300, 20


def draw(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    moves = rng.standard_t(5, (rows, ASSETS)) + rng.standard_normal((rows, 2)) @ rng.uniform(0, 2, (2, ASSETS))
    return moves * np.linspace(0.01, 0.05, ASSETS)


def of_peer(name: str, x: np.ndarray, **options) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(peer, name)(**options).fit(x).covariance_


def correlations(c: np.ndarray) -> np.ndarray:
    return c / np.sqrt(np.outer(np.diag(c), np.diag(c)))


@pytest.mark.parametrize(
    "ours, options, theirs, their_options",
    [
        ("sample", {}, "EmpiricalCovariance", {}),
        ("ledoit_wolf", {}, "LedoitWolf", {}),
        ("oas", {}, "OAS", {}),
        ("ew", {"halflife": 10.0}, "EWCovariance", {"half_life": 10.0}),
    ],
    ids=["sample", "ledoit_wolf", "oas", "ew"],
)
def test_the_same_numbers(ours, options, theirs, their_options):
    x = draw()
    assert_allclose(estimate(ours, x, options), of_peer(theirs, x, **their_options), rtol=1e-6, atol=1e-9)


def test_gerber_has_the_same_correlations():
    """Their variances have ddof 0, ours ddof 1 as those of the sample."""
    x = draw()
    ours, theirs = estimate("gerber", x, {"threshold": 0.5}), of_peer("GerberCovariance", x, threshold=0.5)
    assert_allclose(ours, theirs * ROWS / (ROWS - 1), rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 2])
def test_denoised_and_detoned(seed):
    """They fit the share of noise to a kernel density of the eigenvalues; with a share that parts these in the same
    place the estimates are the same."""
    x = draw(seed=seed)
    theirs, values = of_peer("DenoiseCovariance", x), np.linalg.eigvalsh(np.corrcoef(x.T))
    between = (values[1:] + values[:-1]) / 2 / (1 + np.sqrt(ASSETS / ROWS)) ** 2
    shares = [{"noise_share": float(share)} for share in between if share <= 1]
    (found,) = [o for o in shares if np.allclose(estimate("denoised", x, o), theirs, rtol=1e-9)]
    detoned = of_peer("DetoneCovariance", x, covariance_estimator=peer.DenoiseCovariance())
    assert_allclose(estimate("detoned", x, found), detoned, rtol=1e-6, atol=1e-9)
