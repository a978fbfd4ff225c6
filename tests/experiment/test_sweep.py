"""A sweep from its config to its folder: report, ledger, interruption, resumption."""

import dataclasses
import io
import signal

import numpy as np
import polars as pl
import pytest

from configs import sweep as preset
from fxtrade.backtest import engine
from fxtrade.backtest.sweep import DAY, Sweep
from fxtrade.core.config_dict import to_config_dict
from fxtrade.core.errors import ConfigError, FxtradeError, Interrupted
from fxtrade.core.sweep_config import SweepConfig, freeze
from fxtrade.experiment import sweep, sweep_rules, sweep_score, sweep_store
from fxtrade.experiment.sweep_rules import Given
from fxtrade.pipeline import build, dataset
from fxtrade.report.formatting import gain
from fxtrade.report.progress import Console
from fxtrade.risk import trend
from fxtrade.risk.rule import chain
from fxtrade.risk.toward import only_changes
from fxtrade.runs import ledger
from tests.helpers.bar_files import columns, rows, write

QUIET = Console(quiet=True)


def config(**changes) -> SweepConfig:
    values = preset.get_config()
    values.data.synth.bars, values.null_paths = 2_000, 2
    values.grid = {"fast": (2, 5, 9), "slow": (6, 12)}
    for key, value in changes.items():
        values[key] = value
    return freeze(values)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return sweep.run(config(), results, console=QUIET)


def test_the_folder_holds_the_report_every_set_and_their_returns(finished):
    sets = pl.read_parquet(finished / "sets.parquet")
    assert sets.height == 5 and {"fast", "slow", "sharpe", "max_drawdown", "trades"} <= set(sets.columns)
    text = (finished / "report.md").read_text()
    assert "The best set (fast " in text and "2 surrogate markets" in text and "buy and hold" in text
    assert "(p = 0.33, the least that 2 markets can show)" in text or "p = 0.67" in text or "p = 1.00" in text
    assert (finished / "plots" / "heatmap_0.png").stat().st_size > 5_000
    with np.load(finished / "returns.npz") as stored:
        assert stored["returns"].shape == (5, len(stored["days"]))
        np.testing.assert_allclose(stored["daily_sharpe"] * np.sqrt(365), sets["sharpe"], rtol=1e-12)
        assert stored["returns"].dtype == np.float32
    assert not (finished / "parts").exists()


def test_the_best_set_is_tested_on_the_bars_held_out(finished):
    """The same account goes on: its equity over the last quarter, over that before it."""
    made = config()
    panel, best = dataset.load(made.data), pl.read_parquet(finished / "sets.parquet").sort("sharpe").row(-1, named=True)
    cross = trend.sma_cross(fast=best["fast"], slow=best["slow"], weight=1.0)
    terms = build.build_terms(made.trade, panel)
    result = engine.backtest_rule(panel.bars, chain(cross, only_changes()), *terms[:4])
    tested, last = ledger.read(finished.parent)[1], 1_500 // 24 * 24 - 1
    np.testing.assert_allclose(
        tested.metrics["total_return"], result.equity[-1] / result.equity[last] - 1, rtol=1e-9, atol=1e-12
    )
    held = tested.metrics["total_return"]
    text, start = (finished / "report.md").read_text(), str(panel.times[last + 1].astype("M8[ns]").astype("M8[m]"))
    assert f"| {gain(held)} |" in text
    assert f"On the days held out, {start} to " in text and f"| held out | {start}" in text
    assert np.load(finished / "returns.npz")["days"][-1] == panel.times[last] // DAY * DAY


def test_an_asset_with_a_gap_at_the_border_has_not_ended(tmp_path):
    """What is worthless once its bars have ended is not, where the bars go on among the days held out."""
    gap = np.setdiff1d(np.arange(800), range(560, 640))
    (tmp_path / "bars").mkdir()
    write(tmp_path / "bars" / "A.parquet", rows(columns(n=800, step=3_600), gap))
    write(tmp_path / "bars" / "B.parquet", columns(n=800, step=3_600, seed=1))
    values = preset.get_config("momentum")
    values.data.path, values.rule.options = str(tmp_path / "bars"), {"allow_short": True}
    values.null_paths, values.grid = 0, {"lookback": (5, 10)}
    made = []
    for policy in ("mark", "zero"):
        values.trade.delisted, values.name = policy, policy
        folder = sweep.run(freeze(values), tmp_path, console=QUIET)
        made.append(pl.read_parquet(folder / "sets.parquet"))
    assert made[0].equals(made[1])


