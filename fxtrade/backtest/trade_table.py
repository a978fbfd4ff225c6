"""`Trades`: the round trips of a backtest, one row each; to data frames and to files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from fxtrade.core.errors import DataError, FxtradeError
from fxtrade.core.files import atomic_path
from fxtrade.core.order_types import Reason
from fxtrade.core.text import plural
from fxtrade.core.types import Array
from fxtrade.data.times import NANOSECOND

OPEN = -1  # the exit reason of a trade without an exit


@dataclasses.dataclass(frozen=True, repr=False)
class Trades:
    """Round trips, by asset and then by time. Rows are those of the bars.

    Attributes:
        asset: column of the bars.
        side: +1 long, -1 short.
        entry_row, exit_row: of the first and the last execution; of an open trade, the last row of the bars.
        entry_price: mean of all executions that add to the position, weighted with their units; before costs.
        exit_price: likewise of those that reduce it, and of the last close for what is open.
        size: largest number of units held, positive.
        gross, cost, net: profit before costs, costs, and their difference, in account units.
        ret: net profit over the value of all entries.
        bars: `exit_row - entry_row`, 0 for a trade within one bar.
        mae, mfe: maximum adverse and favourable excursion: the worst (<= 0) and the best (>= 0) move of the price away
            from `entry_price` while the position was held, as a fraction of it, positive in favour of the position.
            Bars between entry and exit count with their low and high, and so does the entry bar where the first
            execution is at its open. A later entry counts its bar with the close, every exit its bar with the open (a
            trade within one bar with neither), and both with the prices of the executions, since the extremes may lie
            outside the time held. An open trade is held to the close of the last bar.
        reason: a `Reason` of the exit, or `OPEN`.
        is_open: whether the position is still held at the end.
    """

    asset: Int[np.ndarray, " trades"]
    side: Int[np.ndarray, " trades"]
    entry_row: Int[np.ndarray, " trades"]
    exit_row: Int[np.ndarray, " trades"]
    entry_price: Float[np.ndarray, " trades"]
    exit_price: Float[np.ndarray, " trades"]
    size: Float[np.ndarray, " trades"]
    gross: Float[np.ndarray, " trades"]
    cost: Float[np.ndarray, " trades"]
    net: Float[np.ndarray, " trades"]
    ret: Float[np.ndarray, " trades"]
    bars: Int[np.ndarray, " trades"]
    mae: Float[np.ndarray, " trades"]
    mfe: Float[np.ndarray, " trades"]
    reason: Int[np.ndarray, " trades"]
    is_open: Bool[np.ndarray, " trades"]

    def __len__(self) -> int:
        return len(self.asset)

    def __repr__(self) -> str:
        return f"Trades({plural(len(self), 'trade')}, {self.is_open.sum():,} open, net profit {self.net.sum():.6g})"

    def select(self, rows: Bool[np.ndarray, " trades"] | Int[np.ndarray, " rows"]) -> Trades:
        """Return some of the trades, by a mask or by their numbers."""
        return Trades(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})

    def to_frame(self, times: Int[Array, " N"], symbols: Sequence[str]) -> pl.DataFrame:
        """Return a row for each trade: names for asset, side and reason, and the opens (UTC) of the bars for rows.

        Raises:
            DataError: there are fewer times than rows, or fewer symbols than assets.
        """
        times = np.asarray(times, np.int64)
        if len(self) and (self.exit_row.max() >= len(times) or self.asset.max() >= len(symbols)):
            raise DataError(
                f"trades: {len(times):,} times and {plural(len(symbols), 'symbol')} for trades up to row "
                f"{self.exit_row.max():,} of asset {self.asset.max()}; give those of the bars"
            )
        names = {reason.value: reason.name.lower() for reason in Reason} | {OPEN: "open"}
        columns = {
            "symbol": pl.Series([symbols[a] for a in self.asset.tolist()], dtype=pl.String),
            "side": pl.Series(np.where(self.side > 0, "long", "short").tolist(), dtype=pl.String),
            "entry_time": pl.Series(times[self.entry_row]).cast(NANOSECOND),
            "exit_time": pl.Series(times[self.exit_row]).cast(NANOSECOND),
        }
        numbers = ("entry_price", "exit_price", "size", "gross", "cost", "net", "ret", "bars", "mae", "mfe")
        columns |= {name: getattr(self, name) for name in numbers}
        columns["reason"] = pl.Series([names[r] for r in self.reason.tolist()], dtype=pl.String)
        return pl.DataFrame(columns)

    def write(self, folder: Path, times: Int[Array, " N"], symbols: Sequence[str]) -> None:
        """Write `to_frame` as `trades.parquet` and `trades.csv` in the folder, each atomically.

        Raises:
            DataError: as `to_frame`. FxtradeError: a file cannot be written.
        """
        frame = self.to_frame(times, symbols)
        for path, write in ((folder / "trades.parquet", frame.write_parquet), (folder / "trades.csv", frame.write_csv)):
            try:
                with atomic_path(path) as part:
                    write(part)
            except OSError as e:
                raise FxtradeError(f"{path} cannot be written: {e.strerror}; choose another place") from e
