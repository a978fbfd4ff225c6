"""A comparison of covariance estimators over rolling dates, from its config to its report."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fxtrade.core.covariance_config import CovarianceConfig
from fxtrade.core.errors import DataError
from fxtrade.core.registry import build
from fxtrade.core.text import plural
from fxtrade.data.panel import Panel
from fxtrade.data.times import UNITS, format_interval, format_time, parse_interval
from fxtrade.evaluate import covariance
from fxtrade.evaluate.account_metrics import YEAR
from fxtrade.experiment import study_folder
from fxtrade.metrics import bootstrap
from fxtrade.pipeline import dataset
from fxtrade.report import covariance as covariance_report
from fxtrade.report.covariance import CovarianceReport
from fxtrade.report.progress import Console
from fxtrade.risk.covariance import COVARIANCES
from fxtrade.runs import provenance


def run(config: CovarianceConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Compare the estimators, write `report.md`, `report.json` and a plot; return their folder.

    The folder appears when it is complete; an interrupted comparison leaves no files.

    Raises:
        FxtradeError: a mistake that the user can correct; the message says how.
    """
    console, began = console or Console(), time.time()
    check(config)
    with study_folder.claim(results, name, config.name, "--name") as folder:
        report = _compare(config, folder.name, began, console)
        study_folder.fill(folder, lambda part: covariance_report.write(part, report))
    covariance_report.table(console, report, folder)
    return folder


def check(config: CovarianceConfig) -> None:
    """Raise ConfigError for estimators and options that do not exist, DataError for a block that cannot be read."""
    for name, options in config.estimators.items():
        build(COVARIANCES, name, options, "covariance estimator", "config.estimators")
    parse_interval(config.bootstrap_block, "config.bootstrap_block")


def returns_of(panel: Panel) -> Float[np.ndarray, "N A"]:
    """Return the simple return of each bar, NaN where it or the bar before it is missing."""
    close = np.where(panel.bars.ok, np.asarray(panel.bars.close, np.float64), np.nan)
    return np.vstack([np.full((1, close.shape[1]), np.nan), close[1:] / close[:-1] - 1])


def _compare(config: CovarianceConfig, folder: str, began: float, console: Console) -> CovarianceReport:
    with console.task("reading bars"):
        panel = dataset.load(config.data)
    returns = returns_of(panel)
    dates = covariance.date_rows(returns, config.window, config.horizon)
    block = bootstrap.block_ids(panel.times[dates], parse_interval(config.bootstrap_block))
    if len(np.unique(block)) < 2:
        raise DataError(
            f"{panel.source}: {plural(len(dates), 'date')} with two assets or more in {plural(len(returns), 'bar')}, "
            f"too few for two blocks of {config.bootstrap_block}; use more bars or assets, or a shorter window or "
            "bootstrap_block"
        )
    made = {}
    with console.bar("covariances", len(dates) * len(config.estimators), "dates") as on_progress:
        for name, options in config.estimators.items():
            estimator = build(COVARIANCES, name, options, "covariance estimator", "config.estimators")
            made[name] = covariance.forecasts(estimator, returns, dates, config.window, config.horizon, on_progress)
    with console.task("intervals"):
        year = YEAR * UNITS["d"] / panel.interval
        scores = covariance.scores(made, config.reference, block, year, config.bootstrap_samples, config.seed)
    first, last = int(panel.times[dates[0]]), int(panel.times[dates[-1] + config.horizon - 1])
    return CovarianceReport(
        name=folder,
        seconds=time.time() - began,
        config=config,
        source=panel.source,
        fingerprint=panel.fingerprint(),
        symbols=panel.symbols,
        interval=format_interval(panel.interval),
        start=format_time(first, "D"),
        end=format_time(last, "D"),
        dates=len(dates),
        assets=float(made[config.reference].assets.mean()),
        scores=scores,
        environment=provenance.environment(),
    )
