"""Path policies on real minutes: which extreme of an hour comes first, and what a bracket earns if that is guessed.

    python benchmarks/paths.py

Real 1-minute bars (`FXTRADE_DATA`), made to hours; hours with a missing minute are left out.

* Order: the first minute that reaches the hour's low against the first that reaches its high. Beside the four markets
  a random walk of 60 minutes with 20 steps each.
* Brackets: every 25 hours, at one of four hours drawn at random, a position of one unit is opened, and closed 20 hours
  later unless its bracket has closed it. The same orders run on hours under each policy and on minutes, in the same
  engine and without costs; all markets together. The truth is the mean of the pessimistic and the optimistic result on
  minutes; half their difference is its error.
* Order matters: share of the trades whose results under the pessimistic and the optimistic policy differ by more than
  10 bp. A policy is wrong where its result differs by as much from that of minutes. Trades whose result on minutes is
  open by as much do not count.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import measure
import numpy as np

from fxtrade.backtest import engine
from fxtrade.core.market_types import ExecutionPolicy, Row
from fxtrade.core.order_types import Bracket, Executions, Order
from fxtrade.core.types import Bars
from fxtrade.data import bars as files
from fxtrade.data.resample import resample
from fxtrade.market import costs, path

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SUIUSDT", "TAOUSDT")
POLICIES = ("pessimistic", "optimistic", "nearest", "random")
MINUTES, SLOT, STARTS, HOLD = 60, 25, 4, 20  # per hour; hours between entries, hours to draw from, longest position
SPAN = 30 * SLOT  # hours of one backtest, whose executions are kept in memory
WRONG = 10  # basis points
NAN = np.nan
SIZES = {
    **{f"stop {s} %, target {k * s} %": (s, k * s, NAN) for s in (0.5, 1, 2) for k in (1, 2)},
    **{f"trailing {s} %": (NAN, NAN, s) for s in (0.5, 1, 2)},
}
SIDES = {"long": 1.0, "short": -1.0}


class Trades(NamedTuple):
    """Results `[columns, trades]` as shares of the price of the entry; a column for each bracket and side."""

    result: np.ndarray
    ambiguous: int

    @staticmethod
    def join(parts: list[Trades]) -> Trades:
        return Trades(np.concatenate([part.result for part in parts], 1), sum(int(part.ambiguous) for part in parts))


def minutes_and_hours(symbol: str, quick: bool) -> tuple[Bars, Bars]:
    """Bars `[60 * H, 1]` and `[H, 1]` of the same time; a minute is missing where its hour is."""
    folder = Path(os.environ.get("FXTRADE_DATA", "data"), "bars")
    if not folder.is_dir():
        sys.exit(f"error: there is no folder {folder} with 1-minute bars; set FXTRADE_DATA to the folder above it")
    panel = files.read(folder, (symbol,), start="2025-09-01" if quick else None)
    hours = resample(panel, "1h")
    first = int(np.searchsorted(panel.times, hours.times[0]))
    fine = rows(panel.bars, slice(first, first + MINUTES * len(hours.times)))
    ok = np.repeat(hours.bars.ok, MINUTES, 0)
    prices = {name: np.where(ok, getattr(fine, name), np.float32(NAN)) for name in ("open", "high", "low", "close")}
    return fine.replace(**prices, ok=ok), hours.bars


def rows(bars: Bars, which: slice, columns: int = 1) -> Bars:
    """Some rows, each asset `columns` times."""
    names = ("open", "high", "low", "close", "volume", "ok")
    kept = {name: np.repeat(np.asarray(getattr(bars, name))[which], columns, 1) for name in names}
    return Bars(**kept, second_of_week=np.asarray(bars.second_of_week)[which])


def order_of_extremes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """-1 where the low of `[H, 60]` minutes comes first, 1 where the high does, 0 where one minute has both."""
    return np.sign(low.argmin(1) - high.argmax(1))


def guess(hours: Bars, policy: str) -> np.ndarray:
    """Order of the extremes as `order_of_extremes`, by a policy that needs no position; hours are `[H]`."""
    none, drawn = np.zeros(hours.ok.shape), None
    if policy == "random":
        drawn = np.asarray(path.draw_low_first(ExecutionPolicy(path="random"), (hours.ok.size, 1)))[:, 0]
    opened = path.open_quote(hours, none, hours.ok)
    first, _, _ = path.later_quotes(Row(hours, ~hours.ok, drawn), policy, opened, none, none)
    return np.where(np.asarray(first.price) == hours.low, -1, 1)


def order_row(name: str, fine: Bars, hours: Bars) -> tuple[str, ...]:
    """Of the table of orders, for hours `[H]` and minutes `[H, 60]`."""
    truth = order_of_extremes(fine.low, fine.high)
    split = truth != 0
    right = {policy: np.mean(guess(hours, policy)[split] == truth[split]) for policy in ("nearest", "random")}
    low_first = np.mean(truth[split] < 0)
    shares = (1 - split.mean(), low_first, 1 - low_first, *right.values())
    return (name, f"{len(truth):,}", *(f"{100 * share:.1f}" for share in shares))


def whole_hours(fine: Bars, hours: Bars) -> tuple[Bars, Bars]:
    """Minutes `[H, 60]` and hours `[H]`, without those that are missing."""
    kept = hours.ok[:, 0]
    prices = ("open", "high", "low", "close", "volume", "ok")
    within = {name: getattr(fine, name).reshape(-1, MINUTES)[kept] for name in prices}
    whole = {name: getattr(hours, name)[kept, 0] for name in prices}
    return Bars(**within, second_of_week=kept), Bars(**whole, second_of_week=kept)


def random_walk(hours: int, steps: int = 20) -> tuple[Bars, Bars]:
    """Minutes `[H, 60]` and hours `[H]` of a walk whose steps are normal."""
    rng = np.random.default_rng(0)
    price = 1 + np.cumsum(1e-4 * rng.standard_normal((hours, MINUTES * steps), np.float32), 1)
    price = np.concatenate([np.ones((hours, 1), np.float32), price], 1)
    inside = np.lib.stride_tricks.sliding_window_view(price, steps + 1, 1)[:, ::steps]
    ends = inside[..., 0], inside.max(-1), inside.min(-1), inside[..., -1]
    ok, day = np.ones((hours, MINUTES), bool), np.zeros(hours, np.int32)
    whole = price[:, 0], price.max(1), price.min(1), price[:, -1]
    return Bars(*ends, ok, ok, day), Bars(*whole, ok[:, 0], ok[:, 0], day)


def orders(span: int, steps: int, seed: int) -> Order:
    """Orders of a span: decided at the close of an hour, which is row `steps - 1` of it."""
    sizes, sides = np.repeat(list(SIZES.values()), len(SIDES), 0) / 100, np.tile(list(SIDES.values()), len(SIZES))
    rng = np.random.default_rng(seed)
    entry = np.arange(0, span, SLOT) + rng.integers(0, STARTS, span // SLOT)
    units = np.full((span * steps, len(sides)), NAN)
    units[entry * steps + steps - 1] = sides
    units[(entry + HOLD) * steps + steps - 1] = 0
    stop, target, trailing = (np.broadcast_to(column, units.shape) for column in sizes.T)
    return Order(np.full_like(units, NAN), units, bracket=Bracket(stop, target, trailing))


def trade(bars: Bars, steps: int, policy: str) -> Trades:
    """Trades of one symbol in bars of which an hour has `steps`; the end that fills no span is left out."""
    market, parts = costs.build({}), []
    rules = ExecutionPolicy(zero_volume="fill", path=policy)
    for number, first in enumerate(range(0, len(bars.ok) - SPAN * steps + 1, SPAN * steps)):
        order = orders(SPAN, steps, number)
        span = rows(bars, slice(first, first + SPAN * steps), order.units.shape[1])
        result = engine.backtest(span, order, market, rules, capital=1e9, record=True)
        parts.append(Trades(results_of(result.executions), result.counts.ambiguous))
    return Trades.join(parts)


def results_of(executions: Executions) -> np.ndarray:
    """Results `[A, trades]` of executions `[N, Q, A]`, which are an entry and its exit by turns."""

    def by_column(values):
        return np.moveaxis(values, 2, 0).reshape(values.shape[2], -1)

    units, price = by_column(executions.units), by_column(executions.price)
    at = np.stack([np.flatnonzero(column).reshape(-1, 2) for column in units])
    enter, leave = (np.take_along_axis(price, at[..., end], 1) for end in (0, 1))
    side = np.sign(np.take_along_axis(units, at[..., 0], 1))
    return side * (leave / enter - 1)


def bracket_rows(hourly: dict[str, Trades], fine: list[Trades]) -> list[tuple[str, ...]]:
    """Of the table of brackets; results in basis points of a long and of a short trade."""
    low, high = (1e4 * trades.result for trades in fine)
    truth = (low + high) / 2
    result = {policy: 1e4 * trades.result for policy, trades in hourly.items()}
    known = abs(high - low) <= WRONG
    differ = {"matters": abs(result["optimistic"] - result["pessimistic"]) > WRONG}
    differ |= {policy: abs(result[policy] - truth) > WRONG for policy in POLICIES}
    table = []
    for i, size in enumerate(SIZES):
        sides = [len(SIDES) * i + side for side in range(len(SIDES))]

        def both(values, form, sides=sides):
            return " / ".join(format(values[side].mean(), form) for side in sides)

        errors = (both(result[policy] - truth, "+.1f") for policy in POLICIES)
        shares = (f"{100 * column[sides][known[sides]].mean():.1f}" for column in differ.values())
        table.append((size, both(truth, "+.1f"), f"{abs((high - low)[sides].mean()) / 2:.1f}", *errors, *shares))
    return table


def total_row(symbol: str, hourly: dict[str, Trades], fine: list[Trades]) -> tuple[str, ...]:
    """Of the table of total returns: the first bracket, long, profits reinvested."""
    totals = [100 * (np.prod(1 + trades.result[0]) - 1) for trades in (*fine, *hourly.values())]
    count = f"{fine[0].result.shape[1]:,}"
    return (symbol, count, f"{totals[0]:+.0f} .. {totals[1]:+.0f}", *(f"{total:+.0f}" for total in totals[2:]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four months of each market: does it run")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    order_table, total_table, hourly, fine = [], [], [], []
    for symbol in SYMBOLS:
        minutes, hours = minutes_and_hours(symbol, args.quick)
        hourly.append({policy: trade(hours, 1, policy) for policy in POLICIES})
        fine.append([trade(minutes, MINUTES, policy) for policy in ("pessimistic", "optimistic")])
        order_table.append(order_row(symbol, *whole_hours(minutes, hours)))
        total_table.append(total_row(symbol, hourly[-1], fine[-1]))
        print(f"{symbol}: done", file=sys.stderr)
    order_table.append(order_row("random walk", *random_walk(2_000 if args.quick else 20_000)))
    print("Order of the extremes\n")
    header = ("% of hours", "hours", "both in one minute", "low first", "high first", "nearest right", "random right")
    print(measure.table(header, order_table))

    joined = {policy: Trades.join([market[policy] for market in hourly]) for policy in POLICIES}
    truth = [Trades.join(list(markets)) for markets in zip(*fine, strict=True)]
    ambiguous = ", ".join(
        f"{t.ambiguous:,} {bars}" for t, bars in ((joined["nearest"], "hours"), (truth[0], "minutes"))
    )
    print(f"\nBrackets: {2 * truth[0].result.shape[1]:,} trades of each; bars that hold both exits: {ambiguous}\n")
    wrong = (f"{policy} is wrong, %" for policy in POLICIES)
    print(
        measure.table(
            ("long / short", "minutes, bp a trade", "±", *POLICIES, "order matters, %", *wrong),
            bracket_rows(joined, truth),
        )
    )

    print(f"\nTotal return in %, {next(iter(SIZES))}, long\n")
    print(measure.table(("", "trades", "minutes", *POLICIES), total_table))


if __name__ == "__main__":
    main(arguments())
