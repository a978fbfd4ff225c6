"""Mistakes on the real command line: exit code 1 and one line that says what, where and what to do."""

from __future__ import annotations

import json
import re

import jax
import jax.numpy as jnp
import pytest

from configs import common, portfolio, sweep, wavenet
from fxtrade.cli import flags
from fxtrade.core.config_dict import freeze
from fxtrade.core.errors import ConfigError
from fxtrade.core.registry import to_dict
from fxtrade.core.trade_config import AssetConfig
from fxtrade.runs import run_dir
from tests.helpers import tiny

WAVENET = "--config=configs/wavenet.py"
CASES = {
    "misspelt key": (
        [WAVENET, "--config.train.stepz=3"],
        "config.train has no key 'stepz'; did you mean 'steps'?",
    ),
    "key of the options": (
        [WAVENET, "--config.model.encoding.bins=8"],
        "(known: name, options); an option is set by --config.model.encoding.options.bins",
    ),
    "misspelt group": ([WAVENET, "--config.trian.steps=3"], "config has no key 'trian'; did you mean 'train'?"),
    "misspelt feature": (
        [WAVENET, "--config.features.rsii={}"],
        "there is no feature 'rsii'; did you mean 'rsi'?",
    ),
    "feature without options": (
        [WAVENET, "--config.features.rsi=14"],
        "config.features.rsi must be a group of keys, got 14",
    ),
    "removal of a feature that is not there": (
        [WAVENET, "--config.features.volatilty=None"],
        "config.features has no 'volatilty' that could be removed; did you mean 'volatility'?",
    ),
    "removal of a feature that is not scaled": (
        [f"{WAVENET}:volatility", "--config.features.volatility_level=None"],
        "has no 'volatility_level'; did you mean 'volatility'? (known: bar_shape, calendar, flow_zscore, log_return, "
        "taker_imbalance, trade_size_zscore, volatility, volatility_season, volume_zscore); name others, or set "
        "--config.scaler.passthrough=None to scale all",
    ),
    "removal of a cost that is not there": (
        [WAVENET, "--config.trade.costs.fees=None"],
        "config.trade.costs has no 'fees' that could be removed; did you mean 'fee'? (known: fee, half_spread)",
    ),
    "fee beside a schedule": (
        [WAVENET, "--config.trade.fee_schedule=binance_spot", "--config.trade.costs.fee.rate_bps=5"],
        "config.trade.costs.fee must be left out beside fee_schedule = 'binance_spot'",
    ),
    "terms of an asset": (
        [WAVENET, "--config.trade.assets.PERP.margn.initial=0.5"],
        "config.trade.assets.PERP has no key 'margn'; did you mean 'margin'?",
    ),
    "symbol with a dash": (
        [WAVENET, "--config.trade.assets.BTC-PERP.margin.initial=0.5"],
        "set others by their group: --config.trade.assets=\"{'BTC-PERP': ...}\"",
    ),
    "feature and its option": (
        [WAVENET, "--config.features.rsi={}", "--config.features.rsi.windows=(7,)"],
        "--config.features.rsi sets all keys of its group, so --config.features.rsi.windows cannot be given beside it",
    ),
    "value for a group": (
        [WAVENET, "--config.trade.sizing=proportional"],
        "config.trade.sizing is a group of keys; set one of them, as in --config.trade.sizing.name=proportional",
    ),
    "mistyped value": (
        [WAVENET, "--config.train.steps=1e3"],
        "--config.train.steps=1e3: the value must be a whole number such as 1000",
    ),
    "mistyped optional value": (
        [WAVENET, "--config.train.patience=x"],
        "--config.train.patience=x: the value must be a whole number such as 1000 or None",
    ),
    "no interval": ([WAVENET, "--config.data.resample=1hour"], "data.resample = '1hour' is not an interval; write a"),
    "impossible value": ([WAVENET, "--config.train.steps=0"], "config.train.steps must be at least 1, got 0"),
    "missing file": (["--config", "configs/none.py"], "configs/none.py is not a config: there is no such file"),
    "missing file, overridden": (["--config", "configs/none.py", "--config.seed=1"], "configs/none.py is not a config"),
    "unknown variant": ([f"{WAVENET}:hour"], "there is no variant 'hour'; did you mean 'hourly'?"),
    "unknown flag": (["--confg=configs/wavenet.py"], "Unknown command line flag 'confg'"),
    "words": ([WAVENET, "steps=3"], "'steps=3' is not a flag; overrides are written --config.train.steps=100"),
    "nothing": ([], "name a config, for example --config configs/wavenet.py"),
    "resume with a config": (
        ["--resume", "results/x", WAVENET],
        "--config cannot be given with --resume, which continues a run in its own folder with its own config",
    ),
    "resume with overrides": (["--resume=results/x", "--config.seed=1"], "--config.seed cannot be given with --resume"),
    "resume under another name": (["--run", "y", "--resume", "x"], "--run cannot be given with --resume"),
    "results in a file": ([WAVENET, "--results", "README.md/x"], "README.md/x cannot be written"),
    "not a run": (["--resume", "configs"], "configs is not a run: there is no config.json in it"),
    "a baseline that does not fit": (
        [WAVENET, "--config.report.baselines=('har',)"],
        "config.report.baselines: 'har' is for labels of volatility, and 'open_to_open' is none; leave it out",
    ),
    "missing data": ([f"{WAVENET}:bars", "--config.data.path=none"], "none: there is no such file or folder"),
}


