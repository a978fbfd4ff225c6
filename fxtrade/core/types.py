"""The pytrees that the packages of fxtrade pass to each other.

Axes, the same letters everywhere: N bars, A assets, F features, B batch, T time within a segment, K classes,
D embedding, E ensemble members, S simulated paths, P parameter sets, G folds.

Leaves may be NumPy or JAX arrays; a column that the data lack is `None`, which is an empty pytree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import polars as pl
from flax import struct
from jaxtyping import ArrayLike, Float, Real

from fxtrade.core.errors import DataError

Array = jax.Array | np.ndarray
Number = Real[ArrayLike, ""]  # of Python, of NumPy, or a traced leaf
PerAsset = Number | Float[Array, " A"]  # one number for all assets, or one each


@struct.dataclass
class Book:
    """Limit order books of A assets, L levels a side: level 0 is the best, bids fall and asks rise from there.

    Where a level is missing, price and size are NaN; so is all of the book where the bar is not `ok`. float32 has a
    relative rounding error of up to 6e-8, so that finer spreads become 0.

    Attributes:
        bid_price, ask_price: `[N, A, L]` float32, quote currency per unit of base.
        bid_size, ask_size: `[N, A, L]` float32, base units (contracts, where the exchange counts those) resting at
            that price.
    """

    bid_price: Array
    bid_size: Array
    ask_price: Array
    ask_size: Array


@struct.dataclass
class Bars:
    """Bars of A assets on one regular clock; each is known when it has closed.

    Rows may also be updates of an order book (`data.book.read`): then each is known at its own time, and the times are
    not regular.

    Where `ok` is False there is no bar (gap, outage, not listed) and every value of that bar is NaN. Prices are in
    quote currency per unit of base, float32.

    Attributes:
        open, high, low, close: `[N, A]` prices.
        volume: `[N, A]` base units traded.
        ok: `[N, A]` bool.
        second_of_week: `[N]` int32, seconds from Monday 00:00 UTC to the bar's OPEN. The int64 clock itself stays on
            the host (`Panel.times`).
        quote_volume: `[N, A]` quote units traded, or None.
        trades: `[N, A]` number of trades, or None.
        taker_buy: `[N, A]` base units bought by takers, or None.
        book: the order book at the close of the bar, or None.
    """

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    ok: Array
    second_of_week: Array
    quote_volume: Array | None = None
    trades: Array | None = None
    taker_buy: Array | None = None
    book: Book | None = None

    def __repr__(self) -> str:
        extra = [name for name in ("quote_volume", "trades", "taker_buy", "book") if getattr(self, name) is not None]
        return f"Bars({_describe_rows(self.ok)}, with {', '.join(extra) or 'prices and volume'})"


def check_bars(bars: Bars, where: str) -> None:
    """Raise DataError for anything that is not `Bars`, such as the panel that holds them."""
    if not isinstance(bars, Bars):
        advice = "; pass its `.bars`" if isinstance(getattr(bars, "bars", None), Bars) else ""
        raise DataError(f"{where}: expected Bars, got {type(bars).__name__}{advice}")


@struct.dataclass
class Features:
    """`x [N, A, F]` float32, finite everywhere (0 where not ok); `ok [N, A]` bool: every feature is defined."""

    x: Array
    ok: Array
    names: tuple[str, ...] = struct.field(pytree_node=False, default=())


@struct.dataclass
class Labels:
    """The outcome after each row; only training and evaluation may use it.

    Attributes:
        y: `[N, A]` int32 class; -1 where there is no label or, with two classes, no move.
        ret: `[N, A]` float32 forward log return over the span of the label, NaN where undefined.
        end: `[N, A]` int32, index of the last bar that the label of row t depends on (for purging).
        w: `[N, A]` float32 sample weight, 0 where y is -1.
        horizon_y, horizon_w: `[N, A, H]`, classes and weights at H further horizons, or None.
    """

    y: Array
    ret: Array
    end: Array
    w: Array
    horizon_y: Array | None = None
    horizon_w: Array | None = None


@struct.dataclass
class Segment:
    """Stretches of bars for training: `x [B, T, A, F]`, `y [B, T, A]` int32, `ret, w [B, T, A]`.

    The first R-1 steps are the warm-up of a model with receptive field R: w is 0 there, so they do not enter the loss.

    For auxiliary losses, else None: `ret_w [B, T, A]`, weight of the return itself, positive also where the
    return is zero and has no class; `horizon_y, horizon_w [B, T, A, H]`, classes and weights at H further horizons.
    """

    x: Array
    y: Array
    ret: Array
    w: Array
    ret_w: Array | None = None
    horizon_y: Array | None = None
    horizon_w: Array | None = None


@struct.dataclass
class Output:
    """The outputs of a model at every step: `logits [B, T, A, K]` and the last hidden state `embed [B, T, A, D]`.

    Only for models with such heads, else None: mean `mu` and log standard deviation `log_sigma` `[B, T, A]` of the
    forward log return, and `horizon_logits [B, T, A, H, K]`, logits at H further horizons.
    """

    logits: Array
    embed: Array
    mu: Array | None = None
    log_sigma: Array | None = None
    horizon_logits: Array | None = None


@struct.dataclass
class Forecast:
    """The forecasts of a model, as trading receives them: `prob [N, A, K]`, `ok [N, A]`.

    Only for models with such heads, else None: `mu`, `sigma` `[N, A]`, mean and standard deviation of the forward log
    return, and `horizon_prob [N, A, H, K]`, probabilities at further horizons.
    """

    prob: Array
    ok: Array
    mu: Array | None = None
    sigma: Array | None = None
    horizon_prob: Array | None = None

    def __repr__(self) -> str:
        return f"Forecast({_describe_rows(self.ok)}, {np.shape(self.prob)[-1]} classes)"

    def to_frame(self, times: Array | None = None, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return a long polars frame: time, symbol, a column of probabilities for each class, and ok.

        Args:
            times: `[N]` open times in ns, as `Panel.times`; None: rows are numbered.
            symbols: A names; None: assets are numbered.
        """
        prob = np.asarray(self.prob)
        rows, assets, classes = prob.shape
        time = pl.Series("row", np.arange(rows))
        if times is not None:
            time = pl.Series("timestamp", np.asarray(times)).cast(pl.Datetime("ns", "UTC"))
        names = pl.Series("asset", np.arange(assets)) if symbols is None else pl.Series("symbol", list(symbols))
        columns = {f"prob_{k}": prob[..., k].ravel() for k in range(classes)}
        columns |= {name: np.ravel(a) for name in ("mu", "sigma") if (a := getattr(self, name)) is not None}
        index = time.to_frame().join(names.to_frame(), how="cross")
        return index.with_columns(**{k: pl.Series(v) for k, v in columns.items()}, ok=pl.Series(np.ravel(self.ok)))


@struct.dataclass
class Split:
    """Rows of training, validation and test, bool `[N]` each (or `[G, N]`, so that folds `vmap`)."""

    train: Array
    valid: Array
    test: Array


def _describe_rows(ok: Any) -> str:
    """Describe rows and assets by `ok [N, A]`, with the share that is ok if they are on the host."""
    shape = np.shape(ok)
    units = ("rows", "assets") if len(shape) == 2 else ("assets",)  # one row of a stream has assets only
    text = " x ".join(f"{size:,} {unit}" for size, unit in zip(shape, units, strict=False))
    return f"{text}, {np.mean(ok):.2%} ok" if isinstance(ok, np.ndarray) and ok.size else text
