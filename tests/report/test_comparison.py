"""The report of a comparison, from one cell to hundreds and with every number that may be missing."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console as Rich

from fxtrade.report import comparison, comparison_plots
from fxtrade.report.progress import Console

TARGETS = [1.0, 0.25, 0.1, 0.05]
MODELS = ["wavenet", "tcn", "attention_tcn", "transformer", "gnn", "cnn_lstm", "lru"]


def difference(value: float, half: float = 0.004, q: float = 0.4) -> dict:
    return {"value": value, "low": value - half, "high": value + half, "p": q / 3, "q": q}


def table(accuracy: float) -> list[dict]:
    return [
        {"target": t, "coverage": 0.98 * t, "rows": int(9_000 * t), "accuracy": accuracy + 0.03 * (1 - t)}
        | {"low": accuracy + 0.03 * (1 - t) - 0.01, "high": accuracy + 0.03 * (1 - t) + 0.01}
        for t in TARGETS
    ]


def baseline(model: str, accuracy: float, learned: bool) -> dict:
    row = {"kind": "baseline", "model": model, "recipe": "", "accuracy": {"open_to_open": table(accuracy)}}
    row["accuracy"]["close_to_close"] = table(accuracy + 0.02)
    return row | ({"scores": scores(), "trading": {"sharpe": 0.3}} if learned else {})


def scores() -> dict:
    return {"log_loss": 0.6921, "brier": 0.249, "ece": 0.011, "mcc": 0.03, "ic": 0.02, "rank_ic": 0.02}


def cell(model: str, recipe: str, accuracy: float, q: float = 0.4) -> dict:
    row = baseline(model, accuracy, True) | {"kind": "cell", "recipe": recipe, "stages": 1, "steps": 100}
    row |= {"parameters": 12_850, "receptive_field": 64, "labels_per_second": 1e5 * (1 + len(model)), "seconds": 12.3}
    row |= {"best_step": 80, "members": [{"accuracy": {"open_to_open": [a] * 4}} for a in (accuracy - 0.01, accuracy)]}
    row["intervals"] = {name: [0.9 * value, 1.1 * value] for name, value in scores().items()}
    row["nats"] = {"trees": difference(0.0012, 0.0005, q=q)}
    row["trees"] = {"1": difference(accuracy - 0.525, q=q), "0.1": difference(accuracy - 0.52, 0.02)}
    if recipe == "plain":
        return row
    row["nats"]["plain"] = difference(-0.0002, 0.0003)
    return row | {"plain": {"1": difference(0.001), "0.1": difference(-0.001)}}


def outcome(
    models: int = 2, recipes: int = 2, markets: tuple[str, ...] = ("hourly", "flow"), won: bool = False
) -> dict:
    rng, names = np.random.default_rng(0), ["plain", *(f"recipe_{i}" for i in range(recipes - 1))]
    made, effects = [], []
    for name in markets:
        rows = [baseline("majority", 0.5, False), baseline("logistic regression", 0.52, True)]
        rows.append(baseline("gradient-boosted trees", 0.525, True))
        rows += [cell(m, r, 0.52 + 0.005 * rng.standard_normal()) for m in MODELS[:models] for r in names]
        if won:
            rows[3] = cell(MODELS[0], "plain", 0.56, q=0.001)
        for row in rows[:1]:  # has no confidence
            for entry in row["accuracy"].values():
                [r.update(coverage=0.98) for r in entry]
        span = {"from": "2024-01-01T00:00", "to": "2024-06-01T00:00", "bars": 100, "labels": 200}
        about = {"source": f"data/{name}", "symbols": ["A", "B"], "interval": "1h", "columns": ["x"] * 22}
        about |= {"spans": {k: span for k in ("train", "valid", "test")}, "zero_moves": 0.01, "coverages": TARGETS}
        label = {"name": "open_to_open", "horizon": 1, "classes": 2}
        made.append({"name": name, "labels": ["open_to_open", "close_to_close"], "label": label, **about, "rows": rows})
    for i, recipe in enumerate(names[1:]):
        value = 0.004 * rng.standard_normal()
        part = {"models": models, "helped": 1}
        tests = {"1": difference(value, q=0.01 if i == 0 else 0.5) | part, "0.1": difference(2 * value, 0.01) | part}
        nats = {m: difference(-0.001 * value, q=0.5) for m in markets}
        effects.append({"recipe": recipe, "mean": value, "markets": {m: dict(tests) for m in markets}, "nats": nats})
    best = {"market": markets[0], "model": MODELS[0], "recipe": "plain", "coverage": 1.0, **difference(0.035, q=0.001)}
    config = {"models": MODELS[:models], "recipes": names, "markets": list(markets), "seeds": 2, "budget": 500_000}
    run = {"folder": "comparison-small", "config": config, "done": 7, "planned": 8, "seconds": 4_000.0}
    run |= {"code": "0.1.0", "command": "python scripts/experiment.py", "packages": {"jax": "0.10.2"}}
    run |= {"devices": ["cpu"], "backend": "cpu", "cores": 2, "python": "3.11.7", "started": "2026-01-02T03:04:05Z"}
    nats = {"comparisons": 14, "better": 5, "worse": 1}
    goal = {"comparisons": 28, "beaten": [best] if won else [], "below": 3, "best": best, "nats": nats}
    return {"run": run, "markets": made, "recipes": effects, "goal": goal}


def holes() -> dict:
    made = outcome()
    for market in made["markets"]:
        row = market["rows"][3]
        for test in row["trees"].values():
            test.update(value=None, low=None, high=None, p=None, q=None)
        row |= {"labels_per_second": None, "members": []}
        row["scores"] |= {"mcc": None, "ic": None}
        row["trading"]["sharpe"] = None
        row["accuracy"]["open_to_open"][3] |= {"accuracy": None, "low": None, "high": None, "rows": 0, "coverage": 0.0}
        market["rows"][4] = {
            "kind": "cell",
            "model": "wavenet",
            "recipe": "recipe_0",
            "error": "the loss is not finite",
        }
    made["recipes"][0]["markets"]["flow"]["1"] |= {"low": None, "high": None, "q": None}
    return made


def beginning() -> dict:
    """Baselines alone, and not yet those of the second market."""
    made = outcome(recipes=1, markets=("hourly",))
    made["markets"][0]["rows"] = made["markets"][0]["rows"][:3]
    made["goal"] = {"comparisons": 0, "beaten": [], "below": 0, "best": None, "nats": {}}
    return made


AWKWARD = {
    "usual": outcome(),
    "one cell": outcome(1, 1, ("hourly",)),
    "everything": outcome(7, 17),
    "won": outcome(won=True),
    "holes": holes(),
    "beginning": beginning(),
}
awkward = pytest.mark.parametrize("name", AWKWARD)


def shown(made: dict, tmp_path) -> str:
    console, file = Console(), io.StringIO()
    console.rich = Rich(file=file, width=100, highlight=False)
    comparison.table(console, made, tmp_path)
    return file.getvalue()


@awkward
def test_it_writes_whole_files_without_a_trace_of_missing_numbers(tmp_path, name):
    comparison.write(tmp_path, AWKWARD[name])
    text = (tmp_path / "report.md").read_text()
    assert not re.search(r"\b(None(?! of)|nan|inf)\b", text) and not list(tmp_path.rglob("*.part"))
    for picture in re.findall(r"\((plots/\w+\.png)\)", text):
        assert imread(tmp_path / picture).shape[1] == round(110 * 7.2)
    assert len(list(tmp_path.glob("plots/*"))) == len(re.findall(r"plots/\w+\.png", text))
    for table in text.split("\n\n"):  # as many cells in every line as in its header
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1
    assert not re.search(r"\b(None(?! of)|nan)\b", shown(AWKWARD[name], tmp_path))


def test_the_verdict_follows_from_the_comparisons():
    lost = comparison.verdict_on(AWKWARD["usual"]["goal"])
    assert "None of 28 comparisons with gradient-boosted trees" in lost and "3 are lost beyond luck" in lost
    won = comparison.verdict_on(AWKWARD["won"]["goal"])
    assert won.startswith("1 of 28 comparisons") and "wavenet, plain on hourly, all bars: +3.50 [+3.10, +3.90]" in won
    assert "Nothing has been compared" in comparison.verdict_on(AWKWARD["beginning"]["goal"])


def test_log_losses_have_a_verdict_of_their_own():
    assert "In log loss 5 of 14 are better beyond luck, 1 worse." in comparison.verdict_on(AWKWARD["usual"]["goal"])
    old = AWKWARD["usual"]["goal"] | {"nats": {"comparisons": 0, "better": 0, "worse": 0}}
    assert "log loss" not in comparison.verdict_on(old)


def test_rates_of_adapting_are_told_where_weights_adapt():
    made = outcome()
    rows = [row for row in made["markets"][0]["rows"] if row["kind"] == "cell"]
    for member, rate in zip(rows[1]["members"], (0.01, 0.0), strict=True):
        member["rate"] = rate
    effort = comparison.document(made, ()).split("### Effort")[1].split("\n## ")[0].splitlines()
    ends = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in effort if line.startswith("| ")}
    assert ends[f"{rows[1]['model']}, recipe_0"] == "0.01, 0"
    assert ends[f"{rows[0]['model']}, plain"] == "–"


def test_scores_have_their_intervals():
    text = comparison.document(AWKWARD["usual"], ())
    line = next(x for x in text.splitlines() if x.startswith("| tcn, recipe_0 |") and "0.6921" in x)
    trees, plain = "+1.20 [+0.70, +1.70]", "-0.20 [-0.50, +0.10]"
    assert line.split(" | ")[1:6] == ["0.6921 [0.6229, 0.7613]", trees, "0.400", plain, "0.400"]
    old = outcome()
    for row in old["markets"][0]["rows"]:
        [row.pop(key, None) for key in ("intervals", "nats")]
    assert re.search(r"\| tcn, recipe_0 \| 0.6921 \| – \| – \| – \| – \| 0.2490 \|", comparison.document(old, ()))


def test_only_what_is_above_the_trees_beyond_luck_is_bold():
    text = comparison.document(AWKWARD["won"], ())
    assert set(re.findall(r"\| \*\*(.*?)\*\*", text)) == {"wavenet, plain"}
    assert "| **" not in comparison.document(AWKWARD["usual"], ())


def test_recipes_are_sorted_by_what_they_add():
    made = outcome(2, 6)
    text = comparison.document(made, ())
    order = re.findall(r"^\| (recipe_\d) \| hourly", text, re.M)
    expected = [e["recipe"] for e in sorted(made["recipes"], key=lambda e: -e["mean"])]
    assert order == expected and len(order) == 5


def test_who_says_everything_with_the_same_confidence_has_no_top():
    line = next(x for x in comparison.document(AWKWARD["usual"], ()).splitlines() if x.startswith("| majority"))
    assert line.split(" | ")[1:5] == ["50.0 [49.0, 51.0]", "–", "–", "–"]


def test_what_failed_is_named():
    text = comparison.document(AWKWARD["holes"], ())
    assert "* wavenet, recipe_0: the loss is not finite" in text


def test_the_forest_shows_every_recipe_and_market():
    made = AWKWARD["everything"]
    axes = comparison_plots.recipes(made["recipes"]).axes
    assert [t.get_text() for t in axes[0].get_yticklabels()][-1] == max(made["recipes"], key=lambda e: e["mean"])[
        "recipe"
    ]
    for panel, key in zip(axes, ("1", "0.1"), strict=True):
        drawn = sorted(x for line in panel.lines if line.get_marker() in "os" for x in line.get_xdata())
        values = sorted(100 * p[key]["value"] for e in made["recipes"] for p in e["markets"].values())
        np.testing.assert_allclose(drawn, values)