def test_a_sweep_without_any_score_leaves_its_folder_to_others(tmp_path):
    with pytest.raises(ConfigError, match="no set has a score: nothing was traded"):
        sweep.run(config(grid={"slow": (1_900, 1_950)}, increasing=None), tmp_path, console=QUIET)
    sweep.run(config(null_paths=0), tmp_path, console=QUIET)


@pytest.mark.parametrize(
    "trade, message",
    [
        ({"costs": {"fees": {}}}, "there is no cost 'fees'"),
        ({"assets": {"X": {"margin": {"initial": 0.5}}}}, "there is no symbol 'X'"),
        ({"funding": {"path": "nowhere"}}, "nowhere"),
    ],
)
def test_terms_that_are_refused_claim_no_folder(trade, message, tmp_path):
    values = preset.get_config()
    values.data.synth.bars, values.null_paths = 500, 0
    with values.unlocked():
        for key, value in trade.items():
            values.trade[key] = value
    with pytest.raises(FxtradeError, match=message):
        sweep.run(freeze(values), tmp_path, console=QUIET)
    assert not list(tmp_path.iterdir())


def test_a_score_on_some_days_leaves_out_the_others():
    equity = np.array([[1.1, 1.1, 0.99, 1.98]])
    made = Sweep(np.arange(4), equity, *np.array([[-0.1], [0.5], [0.2]]), np.array([3]), np.array([0.5]))
    some = sweep_score.of_days(made, np.array([0, 2]))
    np.testing.assert_allclose(some.equity, [[1.1, 0.99]])
    assert some.exposure == 1.0 and some.turnover == 0.4 and some.days.tolist() == [0, 2]
    assert sweep_score.of_days(made, None) is made


def test_sets_that_lose_nearly_all_on_the_first_day_have_a_score():
    equity = np.array([[1.0, 1.1, 1.2], [0.05, 0.06, 0.05], [-0.5, -0.5, -0.5]])
    made = sweep_score.scores("sharpe", equity)
    assert made[0] > 0 > made[1] and np.isnan(made[2])


def test_nothing_is_held_out_if_not_asked_for(tmp_path):
    folder = sweep.run(config(held_out=0.0, null_paths=0), tmp_path, console=QUIET)
    text = (folder / "report.md").read_text()
    assert "| held out | nothing |" in text and "On the days held out" not in text and len(ledger.read(tmp_path)) == 1


def test_a_best_set_at_the_edge_is_named(finished):
    best = pl.read_parquet(finished / "sets.parquet").sort("sharpe", descending=True).row(0, named=True)
    edges = [name for name, values in (("fast", (2, 9)), ("slow", (6, 12))) if best[name] in values]
    assert f"edge of the grid ({', '.join(edges)})" in (finished / "report.md").read_text()


def test_every_set_is_a_trial_of_the_ledger(finished):
    trial, tested = ledger.read(finished.parent)
    with np.load(finished / "returns.npz") as stored:
        ratios = stored["daily_sharpe"].tolist()
    later = dataclasses.replace(trial, config_hash="another", run="another", sweep="")
    assert list(ledger.past_trials(finished.parent, later).daily_sharpes) == ratios
    assert not tested.sweep and tested.test[0].first > trial.test[0].last and tested.config_hash != trial.config_hash
    (finished / "returns.npz").rename(finished / "lost")
    try:
        with pytest.raises(FxtradeError, match="restore it, or run the sweep again"):
            ledger.past_trials(finished.parent, later).daily_sharpes  # noqa: B018
    finally:
        (finished / "lost").rename(finished / "returns.npz")


def test_a_finished_or_another_sweep_is_not_overwritten(finished):
    with pytest.raises(FxtradeError, match="finished"):
        sweep.run(config(), finished.parent, console=QUIET)
    with pytest.raises(FxtradeError, match="another sweep"):
        sweep.run(config(score="calmar"), finished.parent, console=QUIET)


