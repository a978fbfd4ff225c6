"""Fee schedules and the trailing volume by which they are looked up, against plain Python."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxtrade.core import compat
from fxtrade.core.errors import ConfigError
from fxtrade.market.fees import SCHEDULES, FeeSchedule, check_schedule, init, rates, trailing, update

each = pytest.mark.parametrize("name", SCHEDULES)
values = st.floats(0, 1e9, allow_subnormal=False)
bars = st.lists(st.tuples(st.sampled_from([0, 0, 1, 1, 1, 2, 5, 29, 30, 31, 40]), values), min_size=1, max_size=90)


def schedule(volume=(0, 10, 20), maker=(3, 2, 1), taker=(5, 4, 3)) -> FeeSchedule:
    return FeeSchedule(*(np.asarray(x, np.float64) for x in (volume, maker, taker)))


def tier_of(fees: FeeSchedule, volume: float) -> tuple[float, float]:
    """The rates of the last tier that is reached, by a loop."""
    found = (float("nan"), float("nan"))
    for bound, maker, taker in zip(*fees, strict=True):
        if volume >= bound:
            found = (maker, taker)
    return found


def trailing_by_loop(rows: list[tuple[int, float]]) -> list[float]:
    """The sum over the 30 days before the day of each bar, from a dict of days."""
    day, days, totals = 0, {}, []
    for passed, value in rows:
        day += passed
        days[day] = days.get(day, 0.0) + value
        totals.append(sum(v for d, v in days.items() if day - 30 <= d < day))
    return totals


def scan(rows: list[tuple[int, float]], flag=np.int32) -> np.ndarray:
    passed, value = (np.array(column) for column in zip(*rows, strict=True))

    def step(state, row):
        state = update(state, *row)
        return state, trailing(state)

    with compat.float64():
        return np.asarray(jax.lax.scan(step, init(), (jnp.asarray(passed.astype(flag)), jnp.asarray(value)))[1])


@each
def test_presets_are_valid_and_cheaper_with_volume(name):
    fees = SCHEDULES[name]
    check_schedule(fees)
    assert all(leaf.dtype == np.float64 and leaf.shape == (10,) for leaf in fees)
    assert (np.diff(fees.maker_bps) <= 0).all() and (np.diff(fees.taker_bps) <= 0).all()
    assert (fees.maker_bps <= fees.taker_bps).all()


def test_the_rates_of_regular_users_and_of_the_highest_tier():
    """0.1 % on spot, 0.02 % and 0.05 % on futures: the figures that the exchange's examples use."""
    with compat.float64():
        assert [float(x) for x in rates(SCHEDULES["binance_spot"], 999_999.0)] == [10, 10]
        assert [float(x) for x in rates(SCHEDULES["binance_usdt_futures"], 0.0)] == [2, 5]
        assert [float(x) for x in rates(SCHEDULES["binance_usdt_futures"], 1e12)] == [0, 1.7]


@each
@given(st.floats(0, 1e11))
def test_rates_are_those_of_the_last_tier_reached(name, volume):
    with compat.float64():
        assert tuple(float(x) for x in rates(SCHEDULES[name], volume)) == tier_of(SCHEDULES[name], volume)


def test_a_bound_belongs_to_its_tier():
    fees = schedule()
    volumes = np.array([0, np.nextafter(10, 0), 10, np.nextafter(20, 0), 20, 1e300])
    with compat.float64():
        maker, taker = jax.jit(jax.vmap(rates, (None, 0)))(fees, volumes)
    assert maker.dtype == np.float64
    np.testing.assert_array_equal(maker, [3, 3, 2, 2, 1, 1])
    np.testing.assert_array_equal(taker, [5, 5, 4, 4, 3, 3])


def test_schedules_are_leaves_of_a_vmap():
    many = jax.tree.map(lambda *x: np.stack(x), *SCHEDULES.values())
    with compat.float64():
        maker, _ = jax.vmap(rates, (0, None))(many, 60e6)
    np.testing.assert_array_equal(maker, [4, 1.2])


def test_one_tier_is_a_flat_fee_and_a_maker_rate_may_be_a_rebate():
    fees = schedule([0], [-0.5], [4])
    check_schedule(fees)
    with compat.float64():
        assert [float(x) for x in rates(fees, 1e9)] == [-0.5, 4]


@pytest.mark.parametrize(
    "bad, message",
    [
        (schedule(volume=(5, 10, 20)), "no tier for volume 0, the first begins at 5"),
        (schedule(volume=(0, 20, 10)), "do not increase"),
        (schedule(volume=(0, 10, 10)), "do not increase"),
        (schedule(volume=(-1, 10, 20)), "-1 is negative"),
        (schedule(volume=(0, 10, np.inf)), "not a finite"),
        (schedule(maker=(3, np.nan, 1)), "not a finite"),
        (schedule(maker=(3, 2)), "3 volumes, 2 maker_bps and 3 taker_bps"),
        (schedule(taker=(3, 2, 1, 0)), "3 volumes, 3 maker_bps and 4 taker_bps"),
        (schedule((), (), ()), "one or more"),
        (schedule(0, 1, 1), "one or more"),
    ],
)
def test_an_invalid_schedule_is_refused_by_name(bad, message):
    with pytest.raises(ConfigError, match=f"trade.fees: .*{message}"):
        check_schedule(bad, "trade.fees")


@given(bars)
def test_trailing_volume_is_that_of_the_30_days_before(rows):
    np.testing.assert_allclose(scan(rows), trailing_by_loop(rows), rtol=1e-12, atol=0)


def test_a_flag_is_one_day():
    rows = [(1, float(i)) for i in range(70)]
    np.testing.assert_array_equal(scan(rows, bool), scan(rows))
    assert scan(rows)[-1] == sum(range(39, 69))


@given(bars, st.data())
def test_trailing_volume_does_not_know_the_current_day(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    later = [(passed, value + 1) for passed, value in rows[at:]]
    np.testing.assert_array_equal(scan(rows)[: at + 1], scan(rows[:at] + later)[: at + 1])


def test_accounts_are_a_vmap_and_sums_are_float64():
    rng = np.random.default_rng(0)
    passed, value = rng.integers(0, 2, 200).astype(bool), rng.uniform(0, 1e6, (200, 3))
    expected = [trailing_by_loop([(int(p), v) for p, v in zip(passed, column, strict=True)])[-1] for column in value.T]

    def last(passed, value):
        return trailing(jax.lax.scan(lambda s, row: (update(s, *row), None), init(), (passed, value))[0])

    with compat.float64():
        got = jax.jit(jax.vmap(last, (None, 1)))(passed, value)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=1e-13)
