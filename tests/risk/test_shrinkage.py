"""Shrinkage against scikit-learn, a transcription of the paper's formula, and what it promises."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fxtrade.core import compat
from fxtrade.core.stream import Kernels
from fxtrade.features.covariance import ledoit_wolf as of_windows
from fxtrade.risk import shrinkage
from fxtrade.risk.covariance import estimate

SIZES = [(60, 8), (9, 20)]


def draw(rows: int, assets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal returns, and their covariance, whose eigenvalues are spread from 1 to 100."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((assets, assets)))[0]
    truth = (turn * np.geomspace(1, 100, assets)) @ turn.T * 1e-4
    return rng.standard_normal((rows, assets)) @ np.linalg.cholesky(truth).T + 0.01, truth


@pytest.mark.parametrize("rows, assets", SIZES)
@pytest.mark.parametrize("name", ["ledoit_wolf", "oas"])
def test_linear_shrinkage_is_that_of_scikit_learn(name, rows, assets):
    peer = pytest.importorskip("sklearn.covariance")
    x, _ = draw(rows, assets)
    assert_allclose(estimate(name, x), getattr(peer, name)(x)[0], rtol=1e-10)


def test_it_is_the_feature_at_the_last_row():
    x, _ = draw(40, 5)
    x[3] = np.nan
    last = jax.jit(lambda x: of_windows(Kernels(), x, 40).covariance[-1])(x.astype(np.float32))
    assert_allclose(estimate("ledoit_wolf", x), last, rtol=1e-4, atol=1e-7)


def to_constant_correlation(x: np.ndarray) -> np.ndarray:
    """Shrinkage to the constant correlation in the sums of Ledoit & Wolf (2004), Honey, appendix B."""
    x = x - x.mean(0)
    rows, assets = x.shape
    s = x.T @ x / rows
    sd = np.sqrt(np.diag(s))
    mean = ((s / np.outer(sd, sd)).sum() - assets) / (assets * (assets - 1))
    aim, pi, rho = mean * np.outer(sd, sd), 0.0, 0.0
    np.fill_diagonal(aim, sd**2)
    for i in range(assets):
        for j in range(assets):
            product = x[:, i] * x[:, j] - s[i, j]
            pi += np.mean(product**2)
            if i == j:
                rho += np.mean(product**2)
                continue
            own, other = (np.mean((x[:, k] ** 2 - s[k, k]) * product) for k in (i, j))
            rho += mean / 2 * (sd[j] / sd[i] * own + sd[i] / sd[j] * other)
    share = min(max((pi - rho) / ((aim - s) ** 2).sum() / rows, 0), 1)
    assert 0.05 < share < 0.95
    return share * aim + (1 - share) * s


def test_shrinkage_to_the_constant_correlation_is_that_of_the_paper():
    x = draw(40, 8)[0] + 0.05 * np.random.default_rng(1).standard_normal((40, 1))
    assert_allclose(
        estimate("ledoit_wolf", x, {"target": "constant_correlation"}), to_constant_correlation(x), rtol=1e-9
    )


def paper(x: np.ndarray) -> np.ndarray:
    """Analytical nonlinear shrinkage in the steps of Ledoit & Wolf (2020), section 4 and supplement, in loops."""
    x = x - x.mean(0)
    n, p = len(x) - 1, x.shape[1]
    values, vectors = np.linalg.eigh(x.T @ x / n)
    positive = values[max(0, p - n) :].astype(np.longdouble)  # the closed form cancels far from a kernel
    h, three, root = n ** (-1 / 3), np.longdouble(3), np.sqrt(np.longdouble(5))
    density, hilbert = np.zeros((2, len(positive)), np.longdouble)
    for i, at in enumerate(positive):
        for centre in positive:
            u = (at - centre) / (h * centre)
            density[i] += three / (4 * root) * max(1 - u**2 / 5, 0) / (h * centre)
            logs = np.sign(u) * np.log1p(-2 * min(root, abs(u)) / (root + abs(u)))  # log |(root - u) / (root + u)|
            hilbert[i] += (-three / 10 * u + three / (4 * root) * (1 - u**2 / 5) * logs) / np.pi / (h * centre)
    density, hilbert = density / len(positive), hilbert / len(positive)
    if p <= n:
        c = p / n
        real = 1 - c - np.pi * c * positive * hilbert
        shrunk = positive / ((np.pi * c * positive * density) ** 2 + real**2)
    else:
        logs = np.log(abs((1 + root * h) / (1 - root * h)))
        zero = (3 / (10 * h**2) + 3 / (4 * root * h) * (1 - 1 / (5 * h**2)) * logs) / np.pi * np.mean(1 / positive)
        null = 1 / (np.pi * (p - n) / n * zero)
        shrunk = 1 / (np.pi**2 * positive * (density**2 + hilbert**2))
        shrunk = np.concatenate([np.full(p - n, null), shrunk])
    return (vectors * shrunk.astype(float)) @ vectors.T


@pytest.mark.parametrize("rows, assets", [*SIZES, (21, 20), (20, 20), (60, 1)])
def test_nonlinear_shrinkage_is_that_of_the_paper(rows, assets):
    x, _ = draw(rows, assets)
    expected = paper(x)
    assert_allclose(estimate("nonlinear", x), expected, rtol=1e-6, atol=1e-8 * expected.max())


@pytest.mark.parametrize("rows, assets", [(60, 30), (30, 60)])
def test_nonlinear_shrinkage_is_closer_to_the_truth(rows, assets):
    """In every draw than the sample; with more rows than assets, on average, also than the linear estimate."""
    losses = {"sample": [], "ledoit_wolf": [], "nonlinear": []}
    for seed in range(10):
        x, truth = draw(rows, assets, seed)
        losses["sample"].append(np.linalg.norm(np.cov(x.T) - truth))
        for name in ("ledoit_wolf", "nonlinear"):
            losses[name].append(np.linalg.norm(estimate(name, x) - truth))
    assert (np.array(losses["nonlinear"]) < losses["sample"]).all()
    assert (np.array(losses["ledoit_wolf"]) < losses["sample"]).all()
    assert rows < assets or np.mean(losses["nonlinear"]) < np.mean(losses["ledoit_wolf"])


def test_the_far_series_meets_the_closed_form():
    x = np.array([shrinkage.FAR * (1 - 1e-9), shrinkage.FAR * (1 + 1e-9)])
    with compat.float64():
        near, far = np.asarray(shrinkage._epanechnikov_hilbert(jnp.asarray(x)))
    assert near == pytest.approx(far, rel=1e-8)
