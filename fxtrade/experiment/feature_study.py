"""The feature study: what each column of the config's features says about the returns that follow.

It reads the training span alone (and the validation span, if the config says so). It chooses no strategy, so it is no
trial and no entry of the ledger; the test span stays closed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fxtrade.core import files
from fxtrade.core.config import RunConfig, StudyConfig
from fxtrade.core.errors import DataError, FxtradeError
from fxtrade.core.files import to_jsonable
from fxtrade.core.registry import to_dict
from fxtrade.data.bars import format_interval, parse_interval
from fxtrade.labels import horizon
from fxtrade.metrics import bootstrap, ic
from fxtrade.pipeline import dataset
from fxtrade.pipeline.dataset import Dataset
from fxtrade.report import study as report
from fxtrade.report.progress import Console
from fxtrade.runs import provenance, run_dir
from fxtrade.validate import discovery

BLOCK_HORIZONS = 4  # a block holds at least so many horizons, so that few returns reach over its end
FEW = 10  # blocks; percentile intervals from fewer are far too narrow
MEMORY = 4  # half-lives of the scaler after which a column counts as having forgotten


class Sample(NamedTuple):
    """The M usable rows of the span, asset after asset, each in order of time.

    Attributes:
        returns: `[H, M]` standardised ranks of the forward returns of each horizon.
        asset: `[M]` int.
        place: `[M]` int, row of the span's clock, 0..length-1.
        times: `[length]` int64 ns, that clock.
        assets: number of assets, A.
    """

    returns: np.ndarray
    asset: np.ndarray
    place: np.ndarray
    times: np.ndarray
    assets: int

    def grid(self, x: np.ndarray) -> np.ndarray:
        """`x [M]` on the clock, `[A, length]`, 0 where there is no row."""
        made = np.zeros((self.assets, len(self.times)))
        made[self.asset, self.place] = x
        return made


class Target(NamedTuple):
    """The returns of one horizon, as every column is tested against them."""

    horizon: int  # bars
    returns: np.ndarray  # `[M]` standardised ranks
    spectrum: np.ndarray  # of these on the clock, see `ic.spectrum`
    block: np.ndarray  # `[M]` int, the bootstrap's block of each row


def run(config: RunConfig, results: Path, name: str = "", console: Console | None = None) -> Path:
    """Study the features and write `study.md`, `study.json`, `config.json` and `plots/`; returns their folder.

    The folder appears when it is whole: who stops the study leaves nothing behind.

    Raises:
        FxtradeError: something the user can mend; the message says what.
    """
    console = console or Console()
    began = time.time()
    block = parse_interval(config.study.bootstrap_block)
    folder = _vacant(results, name or f"{config.name}-features-{run_dir.timestamp()}")
    dataset.check(config)
    with console.task("reading bars"):
        panel = dataset.load(config.data)
        facts = provenance.provenance(config, panel.fingerprint())
    with console.bar("features", len(panel.times), "bars") as tick:
        data = dataset.prepare(config, panel, tick)
    sample, column = select(data, config.study)
    tests = len(data.features.names) * len(config.study.horizons)
    with console.bar("tests", tests, "tests") as tick:
        outcome = test_columns(column, data.features.names, sample, config, block, tick)
    outcome["run"] = {**facts, "config": to_dict(config), "seconds": time.time() - began, "folder": folder.name}
    outcome["data"] = {
        "source": panel.source,
        "symbols": panel.symbols,
        "interval": format_interval(panel.interval),
        "from": _minute(sample.times[0]),
        "to": _minute(sample.times[-1]),
        "bars": len(sample.times),
        "rows": len(sample.place),
    }
    outcome = to_jsonable(outcome)
    with console.task("report"):
        _write(folder, config, outcome)
    report.table(console, outcome, folder)
    return folder


def select(data: Dataset, config: StudyConfig) -> tuple[Sample, Callable[[int], np.ndarray]]:
    """The rows of the span that have features and the returns of every horizon, and what gives their column f `[M]`.

    Bars after the last one that a label of the span may look at are cut off before anything is computed from them.

    Raises:
        DataError: there is no such row, or a horizon is longer than the span.
    """
    inside = data.split.train | data.split.valid if config.span == "train+valid" else data.split.train
    span = np.flatnonzero(inside)
    first, stop = span[0], int(data.labels.end[span].max()) + 1
    for h in config.horizons:
        if h + 1 >= stop - first:
            raise DataError(f"study.horizons: {h} bars do not fit into the {config.span} span of {stop - first} bars")
    bars = jax.tree.map(lambda a: a[:stop], data.panel.bars)
    returns = np.stack([horizon.open_to_open(bars, horizon=h).ret for h in config.horizons])
    usable = inside[:stop, None] & np.asarray(data.features.ok[:stop]) & np.isfinite(returns).all(0)
    asset, row = np.nonzero(usable.T)
    if not asset.size:
        raise DataError(f"no row of the {config.span} span has features and the returns of all study.horizons")
    assets = usable.shape[1]
    ranks = np.stack([rank_within_assets(r[row, asset], asset, assets) for r in returns])
    x = np.asarray(data.features.x)
    return Sample(ranks, asset, row - first, data.panel.times[first:stop], assets), lambda f: x[row, asset, f]


def rank_within_assets(x: np.ndarray, asset: np.ndarray, assets: int) -> np.ndarray:
    """Standardised ranks of `x [M]` within each asset; rows of an asset stand together."""
    parts = np.split(x, np.searchsorted(asset, np.arange(1, assets)))
    return np.concatenate([ic.standard_ranks(part) for part in parts])


def test_columns(
    column: Callable[[int], np.ndarray],
    names: tuple[str, ...],
    sample: Sample,
    config: RunConfig,
    block: int,
    tick: Callable[[int], None] = lambda n: None,
) -> dict[str, Any]:
    """Every column at every horizon, one column at a time, as a JSON-like dict.

    Args:
        column: gives the rows `[M]` of a column by its number.
        block: least length of the bootstrap's blocks in ns.
        tick: told the number of tests just done.

    Raises:
        DataError: all rows fall into one block.
    """
    options, (count, length) = config.study, (len(sample.place), len(sample.times))
    times, bar = sample.times[sample.place], int(np.median(np.diff(sample.times)))
    blocks = [bootstrap.block_ids(times, max(block, BLOCK_HORIZONS * (h + 1) * bar)) for h in options.horizons]
    sizes = [np.bincount(b) for b in blocks]
    if min(map(len, sizes)) < 2:
        raise DataError(
            f"study.bootstrap_block = '{options.bootstrap_block}' (or {BLOCK_HORIZONS} horizons, if longer): the span is one block alone; "
            "choose shorter ones or use more data"
        )
    targets = [
        Target(h, r, ic.spectrum(sample.grid(r)), b)
        for h, r, b in zip(options.horizons, sample.returns, blocks, strict=True)
    ]
    mask = ic.spectrum(sample.grid(np.ones(count)))
    least = shortest_shift(options.horizons, config.scaler.halflife, length)
    scale = discovery.shift_scale(ic.all_lags(mask, mask), count, least)

    ranks = np.empty((len(names), count), np.float32)
    tests, sums = [], [np.empty((len(size), len(names))) for size in sizes]
    for f, name in enumerate(names):
        order = rank_within_assets(column(f), sample.asset, sample.assets)
        ranks[f] = order
        for h, (test, part) in enumerate(column_tests(order, targets, sample, options.periods, scale)):
            tests.append({"column": name, **test})
            sums[h][:, f] = part
            tick(1)
    _judge(tests, sums, sizes, config)
    correlation = ic.correlation_matrix(ranks)
    strength = np.nan_to_num(np.abs([t["ic"] for t in tests])).reshape(len(names), -1).max(1)
    edges = -(-np.arange(options.periods + 1) * length // options.periods)
    return {
        "tests": tests,
        "columns": redundancy(names, correlation, strength, options.cluster_threshold),
        "correlation": np.round(correlation, 4).tolist(),
        "periods": [_minute(t) for t in sample.times[np.minimum(edges, length - 1)]],
        "least_shift": least,
    }


def column_tests(
    order: np.ndarray, targets: list[Target], sample: Sample, periods: int, scale: np.ndarray
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Of a column's ranks `order [M]` and each target: IC, stability, null by shifts; and the sums within blocks `[G]`.

    `scale` is that of `discovery.shift_scale`.
    """
    moved = ic.spectrum(sample.grid(order))
    cells = sample.asset * periods + sample.place * periods // len(sample.times)
    for target in targets:
        sums = np.bincount(target.block, order * target.returns)
        value = sums.sum() / len(order) if order.any() and target.returns.any() else np.nan
        null = discovery.shift_null(ic.all_lags(moved, target.spectrum), scale)
        within, rows = ic.correlation_within(order, target.returns, cells, sample.assets * periods)
        stretches = ic.weighted_mean(*(a.reshape(sample.assets, periods) for a in (within, rows)))
        test = {"horizon": target.horizon, "ic": value, "periods": stretches.tolist()} | ic.stability(value, stretches)
        yield test | {"floor": null.floor, "shifts": null.shifts, "p_shift": discovery.shift_p(value, null)}, sums


