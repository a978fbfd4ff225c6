"""Perpetuals beside their coins: names, files, funding, and the contracts of the simulated market."""

import numpy as np
import pytest

import fxtrade as fx
from fxtrade.core.config import DataConfig
from fxtrade.core.errors import DataError
from fxtrade.core.trade_config import TradeConfig
from fxtrade.data import bars, funding, names
from fxtrade.data.resample import resample
from fxtrade.pipeline import dataset
from fxtrade.pipeline.build import build_terms
from tests.helpers.bar_files import START, columns, without, write

HOUR = 3_600


@pytest.fixture(scope="module")
def simulated():
    return fx.simulate(bars=4_000, assets=2, interval="1h", perpetuals=True)


def test_coins_are_found_by_the_names_of_their_perpetuals():
    assert names.pairs(("B_PERP", "A", "B", "C_PERP")) == ((2,), (0,))
    assert names.pairs(("A", "B")) == ((), ())
    assert names.funding_files(("A", "B", "A_PERP")) == {"A_PERP": "A"}
    assert names.funding_files(("A", "B")) == {"A": "A", "B": "B"}


@pytest.fixture
def folder(tmp_path):
    """Two coins and a perpetual on one of them, which has other prices and no order flow."""
    for name in ("AAA", "BBB"):
        write(tmp_path / "spot" / f"{name}.parquet", columns(n=48, step=HOUR))
    flow = ("quote_volume", "trades", "taker_buy_base")
    plain = {k: v for k, v in without("trades", n=40, step=HOUR, seed=1).items() if k not in flow}
    write(tmp_path / "perp" / "AAA.csv", plain)
    write(tmp_path / "perp" / "CCC.csv", plain)
    rates = {"timestamp": 1_000 * (START + 8 * HOUR * np.arange(6)), "funding_rate": np.full(6, 1e-4)}
    for name in ("AAA", "BBB"):
        write(tmp_path / "rates" / f"{name}.parquet", rates)
    return tmp_path


def test_perpetuals_of_a_folder_stand_behind_the_coins(folder):
    spot, perp = folder / "spot", folder / "perp"
    panel = dataset.load(DataConfig(str(spot), perpetuals=str(perp), align="union"))
    assert panel.symbols == ("AAA", "BBB", "AAA_PERP") and len(panel.times) == 48
    assert panel.bars.ok[:, 2].sum() == 40 and panel.bars.quote_volume is None
    alone = bars.read(perp, ("AAA",))
    np.testing.assert_array_equal(panel.bars.close[:40, 2], alone.bars.close[:, 0])
    assert len(dataset.load(DataConfig(str(spot), perpetuals=str(perp))).times) == 40
    with pytest.raises(DataError, match=r"no perpetuals on BBB \(there are AAA, CCC\)"):
        bars.read(spot, ("BBB",), perpetuals=perp)


def test_coins_beside_perpetuals_pay_no_funding(folder):
    panel = bars.read(folder / "spot", perpetuals=folder / "perp", align="union")
    terms = build_terms(TradeConfig(funding={"path": str(folder / "rates")}), panel)
    np.testing.assert_allclose(terms.conditions.funding.at_open.sum(0), [0, 0, 6e-4], rtol=1e-12)
    assert funding.read(folder / "rates", panel, {"AAA_PERP": "BBB"}).symbols == ("AAA_PERP",)


def test_simulated_perpetuals_follow_their_coins(simulated):
    assert simulated.symbols == ("SIM0", "SIM1", "SIM0_PERP", "SIM1_PERP")
    plain = fx.simulate(bars=4_000, assets=2, interval="1h")
    np.testing.assert_array_equal(simulated.bars.close[:, :2], plain.bars.close)
    made = simulated.bars
    inside = (made.low <= np.minimum(made.open, made.close)) & (made.high >= np.maximum(made.open, made.close))
    assert inside.all() and made.ok.all() and (made.taker_buy <= made.volume).all()
    basis = np.log(made.close[:, 2:] / made.close[:, :2])
    assert np.abs(basis).max() < 5e-3 and 3e-4 < basis.std() < 1e-3
    again = fx.simulate(bars=4_000, assets=2, interval="1h", perpetuals=True)
    assert again.fingerprint() == simulated.fingerprint()
    np.testing.assert_array_equal(again.funding.at_open, simulated.funding.at_open)


def test_simulated_rates_settle_every_eight_hours_by_the_rule_of_the_exchange(simulated):
    rates = simulated.funding
    assert (rates.within == 0).all() and (rates.at_open[:, :2] == 0).all()
    settled = np.flatnonzero(rates.at_open[:, 2])
    assert (simulated.times[settled] % (8 * HOUR * 10**9) == 0).all() and (np.diff(settled) == 8).all()
    made = rates.at_open[settled, 2]
    assert 0.2 < (np.abs(made - 1e-4) < 1e-12).mean() < 0.8  # the interest alone
    assert np.corrcoef(made[1:], made[:-1])[0, 1] > 0.7
    # the premium of the eight opens before, by the rule
    premium = np.log(simulated.bars.open[:, 2].astype(float) / simulated.bars.open[:, 0])
    mean = np.array([premium[t - 8 : t].mean() for t in settled])
    np.testing.assert_allclose(made, mean + np.clip(1e-4 - mean, -5e-4, 5e-4), atol=2e-7)


def test_rates_stay_with_their_rows_and_coarse_bars_sum_them(simulated):
    part = simulated.rows(slice(100, 200))
    np.testing.assert_array_equal(part.funding.at_open, simulated.funding.at_open[100:200])
    days = resample(simulated, "1d")
    assert days.funding.at_open.shape == days.bars.ok.shape
    total = simulated.funding.at_open[: len(days.times) * 24].reshape(-1, 24, 4).sum(1)
    np.testing.assert_allclose(days.funding.at_open + days.funding.within, total, rtol=1e-12, atol=1e-18)
    np.testing.assert_array_equal(days.funding.at_open, simulated.funding.at_open[::24][: len(days.times)])


@pytest.mark.parametrize("interval", ["15m", "8h", "1d"])
def test_other_intervals_have_rates_of_the_same_size(interval):
    panel = fx.simulate(bars=2_000, assets=1, interval=interval, perpetuals=True)
    days = 2_000 * panel.interval / 86_400e9
    each = (panel.funding.at_open + panel.funding.within)[:, 1].sum() / (3 * days)
    assert -3e-4 < each < 6e-4 and each != 0
    with pytest.raises(DataError, match="a part or a multiple"):
        fx.simulate(bars=100, assets=1, interval="5h", perpetuals=True)


def test_they_reach_the_terms_of_trade(simulated):
    terms = build_terms(TradeConfig(), simulated)
    assert terms.funding == "simulated"
    np.testing.assert_array_equal(terms.conditions.funding.at_open, simulated.funding.at_open)