# The script in a fork for each command line, so that the imports are paid for once.
FORKS = """
import json, os, runpy, sys
import fxtrade.experiment.run
for arguments in json.load(sys.stdin):
    print("next", flush=True)
    print("next", file=sys.stderr, flush=True)
    child = os.fork()
    if not child:
        sys.argv = ["scripts/train.py", *arguments]
        runpy.run_path("scripts/train.py", run_name="__main__")
    print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def answers():
    """Exit code, stdout and stderr of every case."""
    process = tiny.python("-c", FORKS)
    out, err = process.communicate(json.dumps([arguments for arguments, _ in CASES.values()]), timeout=120)
    assert process.returncode == 0, err
    answers = {}
    for name, said, complained in zip(CASES, out.split("next\n")[1:], err.split("next\n")[1:], strict=True):
        said, code = said.split("code ")
        answers[name] = int(code), said, complained
    return answers


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong(answers, case):
    code, out, err = answers[case]
    assert code == 1
    assert "Traceback" not in out + err
    (line,) = err.splitlines()
    assert line.startswith("error: ") and CASES[case][1] in line
    assert out == ""


PARSED = """
import json, sys
from fxtrade.core.config_dict import freeze
from fxtrade.core.registry import to_dict
from fxtrade.cli import flags
config = flags.config_flag()
flags.parse(sys.argv)
print(json.dumps(to_dict(freeze(config.value))))
"""


def test_features_and_options_of_losses_can_be_added_and_changed():
    new = [
        "--config.features.rsi={'windows': (7,)}",
        "--config.features.atr={}",
        "--config.features.bar_shape.window=9",
        "--config.features.cci.window=5",
        "--config.features.volatility=None",
        "--config.features.volume_zscore={'windows': (9,)}",
        "--config.train.patience=None",
        "--config.data.symbols=('A',)",
        "--config.optim.sam_rho=1",
        "--config.loss.name=focal",
        "--config.loss.options.gamma=1.5",
        "--config.trade.assets.PERP={'costs': {'fee': {'rate_bps': 5}}, 'carry': {'derivative': True}}",
        "--config.trade.assets.SPOT.margin.initial=0",
        "--config.trade.margin.initial=0.1",
    ]
    out, err = tiny.python("-c", PARSED, WAVENET, *new).communicate(timeout=120)
    expected = to_dict(freeze(wavenet.get_config()))
    expected["features"] |= {"rsi": {"windows": (7,)}, "atr": {}, "bar_shape": {"window": 9}, "cci": {"window": 5}}
    expected["features"]["volume_zscore"] = {"windows": (9,)}
    del expected["features"]["volatility"]
    expected["train"]["patience"], expected["data"]["symbols"], expected["optim"]["sam_rho"] = None, ("A",), 1.0
    expected["loss"] |= {"name": "focal", "options": {"gamma": 1.5}}
    perpetual = AssetConfig(costs={"fee": {"rate_bps": 5}}, carry={"derivative": True})
    expected["trade"]["assets"] = {"PERP": to_dict(perpetual), "SPOT": to_dict(AssetConfig(margin={"initial": 0}))}
    expected["trade"]["margin"]["initial"] = 0.1
    assert json.loads(out) == json.loads(json.dumps(expected)), err


def test_the_config_of_a_run_is_a_config(tmp_path):
    folder = run_dir.create(tmp_path, tiny.config(), "run")
    assert freeze(flags._ConfigFile(None).parse(str(folder / run_dir.CONFIG))) == tiny.config()


def test_a_share_of_the_work():
    assert flags.parse_shard("1/1") == (1, 1) and flags.parse_shard("2/3") == (2, 3)
    for text in ("0/2", "3/2", "1", "1/2/3", "a/b", "-1/2"):
        with pytest.raises(ConfigError, match=f"--shard {text} must be i/n"):
            flags.parse_shard(text)


RUNS = ("attention_tcn", "cnn_lstm", "features", "gnn", "lru", "mlp", "tcn", "transformer", "wavenet")
CONFIGS = {  # that fit a script
    "train": RUNS,
    "features": RUNS,
    "comparison": ("comparison", "learner", "presets"),
    "sweep": ("sweep",),
    "backtest": ("backtest",),
    "portfolio": ("portfolio",),
}
SCRIPTS = {
    "backtest": "--signals",
    "sweep": "--name",
    "train": "--resume",
    "features": "--run",
    "comparison": "--shard",
    "doctor": "doctor.py",
    "runs": "--sort",
    "fetch": "--symbols",
    "covariance": "--name",
    "portfolio": "--name",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    """What the script does, an example and all flags; with exit code 0."""
    process = tiny.python(f"scripts/{script}.py", "--help")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert f"python scripts/{script}.py" in out and SCRIPTS[script] in out
    if script in ("train", "features"):
        assert "--config " in out and "configs/wavenet.py" in out and all(name in out for name in common.MARKETS)
    if script == "sweep":
        assert all(name in out for name in sweep.RULES)
    if script == "portfolio":
        assert all(name in out for name in portfolio.VARIANTS)
    if script in CONFIGS:
        assert re.findall(r"^  configs/(\w+)\.py", out, re.M) == list(CONFIGS[script])


def test_help_on_a_config():
    for arguments in (["--config", "configs/wavenet.py:hourly"], ["--config=configs/wavenet.py"]):
        out, _ = tiny.script(*arguments, "--help").communicate(timeout=60)
        assert "--config.data.path=data/bars_1h" in out


HEAVY = """
import runpy, sys
try:
    runpy.run_path("scripts/train.py", run_name="__main__")