def _judge(tests: list[dict], sums: list[np.ndarray], sizes: list[np.ndarray], config: RunConfig) -> None:
    """Adds interval, p-values, q-value and verdict to the tests, which go by column, then by horizon."""
    options, count = config.study, len(config.study.horizons)
    for h, (part, size) in enumerate(zip(sums, sizes, strict=True)):
        low, high = ic.bootstrap_intervals(part, size, options.bootstrap_samples, seed=config.seed)
        p = discovery.block_p(part)
        for f, test in enumerate(tests[h::count]):
            known = not np.isnan(test["ic"])
            ends = (low[f], high[f]) if known and len(size) >= FEW else (np.nan, np.nan)
            test |= {"low": ends[0], "high": ends[1], "blocks": len(size), "p_block": p[f]}
            # a column without a floor is judged by the blocks alone: fmax takes the other where one is NaN
            test["p"] = np.fmax(p[f], test["p_shift"]) if known else np.nan
    for test, q in zip(tests, discovery.benjamini_hochberg([t["p"] for t in tests]), strict=True):
        test |= {"q": q, "found": bool(q <= options.fdr)}


def shortest_shift(horizons: tuple[int, ...], halflife: float, length: int) -> int:
    """Bars that a column has to be moved by before it has nothing to do with the returns it was made of or is asked
    about; at most a quarter of the span."""
    return min(max(horizons) + 1 + round(MEMORY * halflife), length // 4)


def redundancy(names: tuple[str, ...], correlation: np.ndarray, strength: np.ndarray, least: float) -> list[dict]:
    """Name, cluster and place of each column; clusters count from 1, the strongest first.

    The column of the largest `strength [F]` represents its cluster.
    """
    group, order = ic.clusters(correlation, least)
    best = {g: max(np.flatnonzero(group == g), key=lambda f: strength[f]) for g in set(group)}
    rank = {g: i for i, g in enumerate(sorted(best, key=lambda g: -strength[best[g]]), 1)}
    place = np.argsort(order)
    return [
        {"name": name, "cluster": rank[g], "representative": bool(best[g] == f), "place": int(place[f])}
        for f, (name, g) in enumerate(zip(names, group, strict=True))
    ]


def _vacant(results: Path, name: str) -> Path:
    """The folder that the study will get, known to be free before anything is computed."""
    folder = run_dir.run_folder(results, name)
    if folder.exists():
        raise FxtradeError(f"{folder} exists already; give another --run name")
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise FxtradeError(f"{results} cannot be written: {e.strerror}; choose another place with --results") from e
    return folder


def _write(folder: Path, config: RunConfig, outcome: dict[str, Any]) -> None:
    """The whole folder or none of it."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        files.write_json(part / run_dir.CONFIG, to_dict(config))
        files.write_json(part / "study.json", outcome)
        report.write(part, outcome)
        os.replace(part, folder)
    except OSError as e:
        raise FxtradeError(f"{folder} cannot be written: {e.strerror}; choose another place with --results") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _minute(time_ns: int) -> str:
    return str(np.datetime64(int(time_ns), "ns").astype("datetime64[m]"))
