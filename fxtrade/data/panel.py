"""`Panel`: aligned bars of all symbols on one clock, gaps kept as gaps; from tables and data frames, and back."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, Literal

import jax
import numpy as np
import polars as pl
from jaxtyping import Float, Int64

from fxtrade.core.errors import DataError
from fxtrade.core.market_types import Funding
from fxtrade.core.text import plural
from fxtrade.core.types import Array, Bars
from fxtrade.data.bar_table import FLOW, REQUIRED, Stamp, check_bars, closed_bars, fill_flat, format_span, open_times
from fxtrade.data.frames import split_frame
from fxtrade.data.tables import standard_table
from fxtrade.data.times import NANOSECOND, find_interval, format_interval, format_time, second_of_week

Align = Literal["intersection", "union"]
EmptyBars = Literal["gap", "flat"]


@dataclasses.dataclass(frozen=True, repr=False)
class Panel:
    """Bars with their clock and names.

    Attributes:
        bars: `Bars` with NumPy leaves.
        times: OPEN time of each bar in ns, UTC; regular. If every update of an order book is a row (`data.book.read`
            without a clock), the time of each update: increasing, not regular.
        symbols: A names.
        interval: ns between bars; for updates, the median spacing.
        source: description of where the bars come from, for reports.
        edge: true probability of an up move of the tradable label, only of simulated markets.
        simulated: whether the prices are artificial: from a simulation, or a surrogate of others.
        planted_edge: whether they are simulated such that their direction can be predicted.
        funding: rates of simulated perpetuals; those of real ones are read by `data.funding`.
    """

    bars: Bars
    times: Int64[np.ndarray, " N"]
    symbols: tuple[str, ...]
    interval: int
    source: str
    edge: Float[Array, "N A"] | None = None
    simulated: bool = False
    planted_edge: bool = False
    funding: Funding | None = None

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        symbol: str = "ASSET",
        align: Align = "intersection",
        stamp: Stamp = "open",
        empty_bars: EmptyBars = "gap",
        date_format: str | None = None,
        now: int | None = None,
    ) -> Panel:
        """Return the aligned bars of a pandas or polars frame, with the columns and the checks of files (`bars.read`).

        Args:
            frame: long (a row for each bar and symbol, with a column `symbol`), wide (a column for each field and
                symbol, such as `close_BTCUSDT` or a pair of names), of one symbol, or a mapping of symbols to frames.
                The time is a column or the index. See `frames.split_frame`.
            symbol: name of the symbol of a frame that names none.
            align, stamp, empty_bars, date_format, now: see `bars.read`.

        Raises:
            DataError: names the symbol, the row and the first error.
        """
        checked = {}
        for name, part in split_frame(frame, symbol).items():
            table, time_column = standard_table(part, f"frame of {name}", REQUIRED, ("timestamp",))
            bars = check_bars(table, time_column, f"frame of {name}", date_format)
            checked[name] = open_times(bars, stamp, f"frame of {name}")
        closed, source = closed_bars(checked, now, "frame")
        return align_frames(closed, align, source, empty_bars)

    def to_frame(self) -> pl.DataFrame:
        """Return a long polars frame of all bars: `timestamp`, `symbol` and the columns of files."""
        row, asset = np.nonzero(self.bars.ok)
        columns = {name: getattr(self.bars, FLOW.get(name, name)) for name in (*REQUIRED, *FLOW)}
        frame = pl.DataFrame(
            {
                "timestamp": pl.Series(self.times[row]).cast(NANOSECOND),
                "symbol": np.asarray(self.symbols)[asset],
                **{name: np.asarray(a)[row, asset] for name, a in columns.items() if a is not None},
            }
        )
        return frame.sort("timestamp", "symbol", maintain_order=True)

    def rows(self, span: slice) -> Panel:
        """Return a stretch of the bars."""
        bars, edge, funding = jax.tree.map(lambda a: a[span], (self.bars, self.edge, self.funding))
        return dataclasses.replace(self, bars=bars, times=self.times[span], edge=edge, funding=funding)

    def __repr__(self) -> str:
        kind, bars = "simulated, " if self.simulated else "", plural(len(self.times), "bar")
        shown, more = ", ".join(self.symbols[:4]), len(self.symbols) - 4
        names = f"{len(self.symbols)} symbols ({shown}, ...)" if more > 0 else shown
        return (
            f"Panel({kind}{bars} of {format_interval(self.interval)} x {names}, "
            f"{format_time(self.times[0], 'm')} to {format_time(self.times[-1], 'm')}, {self.bars.ok.mean():.2%} ok)"
        )

    def fingerprint(self) -> str:
        """Return a hash of clock, symbols and all values: panels with the same fingerprint hold the same data."""
        h = hashlib.blake2b(digest_size=16)
        h.update(repr((self.symbols, self.interval)).encode())
        for a in (self.times, *jax.tree.leaves(self.bars)):
            h.update(np.ascontiguousarray(a).tobytes())
        return h.hexdigest()


def bars_of(panel: Panel | Bars) -> Bars:
    """Return the bars of a panel; bars without names and clock stay as they are."""
    return panel.bars if isinstance(panel, Panel) else panel


def align_frames(
    frames: dict[str, pl.DataFrame], align: Align = "intersection", source: str = "", empty_bars: EmptyBars = "gap"
) -> Panel:
    """Place checked frames (`bar_table.check_bars`) on one clock; a bar that a symbol lacks is NaN with `ok=False`."""
    intervals = {s: find_interval(f["time"].to_numpy(), s) for s, f in frames.items()}
    if len(set(intervals.values())) > 1:
        listing = ", ".join(f"{s}: {format_interval(i)}" for s, i in intervals.items())
        raise DataError(f"{source}: symbols have bars of different lengths ({listing}); resample them to one first")
    interval = next(iter(intervals.values()))
    if empty_bars == "flat":
        frames = {s: fill_flat(f, interval) for s, f in frames.items()}
    firsts, lasts = zip(*((f["time"][0], f["time"][-1]) for f in frames.values()), strict=True)
    first, last = (max(firsts), min(lasts)) if align == "intersection" else (min(firsts), max(lasts))
    if first > last:
        apart = np.argmax(firsts), np.argmin(lasts)
        listing = ", ".join(f"{s}: {format_span(f)}" for i, (s, f) in enumerate(frames.items()) if i in apart)
        raise DataError(f"{source}: the symbols never overlap in time ({listing}); choose others or align='union'")
    times = np.arange(first, last + interval, interval, dtype=np.int64)
    columns = [c for c in (*REQUIRED, *FLOW) if all(c in f.columns for f in frames.values())]
    values: dict[str, Any] = {FLOW.get(c, c): np.full((len(times), len(frames)), np.nan, np.float32) for c in columns}
    for a, (symbol, frame) in enumerate(frames.items()):
        t = frame["time"].to_numpy()
        if (t[0] - first) % interval:
            raise DataError(
                f"{source}: {symbol}'s bars open at other times of the interval than the others'; use bars on one grid"
            )
        frame = frame.filter((pl.col("time") >= first) & (pl.col("time") <= last))
        rows = (frame["time"].to_numpy() - first) // interval
        for c in columns:
            values[FLOW.get(c, c)][rows, a] = frame[c].to_numpy()
    bars = Bars(**values, ok=np.isfinite(values["close"]), second_of_week=second_of_week(times))
    return Panel(bars, times, tuple(frames), interval, source)