except SystemExit as e:
    print(e.code, sorted({"orbax", "lightgbm", "matplotlib", "sklearn"} & {name.split(".")[0] for name in sys.modules}))
"""


LIGHT = """
import runpy, sys
script, *sys.argv = sys.argv[1:]
sys.argv = [script, *sys.argv]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as e:
    print(e.code, sorted({"jax", "pandas", "plotly", "matplotlib"} & sys.modules.keys()))
"""
BACKTEST, SWEEP = ("scripts/backtest.py",), ("scripts/sweep.py", "--config=configs/sweep.py")
BEFORE_JAX = {
    "no file": (BACKTEST, "give one of --run, --targets and --signals, not none"),
    "unknown flag": ((*BACKTEST, "--out=x"), "Unknown command line flag 'out'"),
    "misspelt key": ((*BACKTEST, "--targets=x", "--config.trade.latencyy=1"), "did you mean 'latency'?"),
    "impossible value": ((*BACKTEST, "--targets=x", "--config.trade.latency=-1"), "config.trade.latency must be"),
    "no bars": ((*BACKTEST, "--targets=README.md"), "README.md: name the folder or file of its bars with --data"),
    "missing file": ((*BACKTEST, "--signals=none.csv", "--data=docs"), "none.csv: there is no such file"),
    "missing bars": ((*BACKTEST, "--targets=README.md", "--data=none"), "none: there is no such file or folder"),
    "name of a folder": ((*BACKTEST, "--targets=README.md", "--name=a/b"), "--name a/b must be a plain name"),
    "not a run": ((*BACKTEST, "--run=docs"), "docs is not a run"),
    "a variant": ((*BACKTEST, "--config=configs/backtest.py:foo"), "no variants, and none is called 'foo'"),
    "no config": (("scripts/sweep.py",), "name a config, for example --config configs/sweep.py"),
    "unknown variant": (
        ("scripts/sweep.py", "--config=configs/sweep.py:foo"),
        "there is no variant 'foo'",
    ),
    "misspelt key of a sweep": ((*SWEEP, "--config.trad.latency=1"), "did you mean 'trade'?"),
    "missing bars of a sweep": ((*SWEEP, "--config.data.path=none"), "none: there is no such file or folder"),
    "not a run, to be swept": (
        ("scripts/sweep.py", "--config=configs/sweep.py:forecast", "--config.run=docs"),
        "docs is not a run",
    ),
    "long name of a sweep": ((*SWEEP, f"--name={'x' * 201}"), "--name xxx"),
}


@pytest.mark.parametrize("case", BEFORE_JAX)
def test_mistakes_are_named_before_jax_is_imported(case):
    arguments, message = BEFORE_JAX[case]
    out, err = tiny.python("-c", LIGHT, *arguments).communicate(timeout=60)
    assert err.startswith("error: ") and message in err and len(err.splitlines()) == 1
    assert out == "1 []\n"


def test_a_config_that_raises_is_named(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("def get_config():\n    pass\n")
    out, err = tiny.python("scripts/sweep.py", "--config", f"{file}:x").communicate(timeout=60)
    assert err.startswith(f"error: {file}:x cannot be used as a config: TypeError: get_config() takes 0")
    assert out == "" and len(err.splitlines()) == 1


@pytest.mark.parametrize("mistake", ["misspelt key", "taken name", "unwritable results"])
def test_cheap_errors_come_before_slow_imports(tmp_path, mistake):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").touch()
    arguments = {
        "misspelt key": ["--config.train.stepz=3"],
        "taken name": ["--results", str(tmp_path), "--run", "taken"],
        "unwritable results": ["--results", str(tmp_path / "taken" / "config.json" / "results")],
    }
    out, err = tiny.python("-c", HEAVY, WAVENET, *arguments[mistake]).communicate(timeout=60)
    assert err.startswith("error: ") and out == "1 []\n"


def test_in_a_process_of_its_own():
    process = tiny.script(*CASES["misspelt key"][0])
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: config.train has no key 'stepz'") and len(err.splitlines()) == 1


def test_every_market_of_a_comparison_takes_a_budget():
    config = ["--config=configs/learner.py:lag", "--config.market_budgets.lags=5"]
    _, err = tiny.python("scripts/comparison.py", *config).communicate(timeout=120)
    assert err.startswith("error: config.market_budgets: there is no 'lags'; did you mean 'lag'?")


CHANGED = """
import json, sys
from fxtrade.cli import flags
from fxtrade.comparison import grid
config = flags.config_flag()
flags.parse(sys.argv)
cells = grid.cells(grid.freeze(config.value), {"lag": 4})
print(json.dumps([[c.loss.name, c.report.baselines, c.trade.coverage] for cell in cells for c in cell.stages]))
"""


def test_every_key_of_a_run_can_be_changed_for_a_comparison():
    new = [
        "--config.models=('mlp',)",
        "--config.changes.report.baselines=('boosted_trees',)",
        "--config.market_changes.lag.trade.coverage=0.2",
        "--config.recipe_changes.own.loss.name=focal",
        "--config.recipes=('plain', 'own')",
    ]
    out, err = tiny.python("-c", CHANGED, "--config=configs/learner.py:lag", *new).communicate(timeout=120)
    assert json.loads(out) == [["cross_entropy", ["boosted_trees"], 0.2], ["focal", ["boosted_trees"], 0.2]], err


def test_arrays_that_do_not_fit_into_memory_are_one_message(capsys, monkeypatch):
    monkeypatch.setattr(flags.sys, "argv", ["scripts/train.py"])
    monkeypatch.setattr(flags.sys, "path", list(flags.sys.path))
    monkeypatch.setattr(flags, "parse", lambda argv: None)

    def allocate():
        jax.jit(lambda: jnp.zeros((1 << 22, 1 << 22)))().block_until_ready()

    assert flags.main(allocate) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: not enough memory: RESOURCE_EXHAUSTED") and "smaller train.batch" in message

    def fail():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        flags.main(fail)
