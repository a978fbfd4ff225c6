"""Reports of feature studies that were never made."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from fxtrade.core.config import StudyConfig
from fxtrade.evaluate.results import FeatureColumn, FeatureTest
from fxtrade.report.study_schema import StudyData, StudyReport
from tests.helpers import report_sample

HORIZONS = (1, 16)
MISSING = ("ic", "low", "high", "null_quantile", "p", "q", "same_sign", "last", "mean", "std")


def feature_test(column: str, horizon: int, ic: float, discovery: bool, periods: tuple[float, ...]) -> FeatureTest:
    return FeatureTest(
        column=column,
        horizon=horizon,
        ic=ic,
        low=ic - 0.02,
        high=ic + 0.02,
        blocks=90,
        null_quantile=0.025,
        shifts=800.0,
        p_block=0.3,
        p_shift=0.3,
        p=1e-120 if discovery else 0.3,
        q=1e-118 if discovery else 0.6,
        discovery=discovery,
        periods=periods,
        mean=ic,
        std=0.01,
        same_sign=1.0,
        last=ic,
    )


def report(size: int = 6, found: int = 2, missing: tuple[int, ...] = (), periods: int = 3) -> StudyReport:
    """Columns c0, c1, ...: the first `found` are discoveries at 16 bars, those at `missing` are undefined."""
    rng = np.random.default_rng(0)
    tests = []
    for i in range(size):
        for h in HORIZONS:
            discovery = i < found and h == 16
            ic = 0.2 * 0.95**i if discovery else float(0.01 * rng.standard_normal())
            parts = (ic, -ic, math.nan)[:periods] + (ic,) * (periods - 3)
            test = feature_test(f"c{i}", h, ic, discovery, parts)
            if i in missing:
                empty = dict.fromkeys(MISSING, math.nan)
                test = dataclasses.replace(test, **empty, periods=(math.nan,) * periods, discovery=False)
            tests.append(test)
    correlation = np.corrcoef(rng.standard_normal((size, 50))).reshape(size, size)
    correlation[list(missing)] = math.nan
    return StudyReport(
        folder="sample-features",
        seconds=12.3,
        provenance=report_sample.PROVENANCE,
        config=report_sample.config(study=StudyConfig(HORIZONS, periods=periods)),
        data=StudyData("data/bars_1h", ("AAA", "BBB"), "1h", "2024-01-01T00:00", "2024-02-11T15:00", 1000, 1900),
        tests=tuple(tests),
        columns=tuple(FeatureColumn(f"c{i}", i // 2 + 1, i % 2 == 0, i) for i in range(size)),
        correlation=tuple(map(tuple, correlation.tolist())),
        periods=tuple(f"2024-01-{d:02d}T00:00" for d in range(1, periods + 2)),
        least_shift=2065,
    )


AWKWARD = {
    "usual": report(),
    "one column": report(1, 1),
    "one undefined column": report(1, 0, (0,)),
    "nothing found": report(6, 0),
    "some undefined": report(6, 2, (1, 4)),
    "one period": report(6, 2, periods=1),
    "many": report(80, 70, (75, 79)),
}
