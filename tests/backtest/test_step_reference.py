"""Orders at a price, brackets, limits, margin and carry against a plain Python loop over assets and moments."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from fxtrade.backtest import engine
from fxtrade.core.order_types import Reason
from fxtrade.core.trading_types import Counts
from fxtrade.market.path import draw_low_first
from tests.helpers.trading_worlds import NAN, A, N, World, make_world, structure


@dataclass
class Pending:
    weight: float = NAN
    units: float = NAN
    limit: float = NAN
    stop: float = NAN
    bars: float = NAN
    reduce_only: bool = False
    bracket: tuple = (NAN, NAN, NAN, NAN)


@dataclass
class Asset:
    units: float = 0.0
    mark: float = 1.0
    order: Pending | None = None
    stop: float = NAN
    target: float = NAN
    trailing: float = NAN
    break_even: float = NAN
    entry: float = NAN
    fresh: bool = False
    left: float = math.inf
    at: float = NAN  # price reached within a move


def per_asset(value, a):
    return float(np.broadcast_to(value, A)[a])


class Simulator:
    """The account of one world. Each asset is handled on its own, but for cash, equity and margin."""

    def __init__(self, world: World):
        self.w, self.m = world, world.market
        names = [*self.m.costs]
        names += ["funding"] * (world.conditions.funding is not None)
        names += ["borrow", "interest"] * (self.m.carry is not None)
        names += ["liquidation"] * (self.m.margin is not None)
        self.names = names
        self.cash, self.assets = world.capital, [Asset() for _ in range(A)]
        self.low_first = draw_low_first(world.policy, (N, A))
        self.counts = dict.fromkeys(("delisted", "liquidated", "cut", "dropped", "expired", "ambiguous"), 0)

    def run(self):
        rows = [self.bar(t) for t in range(N)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    # money

    def equity(self):
        return self.cash + sum(x.units * x.mark for x in self.assets)

    def move(self, a, price):
        x = self.assets[a]
        self.pnl[a] += x.units * (price - x.mark)
        x.mark = price

    def pay(self, name, a, amount):
        self.cash -= amount
        self.paid[name][a] += amount

    def charges(self, value, price, maker):
        """Costs by name of trading a signed value."""
        if not self.m.costs:
            return {}
        slip = 0.0 if maker else 5e-4 * abs(value)
        return {"slippage": slip, "fee": (2e-4 if maker else 10e-4) * abs(value + slip)}

    def ruin(self):
        equity = self.equity()
        if equity <= 0:
            self.cash = equity
            for x in self.assets:
                x.units = 0.0
        return equity

    def trade(self, a, wanted, price, maker):
        x = self.assets[a]
        self.move(a, price)
        value = (wanted - x.units) * price
        for name, amount in self.charges(value, price, maker).items():
            self.pay(name, a, amount)
        self.cash -= value
        self.traded[a] += abs(value)
        x.left -= abs(wanted - x.units)
        x.units = wanted

    # one moment

    def balance(self, cash, units, prices):
        collateral = [per_asset(self.m.margin.collateral, a) for a in range(A)]
        return cash + sum(u * p * (c if u > 0 else 1) for u, p, c in zip(units, prices, collateral, strict=True))

    def required(self, rate, units, prices):
        return sum(per_asset(rate, a) * abs(units[a]) * prices[a] for a in range(A))

    def afford(self, wanted, makers):
        """Bisect for the share of the increase that the margin allows."""
        units, prices = [x.units for x in self.assets], [x.mark for x in self.assets]
        base = [
            min(abs(w), abs(u)) * math.copysign(1, w) if w * u > 0 else 0.0 for w, u in zip(wanted, units, strict=True)
        ]
        base = [u if w == u else b for w, u, b in zip(wanted, units, base, strict=True)]

        def excess(share):
            position = [b + share * (w - b) for b, w in zip(base, wanted, strict=True)]
            cash = self.cash
            for a in range(A):
                value = (position[a] - units[a]) * prices[a]
                cash -= value + sum(self.charges(value, prices[a], makers[a]).values())
            return self.balance(cash, position, prices) - self.required(self.m.margin.initial, position, prices)

        rounding = 1e-12 * (abs(self.cash) + sum(abs(w) * p for w, p in zip(wanted, prices, strict=True)))
        if excess(1.0) >= -rounding:
            return wanted
        low, high = 0.0, 1.0
        if excess(0.0) <= rounding:
            high = 0.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) >= 0 else (low, middle)
        return [b + low * (w - b) for b, w in zip(base, wanted, strict=True)]

    def shrink(self, a, wanted, price):
        """The position after whole lots of enough value."""
        x, limits = self.assets[a], self.m.limits
        if limits is None or wanted == 0:
            return wanted
        size = abs(wanted - x.units)
        if limits.lot is not None:
            size = math.floor(size / limits.lot * (1 + 1e-9)) * float(limits.lot)
        if limits.min_notional is not None and size * price < limits.min_notional:
            size = 0.0
        return x.units + math.copysign(size, wanted - x.units)

    def too_small(self, a, wanted, price):
        units = self.assets[a].units
        asked = abs(wanted - units) > 1e-9 * max(abs(wanted), abs(units))
        return asked and self.shrink(a, wanted, price) == units

    def sized(self, order, equity, price):
        return order.weight * equity / price if math.isnan(order.units) else order.units

    def tick(self, price, side):
        limits = self.m.limits
        if limits is None or limits.tick is None or math.isnan(price):
            return price
        steps = price / float(limits.tick)
        if abs(steps - round(steps)) <= 1e-9 * steps:
            return round(steps) * float(limits.tick)
        return (math.ceil(steps) if side > 0 else math.floor(steps)) * float(limits.tick)

    def entry(self, a, end, equity, opening):
        """Price, units and whether a maker, if the pending order fills on the way to `end`."""
        x, order = self.assets[a], self.assets[a].order
        if order is None or equity <= 0:
            return None
        has_limit, has_stop = not math.isnan(order.limit), not math.isnan(order.stop)
        reference = order.stop if has_stop else order.limit if has_limit else end
        wanted = self.sized(order, equity, reference)
        if wanted == x.units:
            return end, wanted, False
        buys = wanted > x.units
        if has_stop:
            stop, limit = self.tick(order.stop, 1 if buys else -1), self.tick(order.limit, -1 if buys else 1)
            if end < stop if buys else end > stop:
                return None
            price = max(stop, x.at) if buys else min(stop, x.at)
            if has_limit and (price > limit if buys else price < limit):
                order.stop = NAN
                return None
            return price, wanted, False
        if has_limit:
            limit = self.tick(order.limit, -1 if buys else 1)
            if end > limit if buys else end < limit:
                return None
            return (min(limit, x.at), wanted, limit < x.at) if buys else (max(limit, x.at), wanted, limit > x.at)
        return (end, wanted, False) if opening else None

    def exit(self, a, end):
        x = self.assets[a]
        if x.units == 0 or (x.fresh and self.w.policy.exits_from == "next_bar"):
            return None
        long = x.units > 0
        if not math.isnan(x.stop) and (end <= x.stop if long else end >= x.stop):
            return (min(x.stop, x.at) if long else max(x.stop, x.at)), Reason.STOP
        if not math.isnan(x.target) and (end >= x.target if long else end <= x.target):
            return (max(x.target, x.at) if long else min(x.target, x.at)), Reason.TARGET
        return None

    def attach(self, x, order, before, price):
        opened = x.units != 0 and before * x.units <= 0
        added = abs(x.units) - abs(before) > 1e-9 * abs(x.units)
        if not (opened or added):
            return
        side = math.copysign(1, x.units)
        stop, target, trailing, break_even = order.bracket
        new = {
            "stop": self.tick(price * (1 - side * stop), -side),
            "target": self.tick(price * (1 + side * target), side),
            "trailing": trailing,
            "break_even": self.tick(price * (1 + side * break_even), side),
            "entry": price,
        }
        follows = self.tick(price * (1 - side * trailing), -side)
        if math.isnan(new["stop"]) or side * (follows - new["stop"]) > 0:
            new["stop"] = follows
        if not opened and not math.isnan(x.stop) and not side * (new["stop"] - x.stop) > 0:
            new["stop"] = x.stop
        for name, value in new.items():
            if opened or name == "stop" or math.isnan(getattr(x, name)):
                setattr(x, name, value)

    def clear(self, x):
        x.stop = x.target = x.trailing = x.break_even = x.entry = NAN

    def enter(self, t, end, equity, opening):
        """Orders of all assets that fill before an exit, settled together."""
        chosen = {}
        for a, x in enumerate(self.assets):
            if not self.trades[t, a]:
                continue
            found, leave = self.entry(a, end[a], equity, opening), self.exit(a, end[a]) if self.has_exits else None
            if found and (opening or not leave or abs(found[0] - x.at) < abs(leave[0] - x.at)):
                chosen[a] = found
        wanted, makers, rest, wish = [x.units for x in self.assets], [False] * A, {}, {}
        for a, (price, units, maker) in chosen.items():
            x = self.assets[a]
            self.move(a, price)
            if x.order.reduce_only:
                units = 0.0 if units * x.units <= 0 else math.copysign(min(abs(units), abs(x.units)), units)
            if self.too_small(a, units, price):
                self.counts["dropped"] += 1
                units = x.units
            wish[a], rest[a] = units, abs(units - x.units) > x.left
            if rest[a]:
                units = x.units + math.copysign(x.left, units - x.units)
            wanted[a], makers[a] = units, maker
        if self.m.margin is not None:
            afforded = self.afford(wanted, makers)
            self.counts["cut"] += sum(abs(b - c) > 1e-9 * abs(b) for b, c in zip(wanted, afforded, strict=True))
            wanted = afforded
        for a, (price, _, maker) in chosen.items():
            x, before = self.assets[a], self.assets[a].units
            self.trade(a, self.shrink(a, wanted[a], price), price, maker)
            if self.has_exits:
                self.attach(x, x.order, before, price)
                if x.units == 0:
                    self.clear(x)
            x.order.stop = NAN
            x.order = x.order if rest[a] and not self.too_small(a, wish[a], price) else None
            x.at = price
            x.fresh = x.fresh or (x.units != 0 and before * x.units <= 0)

    def leave(self, t, end):
        for a, x in enumerate(self.assets):
            found = self.exit(a, end[a]) if self.trades[t, a] else None
            if not found:
                continue
            price, reason = found
            size = min(abs(x.units), x.left)
            waits = size < abs(x.units)
            self.trade(a, x.units - math.copysign(size, x.units) if waits else 0.0, price, reason == Reason.TARGET)
            if waits:
                x.order = Pending(weight=0.0)
            self.clear(x)
            x.at = price

    def meet(self, t, start, end, equity, opening):
        priced = self.w.order.limit is not None or self.w.order.stop is not None
        if opening or self.m.margin is None or not (priced or self.has_exits):
            self.part(t, start, end, equity, opening, priced)
            return
        share, _ = self.margin_call(start, end)
        middle = [s + share * (e - s) for s, e in zip(start, end, strict=True)]
        self.part(t, start, middle, equity, opening, priced)
        self.part(t, middle, end, equity, opening, priced)

    def part(self, t, start, end, equity, opening, priced):
        for a, x in enumerate(self.assets):
            x.at = start[a]
        for _ in range(2 if priced and self.has_exits and not opening else 1):
            if opening or priced:
                self.enter(t, end, equity, opening)
            if self.has_exits:
                self.leave(t, end)
        for a, x in enumerate(self.assets if self.has_exits else []):
            if x.units == 0 or (x.fresh and self.w.policy.exits_from == "next_bar"):
                continue
            side = math.copysign(1, x.units)
            candidates = [self.tick(end[a] * (1 - side * x.trailing), -side)]
            if side * (end[a] - x.break_even) >= 0:
                candidates.append(x.entry)
            for level in candidates:
                if not math.isnan(level) and (math.isnan(x.stop) or side * (level - x.stop) > 0):
                    x.stop = level
        if not opening:
            self.liquidate(t, [x.at for x in self.assets], end)

    def margin_call(self, start, end):
        """Share of the way at which the margin is used up, 1 if it is not, by bisection; and whether it is."""
        units = [x.units for x in self.assets]
        rounding = 1e-12 * (abs(self.cash) + sum(abs(u) * p for u, p in zip(units, end, strict=True)))

        def excess(share):
            prices = [s + share * (e - s) for s, e in zip(start, end, strict=True)]
            lack = self.required(self.m.margin.maintenance, units, prices)
            return self.balance(self.cash, units, prices) - lack

        if min(excess(0), excess(1)) >= rounding:
            return 1.0, False
        low, high = 0.0, 0.0 if excess(0) < rounding else 1.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) >= 0 else (low, middle)
        return high, True

    def liquidate(self, t, start, end):
        if self.m.margin is None:
            return
        share, called = self.margin_call(start, end)
        if not called:
            return
        closed = [
            a
            for a, x in enumerate(self.assets)
            if x.units and per_asset(self.m.margin.maintenance, a) > 0 and self.trades[t, a]
        ]
        if closed:
            for x in self.assets:
                x.order = None
        for a in closed:
            price = start[a] + share * (end[a] - start[a])
            fee = 50e-4 * abs(self.assets[a].units) * price
            self.trade(a, 0.0, price, False)
            self.pay("liquidation", a, fee)
            self.clear(self.assets[a])
        self.counts["liquidated"] += len(closed)

    # one bar

    def bar(self, t):
        w, bars, policy = self.w, self.w.bars, self.w.policy
        self.pnl, self.traded = [0.0] * A, [0.0] * A
        self.paid = {name: [0.0] * A for name in self.names}
        self.has_exits = w.order.bracket is not None
        ok = np.asarray(bars.ok)
        self.trades = ok & ((bars.volume != 0) | (policy.zero_volume == "fill"))
        prices = np.stack([bars.open, bars.high, bars.low, bars.close]).astype(float)
        opened = [prices[0, t, a] if ok[t, a] else x.mark for a, x in enumerate(self.assets)]
        participation = None if self.m.limits is None else self.m.limits.participation
        for a, x in enumerate(self.assets):
            x.fresh, x.left = False, math.inf
            if participation is not None and ok[t, a]:
                x.left = float(participation) * float(bars.volume[t, a])
            if w.conditions.funding is not None:
                self.move(a, opened[a])
                self.pay("funding", a, w.conditions.funding.at_open[t, a] * x.units * opened[a])
            self.move(a, opened[a])
        ended = [t > 0 and ok[:t, a].any() and ok[t - 1, a] and not ok[t:, a].any() for a in range(A)]
        self.counts["delisted"] += sum(e and x.units != 0 for e, x in zip(ended, self.assets, strict=True))
        equity = self.ruin()
        for a, x in enumerate(self.assets):
            if ended[a] and policy.delisted != "mark":
                loss = {"close": 0.0, "haircut": policy.haircut, "zero": 1.0}[policy.delisted]
                self.trade(a, 0.0, x.mark * (1 - loss if x.units > 0 else 1), False)
                self.clear(x)
        self.liquidate(t, opened, opened)
        self.meet_open(t, opened, equity)
        if w.conditions.funding is not None:
            for a, x in enumerate(self.assets):
                self.pay("funding", a, w.conditions.funding.within[t, a] * x.units * opened[a])
        if w.order.limit is not None or w.order.stop is not None or self.has_exits or self.m.margin is not None:
            self.path(t, prices, opened, equity)
        close = [prices[3, t, a] if ok[t, a] else opened[a] for a in range(A)]
        for a in range(A):
            self.move(a, close[a])
        if self.m.carry is not None and equity > 0:
            self.interest(close)
        self.expire_and_decide(t)
        equity = self.ruin()
        c = w.capital
        return {
            "equity": equity / c,
            "traded": np.array(self.traded) / c,
            "pnl": np.array(self.pnl) / c,
            "cost": np.array([sum(self.paid[n][a] for n in self.names) for a in range(A)]) / c,
        }

    def meet_open(self, t, opened, equity):
        self.meet(t, opened, opened, equity, True)

    def path(self, t, prices, opened, equity):
        ways = []
        for a, x in enumerate(self.assets):
            o, h, low, c = prices[:, t, a] if self.w.bars.ok[t, a] else [opened[a]] * 4
            if not math.isnan(x.target) and not math.isnan(x.stop) and x.units and self.w.bars.ok[t, a]:
                self.counts["ambiguous"] += low <= x.stop <= h and low <= x.target <= h
            side = x.units
            if side == 0 and x.order is not None:
                side = -(self.sized(x.order, equity, o) - x.units)
            first = {
                "pessimistic": side > 0,
                "optimistic": not side > 0,
                "nearest": o - low < h - o or (o - low == h - o and c >= o),
                "random": self.low_first is not None and bool(self.low_first[t, a]),
            }[self.w.policy.path]
            ways.append([o, low, h, c] if first else [o, h, low, c])
        for k in range(3):
            self.meet(t, [way[k] for way in ways], [way[k + 1] for way in ways], equity, False)

    def interest(self, close):
        carry = self.m.carry
        own = [
            x.units * p * (1 - per_asset(carry.derivative, a))
            for a, (x, p) in enumerate(zip(self.assets, close, strict=True))
        ]
        free = self.cash + sum(x.units * p for x, p in zip(self.assets, close, strict=True)) - sum(own)
        long = [max(v, 0.0) for v in own]
        for a in range(A):
            share = long[a] / sum(long) if sum(long) > 0 else 1 / A
            self.pay("borrow", a, float(carry.borrow) * max(-own[a], 0.0))
            self.pay("interest", a, float(carry.interest) * max(-free, 0.0) * share)

    def expire_and_decide(self, t):
        given, late = self.w.order, t - int(self.m.latency)
        for a, x in enumerate(self.assets):
            if x.order is not None and not math.isnan(x.order.bars):
                x.order.bars -= bool(self.w.bars.ok[t, a])
                if x.order.bars <= 0:
                    x.order = None
                    self.counts["expired"] += 1
            if late < 0:
                continue

            def of(leaf, default=NAN, a=a):
                return default if leaf is None else leaf[late, a].item()

            parts = (NAN,) * 4 if given.bracket is None else tuple(map(of, given.bracket))
            numbers = [of(leaf) for leaf in (given.weight, given.units, given.limit, given.stop, given.bars)]
            new = Pending(*numbers, of(given.reduce_only, False), parts)
            if not math.isnan(new.weight) or not math.isnan(new.units):
                x.order = new


def check(seed: int, worlds: int) -> dict[str, int]:
    """Compare the engine with the loop in some worlds of a structure; return the number of events in all of them."""
    has, total = structure(seed), dict.fromkeys(Counts._fields, 0)
    for k in range(worlds):
        world = make_world(has, np.random.default_rng([seed, k]))
        simulator = Simulator(world)
        expected = simulator.run()
        if np.abs(expected["equity"]).min() < 1e-9:
            continue  # an account that has lost everything is above or below 0 by rounding
        got = engine.backtest(*world)
        scale = max(1.0, np.abs(expected["traded"]).max(), np.abs(expected["equity"]).max())
        where = f"structure {seed}, world {k}: "
        for name in ("equity", "traded", "pnl"):
            np.testing.assert_allclose(
                getattr(got, name), expected[name], rtol=0, atol=1e-9 * scale, err_msg=where + name
            )
        cost = sum(got.costs.values(), np.zeros((N, A)))
        np.testing.assert_allclose(cost, expected["cost"], rtol=0, atol=1e-9 * scale, err_msg=where + "cost")
        assert {name: int(n) for name, n in got.counts._asdict().items()} == simulator.counts, where
        total = {name: n + simulator.counts[name] for name, n in total.items()}
    return total


MEETS = {  # events that worlds of a structure must meet, so that they are compared at all
    0: ("delisted", "cut", "dropped", "expired", "ambiguous"),
    7: ("liquidated", "cut", "dropped"),
}


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_loop_over_assets_and_moments(seed):
    events = check(seed, 60)
    assert all(events[name] for name in MEETS.get(seed, ())), events


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 80))
def test_equals_a_loop_in_more_structures(seed):
    check(seed, 60)
