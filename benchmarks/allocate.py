"""Allocations of many dates: fxtrade on all dates at once, against skfolio and PyPortfolioOpt one date at a time.

    python benchmarks/allocate.py --peers-python ENV/bin/python

Minimum variance, equal risk contributions and hierarchical risk parity of 50 assets on 500 dates, each with the
covariance of its own 250 daily returns; long only, float64. The covariance is estimated before, and given to the peers
as it is: skfolio gets it from an estimator of its own kind that returns it, so that all solve the same problem. Peers
are timed on some of the dates, and the time for all of them is by proportion. Weights must agree to 1e-6, of skfolio's
with its solver's tolerances at 1e-12. `compile` is the time of the first call less that of a later one.
"""

from __future__ import annotations

import time
from pathlib import Path

import measure
import numpy as np

METHODS = ("minimum_variance", "risk_budget", "hrp")
SOME = 10  # dates of the peers
AGREE = 1e-6


def covariances(args) -> np.ndarray:
    dates, assets, rows = (50, 50, 250) if args.quick else (500, 50, 250)
    rng = np.random.default_rng(0)
    volatility = 0.02 * np.exp(rng.normal(size=assets) / 2)
    noise = rng.standard_normal((dates, rows, assets)) + rng.standard_normal((dates, rows, 1))
    return np.stack([np.cov(x.T) for x in noise * volatility])


def fxtrade(args) -> dict:
    from fxtrade.risk.allocation_types import Problem
    from fxtrade.risk.allocations import solve_dates

    covariance = covariances(args)
    meter, answer = measure.Meter(args), {"dates": len(covariance)}
    for name in METHODS:
        began = time.perf_counter()
        found = solve_dates(name, Problem(covariance))
        first = time.perf_counter() - began
        assert found.ok.all(), name
        answer[name] = meter.seconds(lambda n=name: solve_dates(n, Problem(covariance)), 5)
        answer[f"{name} compile"] = first - answer[name]
        answer[f"{name} residual"] = float(found.residual.max())
        np.save(Path(args.folder, f"{name}.npy"), found.weight[:SOME])
    return answer | {"others": meter.others}


def skfolio(args) -> dict:
    import pandas as pd
    from skfolio import RiskMeasure
    from skfolio.cluster import HierarchicalClustering
    from skfolio.distance import CovarianceDistance
    from skfolio.moments import BaseCovariance
    from skfolio.optimization import HierarchicalRiskParity, MeanRisk, ObjectiveFunction, RiskBudgeting
    from skfolio.prior import EmpiricalPrior

    class Known(BaseCovariance):
        def __init__(self, matrix=None):
            super().__init__()
            self.matrix = matrix

        def fit(self, X, y=None):
            self.covariance_ = self.matrix
            return self

    exact = {"tol_gap_abs": 1e-14, "tol_gap_rel": 1e-14, "tol_feas": 1e-14}
    rows = pd.DataFrame(np.random.default_rng(1).standard_normal((10, covariances(args).shape[1])))

    def weigh(name: str, matrix: np.ndarray) -> np.ndarray:
        known = Known(matrix)
        prior = EmpiricalPrior(covariance_estimator=known)
        if name == "minimum_variance":
            objective = ObjectiveFunction.MINIMIZE_RISK
            model = MeanRisk(objective, RiskMeasure.VARIANCE, prior_estimator=prior, solver_params=exact)
        elif name == "risk_budget":
            model = RiskBudgeting(RiskMeasure.VARIANCE, prior_estimator=prior, solver_params=exact)
        else:
            model = HierarchicalRiskParity(
                RiskMeasure.VARIANCE,
                prior_estimator=prior,
                distance_estimator=CovarianceDistance(covariance_estimator=known),
                hierarchical_clustering_estimator=HierarchicalClustering(),
            )
        return model.fit(rows).weights_

    return _loop(args, weigh, METHODS)


def pypfopt(args) -> dict:
    import pandas as pd
    from pypfopt import EfficientFrontier
    from pypfopt.hierarchical_portfolio import HRPOpt

    def weigh(name: str, matrix: np.ndarray) -> np.ndarray:
        if name == "hrp":
            return pd.Series(HRPOpt(cov_matrix=pd.DataFrame(matrix)).optimize()).sort_index().to_numpy()
        frontier = EfficientFrontier(None, matrix, solver="CLARABEL")
        frontier.min_volatility()
        return frontier.weights

    return _loop(args, weigh, ("minimum_variance", "hrp"))


def _loop(args, weigh, methods) -> dict:
    covariance = covariances(args)
    meter, answer = measure.Meter(args), {}
    for name in methods:
        found = np.array([weigh(name, matrix) for matrix in covariance[:SOME]])
        expected = np.load(Path(args.folder, f"{name}.npy"))
        answer[f"{name} gap"] = float(np.abs(found - expected).max())
        seconds = meter.seconds(lambda n=name: [weigh(n, matrix) for matrix in covariance[:SOME]], 2, warm=0)
        answer[name] = seconds * len(covariance) / SOME
    return answer | {"others": meter.others}


def conclude(args, answers) -> None:
    ours = answers["fxtrade"]
    print(f"{covariances(args).shape[1]} assets, {ours[0]['dates']} dates; milliseconds a date, in brackets the rounds")
    rows = []
    for name in METHODS:
        each = measure.spread(1e3 * a[name] / a["dates"] for a in ours)
        compiled = measure.spread(a[f"{name} compile"] for a in ours)
        row = [name, each, compiled, f"{max(a[f'{name} residual'] for a in ours):.1g}"]
        for peer in ("skfolio", "pypfopt"):
            if name not in answers[peer][0]:
                row += ["", "", ""]
                continue
            pairs = list(zip(ours, answers[peer], strict=True))
            gap = max(b[f"{name} gap"] for b in answers[peer])
            row += [measure.spread(1e3 * b[name] / a["dates"] for a, b in pairs)]
            row += [
                measure.spread(b[name] / a[name] for a, b in pairs),
                f"{gap:.1g}{'' if gap < AGREE else ' DIFFERS'}",
            ]
        rows.append(row)
    header = ["", "fxtrade", "compile, s", "residual"]
    for peer in ("skfolio", "pypfopt"):
        header += [peer, "faster by", "gap of weights"]
    print(measure.table(header, rows))


if __name__ == "__main__":
    workers = {"fxtrade": fxtrade, "skfolio": skfolio, "pypfopt": pypfopt}
    measure.main(measure.arguments(__doc__), workers, conclude, in_order=True)
