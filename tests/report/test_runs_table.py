from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console

from fxtrade.core.errors import ConfigError, FxtradeError
from fxtrade.report import plotting, runs_table
from fxtrade.report.schema import RunReport
from scripts import runs
from tests.helpers import report_sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(tmp_path) -> Path:
    """Three runs, a folder that is none, an unfinished run and a file, as `results/` has them."""
    sample = report_sample.report
    features = {"volatility": {"windows": (8, 32)}, "flow": {"window": 64}}
    weak = sample(own=0.52, sharpe=2.5, total=0.4, config__train__steps=100, config__features=features)
    other = sample(own=0.58, label="volatility_direction", provenance__data_fingerprint="eee111", trading=None)
    made = {"strong": sample(own=0.54), "weak": report_sample.replace(weak, config__name="another"), "other": other}
    for name, report in (made | {"unfinished": sample()}).items():
        report_sample.save(report, tmp_path / name)
    (tmp_path / "unfinished" / "report.json").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "ledger.jsonl").write_text("")
    return tmp_path


def named(results: Path, *names: str) -> list[RunReport]:
    return runs_table.collect(results / name for name in names)[0]


def shown(runs) -> str:
    console = Console(file=io.StringIO(), width=160)
    runs_table.show(console, runs)
    return console.file.getvalue()


def test_collect_reports_what_it_skips(results):
    runs, skipped = runs_table.collect(sorted(results.iterdir()))
    assert [run.folder for run in runs] == ["other", "strong", "weak"]
    assert len(skipped) == 2
    assert "empty" in skipped[0] and "not a run" in skipped[0]
    assert "unfinished" in skipped[1] and "not finished" in skipped[1]


DEEP = b"[" * 100_000


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[]", b"\xff", b'{"version": 99}', bytes(range(256)), DEEP])
def test_damaged_reports_are_skipped(results, text):
    (results / "weak" / "report.json").write_bytes(text)
    runs, skipped = runs_table.collect([results / "strong", results / "weak"])
    assert [run.folder for run in runs] == ["strong"] and "weak" in skipped[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [("accuracy", []), ("null_baselines", {"x": []}), ("auxiliary", {"horizons": {"x": []}}), ("label", None)],
)
def test_reports_with_impossible_values_are_skipped(results, key, value):
    path = results / "weak" / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    runs, skipped = runs_table.collect([results / "strong", results / "weak"])
    assert [run.folder for run in runs] == ["strong"] and str(results / "weak") in skipped[0]


def test_a_report_with_an_impossible_config_is_skipped(results):
    path = results / "weak" / "report.json"
    values = json.loads(path.read_text())
    values["config"]["seed"] = -1
    path.write_text(json.dumps(values))
    _, skipped = runs_table.collect([results / "strong", results / "weak"])
    assert skipped == [f"{results / 'weak'}: seed must be at least 0, got -1"]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_tables_of_many_runs_fit_the_terminal(results, width):
    """No line is longer, no word is cut, and every quantity of every run is there."""
    runs = [report_sample.replace(run, config__seed=i // 3) for i, run in enumerate(named(results, *["strong"] * 60))]
    console = Console(file=io.StringIO(), width=width)
    runs_table.show(console, runs)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert text.count("54.0 ± 1.0") == text.count("1.50 [0.50, 2.50]") == 60
    assert re.search(r"seed +0 +1-3 +\n +1 +4-6 +\n", text)


def test_nothing_to_compare_is_an_error(results):
    with pytest.raises(FxtradeError, match="no finished run.*\n.*empty.*\n.*nowhere"):
        runs_table.collect([results / "empty", results / "nowhere"])


def test_runs_stand_side_by_side(results):
    text = shown(named(results, "strong", "weak"))
    for words in (
        "54.0 ± 1.0",
        "52.0 ± 1.0",
        "58.5 ± 1.0",
        "top 10 %",
        "1.50 [0.50, 2.50]",
        "-8.2 %",
        "171,847",
        "68 s",
    ):
        assert words in text, words
    assert "differ in data or label" not in text


def test_only_what_differs_is_listed(results):
    rows = runs_table.differences(named(results, "strong", "weak"))
    assert rows == {"features.flow.window": ["–", "64"], "train.steps": ["600", "100"]}
    text = shown(named(results, "strong", "weak"))
    assert "train.steps" in text and "train.batch" not in text
    assert "All configs are the same." in shown(named(results, "strong", "strong"))


def test_different_data_are_pointed_out(results):
    text = shown(named(results, "strong", "other"))
    assert "differ in data or label" in text and "volatility" in text
    runs = [
        report_sample.replace(run, provenance__data_fingerprint="same") for run in named(results, "strong", "other")
    ]
    assert "differ in data or label" in shown(runs)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("accuracy", ["other", "strong", "weak"]),
        ("top_10", ["other", "strong", "weak"]),
        ("sharpe", ["weak", "strong", "other"]),
        ("name", ["other", "strong", "weak"]),
    ],
)
def test_the_best_comes_first_and_the_missing_last(results, key, expected):
    runs = runs_table.order(named(results, "weak", "other", "strong"), key)
    assert [run.folder for run in runs] == expected


def test_less_is_better_for_losses_and_time(results):
    pairs = zip(named(results, "weak", "strong"), (20.0, 10.0), strict=True)
    runs = runs_table.order([report_sample.replace(run, seconds=s) for run, s in pairs], "seconds")
    assert [run.folder for run in runs] == ["strong", "weak"]


def test_an_unknown_key_is_refused_with_the_nearest(results):
    with pytest.raises(ConfigError, match="'sharp'; did you mean 'sharpe'"):
        runs_table.order(named(results, "weak"), "sharp")


def test_figure_has_every_run(results):
    figure = runs_table.figure(named(results, "strong", "weak"))
    upper, lower = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["#1 strong", "#2 weak", "buy and hold"]
    assert [line.get_ydata()[-1] for line in lower.lines[:2]] == pytest.approx([1.2, 1.4])
    assert plotting.pixels(figure).std() > 5
    untraded = runs_table.figure(named(results, "other"))
    assert len(untraded.axes) == 1 and plotting.pixels(untraded).std() > 5


def test_markets_are_drawn_only_if_they_are_the_same(results):
    figure = runs_table.figure(named(results, "strong", "other"))
    assert "buy and hold" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_many_runs_are_told_apart(results):
    runs = named(results, *["strong"] * 12)
    drawn = [container[0] for container in runs_table.figure(runs).axes[0].containers]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 12


def script(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "runs.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_script(results, tmp_path):
    plot = tmp_path / "plots" / "out.png"
    done = script(*sorted(results.iterdir()), "--sort", "sharpe", "--plot", plot)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("weak") < done.stdout.index("strong") and "skipped" in done.stderr
    assert imread(plot).std() > 0.05


def test_a_plot_is_a_png(capsys):
    assert runs.parse(["results", "--plot", "out.PNG"]).plot == Path("out.PNG")
    with pytest.raises(SystemExit):
        runs.parse(["results", "--plot", "out.xyz"])
    assert "out.xyz must end in .png" in capsys.readouterr().err


def test_script_says_what_is_wrong(results):
    nothing = script(results / "empty")
    assert nothing.returncode == 1 and nothing.stderr.startswith("error: ") and "Traceback" not in nothing.stderr
    unknown = script(results / "weak", "--sort", "beauty")
    assert unknown.returncode == 2 and "cannot be sorted by 'beauty'" in unknown.stderr
