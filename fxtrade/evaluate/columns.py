"""Evaluation of feature columns: information coefficients with forward returns, and their tests.

Only the training span is read, and the validation span if the config asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fxtrade.core.config import RunConfig, StudyConfig
from fxtrade.core.errors import DataError
from fxtrade.core.text import plural
from fxtrade.core.types import Array
from fxtrade.evaluate.results import FeatureColumn, FeatureTest
from fxtrade.labels import horizon
from fxtrade.metrics import bootstrap, ic
from fxtrade.pipeline.dataset import Dataset
from fxtrade.validate import discovery
from fxtrade.validate.discovery import ShiftNull

BLOCK_HORIZONS = 4  # horizons in a block, at least, so that few returns reach over its end
FEW_BLOCKS = 10  # percentile intervals from fewer are far too narrow
MEMORY = 4  # half-lives of the scaler that count as the memory of a column

Column = Callable[[int], np.ndarray]  # index of a column to its rows [M]


class Sample(NamedTuple):
    """The M usable rows of the span, by asset, then by time.

    Attributes:
        returns: standardised ranks of the forward returns of each horizon.
        asset: of each row.
        row: of each row, its place on the span's clock.
        times: int64 ns, that clock.
        assets: number of assets, A.
    """

    returns: Float[np.ndarray, "H M"]
    asset: Int[np.ndarray, " M"]
    row: Int[np.ndarray, " M"]
    times: Int[np.ndarray, " N"]
    assets: int

    def on_clock(self, x: Float[np.ndarray, " M"]) -> Float[np.ndarray, "A N"]:
        """Return `x` on the clock, 0 where there is no row."""
        made = np.zeros((self.assets, len(self.times)))
        made[self.asset, self.row] = x
        return made


class Target(NamedTuple):
    """The returns of one horizon, as every column is tested against them.

    Attributes:
        horizon: bars.
        returns: standardised ranks.
        spectrum: of these on the clock, from `ic.spectrum`.
        block: the bootstrap's block of each row.
        sizes: rows of each block.
    """

    horizon: int
    returns: Float[np.ndarray, " M"]
    spectrum: Complex[np.ndarray, "A frequencies"]
    block: Int[np.ndarray, " M"]
    sizes: Int[np.ndarray, " blocks"]


class Measured(NamedTuple):
    """A column at one horizon, before the correction for many tests.

    Attributes:
        ic: over the whole span.
        periods: in each period.
        null: distribution under shifts.
        sums: of the products of ranks within each block.
    """

    ic: float
    periods: Float[np.ndarray, " periods"]
    null: ShiftNull
    sums: Float[np.ndarray, " blocks"]


class ColumnResults(NamedTuple):
    """The tests by column, then by horizon; clusters and rank correlation of the columns; and how they were tested.

    Attributes:
        periods: int64 ns, borders of the periods.
        least_shift: bars of the shortest shift.
    """

    tests: tuple[FeatureTest, ...]
    columns: tuple[FeatureColumn, ...]
    correlation: Float[np.ndarray, "F F"]
    periods: Int[np.ndarray, " borders"]
    least_shift: int


def select(data: Dataset, config: StudyConfig) -> tuple[Sample, Column]:
    """Return the rows of the span that have features and the returns of every horizon, and a function to their columns.

    Bars after the last one that a label of the span looks at are dropped before anything is computed. The split is
    purged for its own label only, so that rows whose return at a horizon of the study reaches a test row, or a
    validation row that is not studied, are dropped, too.

    Raises:
        DataError: there is no such row, or a horizon is longer than the span.
    """
    split = data.split
    inside, held_out = split.train, split.valid | split.test
    if config.span == "train+valid":
        inside, held_out = split.train | split.valid, split.test
    span = np.flatnonzero(inside)
    first, stop = span[0], int(data.labels.end[span].max()) + 1
    for h in config.horizons:
        if h + 1 >= stop - first:
            raise DataError(
                f"study.horizons: {plural(h, 'bar')} do not fit into the {config.span} span of "
                f"{plural(stop - first, 'bar')}"
            )
    bars = jax.tree.map(lambda a: a[:stop], data.panel.bars)
    returns = np.stack(
        [
            np.where(reaches(np.asarray(held_out), h)[:stop, None], np.nan, horizon.open_to_open(bars, horizon=h).ret)
            for h in config.horizons
        ]
    )
    usable = inside[:stop, None] & np.asarray(data.features.ok[:stop]) & np.isfinite(returns).all(0)
    asset, row = np.nonzero(usable.T)
    if not asset.size:
        raise DataError(
            f"no row of the {config.span} span has features and the returns of all study.horizons before a row that is "
            "held out; use more data, a shorter scaler.halflife, shorter windows or study.horizons, or fewer "
            "split.options.blocks, each of which these horizons must fit into"
        )
    assets = usable.shape[1]
    ranks = np.stack([rank_within_assets(r[row, asset], asset, assets) for r in returns])
    x = np.asarray(data.features.x)
    return Sample(ranks, asset, row - first, data.panel.times[first:stop], assets), lambda f: x[row, asset, f]


def reaches(rows: Bool[Array, " N"], horizon: int) -> Bool[np.ndarray, " N"]:
    """Return whether one of `rows` is among t+1 .. t+1+horizon, the bars of the open-to-open return of each row t."""
    before = np.concatenate([[0], np.cumsum(rows)])  # number of rows before each index
    first = np.arange(1, len(rows) + 1)
    return before[np.minimum(first + horizon + 1, len(rows))] > before[first]


def rank_within_assets(
    x: Float[np.ndarray, " M"], asset: Int[np.ndarray, " M"], assets: int
) -> Float[np.ndarray, " M"]:
    """Return standardised ranks within each asset; `asset` is in rising order."""
    parts = np.split(x, np.searchsorted(asset, np.arange(1, assets)))
    return np.concatenate([ic.standard_ranks(part) for part in parts])


def evaluate_columns(
    column: Column,
    names: tuple[str, ...],
    sample: Sample,
    config: RunConfig,
    block: int,
    on_progress: Callable[[int], None] = lambda n: None,
) -> ColumnResults:
    """Test every column at every horizon, one column at a time.

    Args:
        block: least length of the bootstrap's blocks in ns.
        on_progress: called with the number of tests just done.

    Raises:
        DataError: all rows fall into one block.
    """
    options, length = config.study, len(sample.times)
    targets = make_targets(sample, options, block)
    mask = ic.spectrum(sample.on_clock(np.ones(len(sample.row))))
    least = shortest_shift(options.horizons, config.scaler.halflife, length)
    scale = discovery.shift_scale(ic.all_lags(mask, mask), len(sample.row), least)

    ranks = np.empty((len(names), len(sample.row)), np.float32)
    measured: list[list[Measured]] = []
    for f in range(len(names)):
        ranks[f] = order = rank_within_assets(column(f), sample.asset, sample.assets)
        spectrum = ic.spectrum(sample.on_clock(order))
        measured.append([])
        for target in targets:
            measured[f].append(measure(order, spectrum, target, sample, options.periods, scale))
            on_progress(1)
    correlation = ic.correlation_matrix(ranks)
    strength = np.nan_to_num(np.abs([[m.ic for m in row] for row in measured])).max(1)
    edges = -(-np.arange(options.periods + 1) * length // options.periods)
    return ColumnResults(
        tests=test_columns(names, targets, measured, config),
        columns=redundancy(names, correlation, strength, options.cluster_threshold),
        correlation=correlation,
        periods=sample.times[np.minimum(edges, length - 1)],
        least_shift=least,
    )


def make_targets(sample: Sample, config: StudyConfig, block: int) -> list[Target]:
    """Return the returns of every horizon, with blocks of at least `block` ns. Raises DataError for a single block."""
    times, bar = sample.times[sample.row], int(np.median(np.diff(sample.times)))
    targets = []
    for h, returns in zip(config.horizons, sample.returns, strict=True):
        blocks = bootstrap.block_ids(times, max(block, BLOCK_HORIZONS * (h + 1) * bar))
        targets.append(Target(h, returns, ic.spectrum(sample.on_clock(returns)), blocks, np.bincount(blocks)))
    if min(len(target.sizes) for target in targets) < 2:
        raise DataError(
            f"study.bootstrap_block = '{config.bootstrap_block}' (or {BLOCK_HORIZONS} horizons, if longer): the span "
            "is a single block; choose shorter ones or use more data"
        )
    return targets


def measure(
    order: Float[np.ndarray, " M"],
    spectrum: Complex[np.ndarray, "A frequencies"],
    target: Target,
    sample: Sample,
    periods: int,
    scale: Float[np.ndarray, " lags"],
) -> Measured:
    """Return the IC of a column's ranks, in whole, by period and by block, and its null distribution by shifts.

    Args:
        spectrum: of the ranks on the clock.
        scale: from `discovery.shift_scale`.
    """
    sums = np.bincount(target.block, order * target.returns)
    value = sums.sum() / len(order) if order.any() and target.returns.any() else np.nan
    cells = sample.asset * periods + sample.row * periods // len(sample.times)
    within, rows = ic.correlation_within(order, target.returns, cells, sample.assets * periods)
    parts = ic.weighted_mean(*(a.reshape(sample.assets, periods) for a in (within, rows)))
    return Measured(float(value), parts, discovery.shift_null(ic.all_lags(spectrum, target.spectrum), scale), sums)


def test_columns(
    names: Sequence[str], targets: Sequence[Target], measured: Sequence[Sequence[Measured]], config: RunConfig
) -> tuple[FeatureTest, ...]:
    """Return the tests of all columns, corrected for their number.

    Args:
        measured: by column, then by target.
    """
    options = config.study
    low, high, p_block = np.full((3, len(names), len(targets)), np.nan)
    for h, target in enumerate(targets):
        sums = np.stack([row[h].sums for row in measured], 1)
        p_block[:, h] = discovery.block_p(sums)
        if len(target.sizes) >= FEW_BLOCKS:
            ends = bootstrap.ratio_intervals(sums, target.sizes, options.bootstrap_samples, seed=config.seed)
            low[:, h], high[:, h] = ends
    undefined = np.isnan([[m.ic for m in row] for row in measured])
    low[undefined] = high[undefined] = np.nan
    p_shift = np.array([[discovery.shift_p(m.ic, m.null) for m in row] for row in measured])
    # without a null distribution by shifts the blocks alone count: fmax ignores NaN
    p = np.where(undefined, np.nan, np.fmax(p_block, p_shift))
    q = discovery.benjamini_hochberg(p)
    return tuple(
        FeatureTest(
            column=name,
            horizon=target.horizon,
            ic=m.ic,
            low=float(low[f, h]),
            high=float(high[f, h]),
            blocks=len(target.sizes),
            null_quantile=m.null.quantile,
            shifts=float(m.null.shifts),
            p_block=float(p_block[f, h]),
            p_shift=float(p_shift[f, h]),
            p=float(p[f, h]),
            q=float(q[f, h]),
            discovery=bool(q[f, h] <= options.fdr),
            periods=tuple(m.periods.tolist()),
            **ic.stability(m.ic, m.periods),
        )
        for f, name in enumerate(names)
        for h, (target, m) in enumerate(zip(targets, measured[f], strict=True))
    )


test_columns.__test__ = False  # not one of pytest's


def shortest_shift(horizons: tuple[int, ...], halflife: float, length: int) -> int:
    """Return the shortest shift, in bars, after which a column and the returns share no bars; at most a quarter of the
    span."""
    return min(max(horizons) + 1 + round(MEMORY * halflife), length // 4)


def redundancy(
    names: Sequence[str], correlation: Float[np.ndarray, "F F"], strength: Float[np.ndarray, " F"], threshold: float
) -> tuple[FeatureColumn, ...]:
    """Return the cluster of each column; clusters count from 1, the strongest first.

    The column of the largest `strength` represents its cluster.
    """
    group, order = ic.clusters(correlation, threshold)
    best = {g: max(np.flatnonzero(group == g), key=lambda f: strength[f]) for g in set(group)}
    rank = {g: i for i, g in enumerate(sorted(best, key=lambda g: -strength[best[g]]), 1)}
    place = np.argsort(order)
    return tuple(
        FeatureColumn(name, rank[g], bool(best[g] == f), int(place[f]))
        for f, (name, g) in enumerate(zip(names, group, strict=True))
    )
