"""The report of a comparison of covariance estimators: `report.md`, `report.json`, a plot, a table on the screen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from fxtrade.core.codec import Versioned
from fxtrade.core.covariance_config import CovarianceConfig
from fxtrade.core.files import write_text
from fxtrade.core.text import plural
from fxtrade.evaluate.covariance import CovarianceScore
from fxtrade.report.formatting import DASH, describe_options, duration, estimate, fixed, missing, percent, points
from fxtrade.report.plotting import BLUE, DOTS, decorate, new_figure, write_plots
from fxtrade.report.progress import Console
from fxtrade.report.tables import commands, facts, grid, machine
from fxtrade.report.terminal import plain_table
from fxtrade.runs import run_dir
from fxtrade.runs.provenance import Environment

HEADER = ("estimator", "QLIKE", "difference x 1000", "volatility in %", "variance difference in %", "bias", "gross",
          "turnover")  # fmt: skip
SHORT = ("estimator", "QLIKE", "x 1000", "vol. %", "var. %", "bias", "gross", "turnover")
READING = """\
* **QLIKE**: (log det S + mean r' S^-1 r) / A of the returns r that follow, in nats of an asset and bar; lower is \
better (Patton 2011). **difference**: to the reference, in thousandths, with the interval of the paired difference.
* **volatility**: annual, of the fully invested portfolio of minimum variance, weights S^-1 1 / (1' S^-1 1), held \
from date to date and rebalanced at every bar, without costs. **variance difference**: to the reference, as a share of \
its variance.
* **bias**: the volatility that this portfolio had over the one that its covariance forecast; 1 is right, above 1 the \
risk was underestimated.
* **gross**: mean sum of its absolute weights. **turnover**: mean sum of the absolute changes of weights from date to \
date.
* **In bold**: differences whose 95 % interval does not contain 0. Intervals are from a bootstrap of blocks of time."""


@dataclasses.dataclass(frozen=True)
class CovarianceReport(Versioned):
    """A finished comparison of covariance estimators.

    Attributes:
        start, end: first and last day of the returns that were forecast.
        assets: mean number at a date.
    """

    name: str
    seconds: float
    config: CovarianceConfig
    source: str
    fingerprint: str
    symbols: tuple[str, ...]
    interval: str
    start: str
    end: str
    dates: int
    assets: float
    scores: tuple[CovarianceScore, ...]
    environment: Environment
    version: int = 1


def write(folder: Path, report: CovarianceReport) -> None:
    """Write the report into the folder. Raises FxtradeError if it cannot be written."""
    report.write(folder / run_dir.REPORT)
    write_plots(folder, {"estimators": figure(report)})
    write_text(folder / "report.md", document(report))


def table(console: Console, report: CovarianceReport, folder: Path) -> None:
    """Print the estimators, and where the report is."""
    made: Table = plain_table(_title(report))
    for i, name in enumerate(SHORT):
        made.add_column(name, justify="right" if i else "left", no_wrap=True)
    for score in report.scores:
        made.add_row(score.name, *_cells(report, score, intervals=False)[1:])
    console.rich.print(made, soft_wrap=False)
    console.say(f"report: {folder / 'report.md'}")


def document(report: CovarianceReport) -> str:
    """Return the report as Markdown."""
    c = report.config
    setting = [
        ("source", report.source),
        ("assets", f"{len(report.symbols)}: {', '.join(report.symbols)}; {report.assets:.1f} at a date on average"),
        ("returns forecast", f"{report.start} .. {report.end}, bars of {report.interval}"),
        ("dates", f"{report.dates:,}, every {plural(c.horizon, 'bar')}, each with a window of {c.window:,}"),
        ("intervals", f"{plural(c.bootstrap_samples, 'resample')} of blocks of {c.bootstrap_block}"),
    ]
    environment = report.environment
    provenance = [
        ("started", f"{environment.started}, took {duration(report.seconds)}"),
        ("code", f"`{environment.code}`"),
        ("data fingerprint", f"`{report.fingerprint}`"),
        ("seed", str(c.seed)),
        *machine(environment),
    ]
    blocks = [
        f"# Covariance estimators on {report.source}",
        facts(setting),
        f"## {_title(report)}",
        grid(HEADER, [_cells(report, score) for score in report.scores]),
        *_singular(report),
        READING,
        "![Volatility and bias of minimum-variance portfolios](plots/estimators.png)",
        "## Provenance",
        facts(provenance),
        "All numbers and the config are in [report.json](report.json).",
        commands(environment),
    ]
    return "\n\n".join(blocks) + "\n"


def figure(report: CovarianceReport) -> Figure:
    """Plot volatility and bias of the minimum-variance portfolios with their intervals."""
    made = [score for score in report.scores if not score.singular]
    figure, place = new_figure(1.6 + 0.3 * len(made)), np.arange(len(made))[::-1]
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, title, unit, values in (
        (left, "Volatility of minimum variance", "annual, in %", [(s.volatility, 100) for s in made]),
        (right, "Bias", "volatility over forecast", [(s.bias, 1) for s in made]),
    ):
        middle, low, high = np.array([(k * e.value, k * e.low, k * e.high) for e, k in values]).reshape(-1, 3).T
        error = np.nan_to_num([middle - low, high - middle])
        axes.errorbar(middle, place, xerr=error, fmt="o", ms=4, lw=1.3, capsize=2, color=BLUE)
        decorate(axes, title, unit, "")
    left.set_yticks(place, [score.name for score in made])
    right.axvline(1, color="black", lw=0.8, ls=DOTS)
    return figure


def _title(report: CovarianceReport) -> str:
    return f"{plural(len(report.scores), 'estimator')}, compared with `{report.config.reference}`"


def _cells(report: CovarianceReport, score: CovarianceScore, intervals: bool = True) -> list[str]:
    name = describe_options(score.name, report.config.estimators[score.name])
    if score.singular:
        return [name, *[DASH] * 7]
    tests = [(score.qlike_difference, 1000), (score.variance_difference, 100)]
    likelihood, variance = (points(test, scale, intervals) for test, scale in tests)
    if score.name == report.config.reference:
        likelihood = variance = DASH
    elif intervals:
        likelihood, variance = (
            f"**{text}**" if test.low > 0 or test.high < 0 else text
            for text, (test, _) in zip((likelihood, variance), tests, strict=True)
        )
    vol = estimate(score.volatility, 1, 100) if intervals else percent(score.volatility.value, 1)
    bias = estimate(score.bias, 2) if intervals else fixed(score.bias.value, 2)
    turnover = DASH if missing(score.turnover) else fixed(score.turnover, 2)
    return [name, fixed(score.qlike.value, 3), likelihood, vol, variance, bias, fixed(score.gross, 1), turnover]


def _singular(report: CovarianceReport) -> list[str]:
    names = [f"`{s.name}` at {s.singular:,}" for s in report.scores if s.singular]
    what = "which has no inverse, and so no likelihood and no portfolio of minimum variance"
    return [f"Singular, {what}, of {plural(report.dates, 'date')}: {', '.join(names)}."] if names else []
