"""Estimators of the covariance of assets from a window of returns, by name, and the checks of what they are given.

An estimator is `f(returns [T, A], *, options) -> [A, A]`: symmetric, positive semidefinite, of the period of a row. It
is pure JAX, for `jit`, `vmap` over windows and gradients, in JAX's default float. NaN returns are missing; `pairwise`
says how gaps are treated. Rows and columns of assets with values in fewer than half of the rows are NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError, DataError
from fxtrade.core.registry import build, option_types
from fxtrade.core.text import plural
from fxtrade.core.types import Array
from fxtrade.risk import denoise, ew_windows, factor_covariance, gerber, shrinkage
from fxtrade.risk.pairwise import Matrix, Returns, least_rows, pairwise

SHOWN = 5  # names in a message


def sample(returns: Returns) -> Matrix:
    """The sample covariance, ddof 1. It is singular with fewer than A + 1 rows."""
    made = pairwise(returns)
    return made.only_known(made.covariance)


COVARIANCES: dict[str, Callable[..., Matrix]] = {
    "sample": sample,
    "ew": ew_windows.ew,
    "ew_dcc": ew_windows.ew_dcc,
    "ledoit_wolf": shrinkage.ledoit_wolf,
    "oas": shrinkage.oas,
    "nonlinear": shrinkage.nonlinear,
    "denoised": denoise.denoised,
    "detoned": denoise.detoned,
    "gerber": gerber.gerber,
    "factor_model": factor_covariance.factor_model,
}


def estimate(
    name: str,
    returns: Shaped[Array, ...],
    options: Mapping[str, Any] | None = None,
    where: str = "covariance",
    *,
    symbols: Sequence[str] | None = None,
    invertible: bool = False,
) -> Float[np.ndarray, "A A"]:
    """Return the covariance of one window, in float64, after checks of the input.

    Args:
        name: a key of `COVARIANCES`.
        returns: `[T, A]`; NaN where missing.
        options: of the estimator.
        where: begins every message, such as a config key.
        symbols: names of the assets for messages; None: their numbers.
        invertible: refuse a singular result.

    Raises:
        ConfigError: an unknown name or option, or a singular result where `invertible`.
        DataError: fewer than two rows, an infinite return, assets without enough values or whose returns are all equal.
    """
    estimator = build(COVARIANCES, name, options or {}, "covariance estimator", where)
    x = np.asarray(returns, np.float64)
    _check(x, where, symbols)
    with compat.float64() as real:
        made = np.asarray(_compiled(estimator.func)(jnp.asarray(x, real), **estimator.keywords), np.float64)
    if invertible and _is_singular(made, np.finfo(real).eps):
        raise ConfigError(
            f"{where}: the covariance '{name}' of {plural(x.shape[1], 'asset')} from {plural(len(x), 'row')} is "
            "singular, so that it has no inverse; give more rows than assets, or an estimator that shrinks, such as "
            "'ledoit_wolf'"
        )
    return made


@functools.cache
def _compiled(estimator: Callable[..., Matrix]) -> Callable[..., Matrix]:
    return jax.jit(estimator, static_argnames=tuple(option_types(estimator)))


def _check(x: np.ndarray, where: str, symbols: Sequence[str] | None) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise DataError(f"{where}: returns must be rows x assets [T, A], got shape {x.shape}")
    rows, assets = x.shape
    if rows < 2:
        raise DataError(f"{where}: a covariance needs at least 2 rows of returns, got {rows}")
    if symbols is not None and len(symbols) != assets:
        raise DataError(f"{where}: {plural(len(symbols), 'symbol')} for {plural(assets, 'asset')}")
    if np.isnan(x).all():
        raise DataError(f"{where}: every return is NaN; give a window in which the assets are traded")
    names = np.array([f"asset {a}" for a in range(assets)] if symbols is None else list(symbols))
    values = np.isfinite(x).sum(0)
    for bad, what, advice in (
        (np.isinf(x).any(0), "has an infinite return", "check the prices"),
        (values < least_rows(rows), f"has values in fewer than half of the {rows} rows", "leave it out, or give a "
         "window in which it is traded"),
        (_is_constant(x), "has equal returns in all rows, so that it has no variance", "leave it out"),
    ):  # fmt: skip
        if bad.any():
            more = f" and {bad.sum() - SHOWN} more" if bad.sum() > SHOWN else ""
            raise DataError(f"{where}: {', '.join(names[bad][:SHOWN])}{more} {what}; {advice}")


def _is_constant(x: np.ndarray) -> np.ndarray:
    low, high = np.where(np.isnan(x), np.inf, x).min(0), np.where(np.isnan(x), -np.inf, x).max(0)
    return low >= high


def _is_singular(covariance: np.ndarray, eps: float) -> bool:
    scale = np.sqrt(np.diagonal(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(scale, scale))
    return bool(values[0] <= 10 * len(values) * eps * values[-1])