def test_an_interrupted_sweep_resumes_with_the_same_result(finished, tmp_path, monkeypatch):
    written, keep = [], sweep_store.write_chunk

    def write_and_stop(path, chunk):
        keep(path, chunk)
        written.append(path)
        if len(written) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sweep_store, "write_chunk", write_and_stop)
    with pytest.raises(Interrupted, match="the same command resumes"):
        sweep.run(config(), tmp_path, console=QUIET)
    assert len(written) == 1 and not (tmp_path / ledger.LEDGER).exists()
    folder = sweep.run(config(), tmp_path, console=QUIET)
    assert written[0] not in written[1:]  # it was read
    one, two = (pl.read_parquet(f / "sets.parquet") for f in (finished, folder))
    assert one.equals(two)


def test_two_processes_do_not_share_a_folder(tmp_path):
    with sweep_store.lock(tmp_path / "sweep-sma"), pytest.raises(FxtradeError, match="another process sweeps"):
        sweep.run(config(), tmp_path, console=QUIET)


def test_a_sweep_that_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(ConfigError):
        sweep.run(config(max_hours=1e-9), tmp_path, console=QUIET)
    assert not list(tmp_path.iterdir())


def test_keys_that_a_sweep_does_not_use_are_refused():
    values = preset.get_config()
    values.trade.bracket.stop = 0.05
    with pytest.raises(ConfigError, match="config.trade.bracket must stay .*bracket_stop"):
        freeze(values)


def test_a_damaged_chunk_is_computed_again(tmp_path):
    path = tmp_path / "0.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    made = io.BytesIO()
    np.savez_compressed(made, days=np.arange(1000))
    rng = np.random.default_rng(0)
    for _ in range(50):
        damaged = bytearray(made.getvalue())
        damaged[rng.integers(len(damaged))] ^= 0xFF
        (tmp_path / "2.npz").write_bytes(bytes(damaged[: rng.integers(10, len(damaged))]))
        assert sweep_store.read_chunk(tmp_path / "2.npz") is None
    assert sweep_store.read_chunk(path) is None and sweep_store.read_chunk(tmp_path / "1.npz") is None


def test_exits_are_swept_by_their_prefix():
    made = config(grid={"slow": (16, 32), "bracket_stop": (0.01, 0.05)}, increasing=None)
    factory = sweep_rules.rule_factory(made, Given())
    target = factory(**{"slow": 16, "bracket_stop": 0.01})
    assert callable(target.update) and sweep_rules.make_grid(made).size == 4


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"grid": {"fats": (1, 2)}, "increasing": None}, "has no parameter 'fats'"),
        ({"grid": {"bracket_stpo": (0.1,)}, "increasing": None}, "bracket has no parameter 'stpo'"),
        ({"grid": {"fast": (2, 5), "slow": (3, 30)}, "increasing": None}, "fast=5 is not shorter than slow=3"),
        ({"grid": {"slow": (30,), "allow_short": (0, 1)}, "increasing": None}, "allow_short cannot be swept"),
        ({"grid": {"slow": (30,), "max_window": (40, 50)}, "increasing": None}, "max_window cannot be swept"),
        ({"grid": {"slow": (30,), "bracket_stop": (0.1, 1.5)}, "increasing": None}, "stop=1.5 is not a fraction"),
        ({"rule": {"name": "sma_cross", "options": {"fast": 3}}}, "fast cannot be swept"),
        ({"null_block": "100d"}, "more than half of 1,488 bars"),
        ({"rule": {"name": "sma_crss", "options": {}}}, "did you mean 'sma_cross'"),
        ({"grid": {"fast": (2.5, 3), "slow": (5,)}}, "fast"),
        ({"grid": {}}, "at least one parameter"),
        ({"max_hours": 1e-9}, "more than config.max_hours"),
        ({"score": "sharp"}, "did you mean 'sharpe'"),
    ],
)
def test_mistakes_are_named_before_the_sweep_starts(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        sweep.run(config(**changes), tmp_path, console=QUIET)


def test_an_unknown_variant_is_named():
    with pytest.raises(ConfigError, match="variants sma, ema, .*'smaa'; did you mean 'sma'"):
        preset.get_config("smaa")


@pytest.mark.parametrize("variant", preset.RULES)
def test_every_variant_has_a_rule_that_fits_its_grid(variant):
    made = freeze(preset.get_config(variant))
    assert sweep_rules.make_grid(made).size > 100
    sweep_rules.rule_factory(made, Given(horizon=4))
    assert freeze(to_config_dict(made)) == made
