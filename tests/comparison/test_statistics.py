from __future__ import annotations

import json

import numpy as np
import pytest

from fxtrade.comparison import cell, grid, statistics
from fxtrade.comparison.store import CellStore
from tests.helpers.tiny_comparison import config


def sums(share: float, days: int = 200, seed: int = 0) -> cell.Sums:
    rng = np.random.default_rng(seed)
    count = np.full((1, 2, days), 50)
    right = rng.binomial(count, share)
    return cell.Sums(right, count, 0.7 * count[0, 0] - 0.01 * right[0, 0], count[0, 0])


def assembled(tmp_path, shares: dict[tuple[str, str], float], trees: float = 0.55):
    """The outcome of cells with these accuracies."""
    models = tuple(dict.fromkeys(m for m, _ in shares))
    names = tuple(dict.fromkeys(r for _, r in shares))
    own = {"models": models, "recipes": names, "recipe_changes": {r: {} for r in names}}
    kept = CellStore(tmp_path)
    about = {"labels": ["open_to_open"], "coverages": [1.0, 0.1]}
    plan = {"config": grid.to_dict(config(own)), "markets": {"sim": "m"}, "run": {}, "cells": []}
    kept.add({"hash": "m-t", "kind": "baseline", "of": "m", "market": "sim", "model": statistics.TREES, "recipe": ""},
             sums(trees))  # fmt: skip
    kept.add({"hash": "m", "kind": "market", "of": "m", "market": "sim", **about}, None)
    for i, ((model, recipe), share) in enumerate(shares.items(), 1):
        plan["cells"].append(f"c{i}")
        entry = {"hash": f"c{i}", "kind": "cell", "market": "sim", "model": model, "recipe": recipe, "seconds": 1.0}
        kept.add(entry, sums(share, seed=i))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    return statistics.assemble(CellStore(tmp_path))


def test_what_helps_is_found_and_what_does_not_is_not(tmp_path):
    shares = {("tcn", "plain"): 0.55, ("gnn", "plain"): 0.55}
    shares |= {(m, "good"): 0.6 for m in ("tcn", "gnn")} | {(m, "idle"): 0.55 for m in ("tcn", "gnn")}
    made = assembled(tmp_path, shares)
    good, idle = (e["markets"]["sim"]["1"] for e in made["recipes"])
    assert good["low"] > 0 and good["q"] < 1e-6 and (good["helped"], good["models"]) == (2, 2)
    assert good["value"] == pytest.approx(0.05, abs=0.01)
    assert idle["low"] < 0 < idle["high"] and idle["q"] > 0.05
    goal = made["goal"]
    assert goal["comparisons"] == 12
    assert {(t["model"], t["recipe"]) for t in goal["beaten"]} == {("tcn", "good"), ("gnn", "good")}


def test_many_comparisons_want_more_of_each(tmp_path):
    """A difference that would pass alone is not taken for one among many without any."""
    alone = assembled(tmp_path / "alone", {("tcn", "plain"): 0.561})
    (row,) = alone["markets"][0]["rows"][1:]
    assert row["trees"]["1"]["q"] < 0.05
    others = {("tcn", f"r{i}"): 0.55 for i in range(60)}
    many = assembled(tmp_path / "many", {("tcn", "plain"): 0.561} | others)
    same = next(r for r in many["markets"][0]["rows"] if r["recipe"] == "plain")
    assert same["trees"]["1"]["p"] == row["trees"]["1"]["p"] and same["trees"]["1"]["q"] > 0.05
    assert many["goal"]["comparisons"] == 122


def test_without_a_plain_cell_a_recipe_has_no_effect_yet(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.5, ("gnn", "good"): 0.6})
    assert made["recipes"] == []


def test_log_loss_is_compared_where_both_have_it(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.55, ("tcn", "good"): 0.6})
    rows = {r["recipe"]: r for r in made["markets"][0]["rows"]}
    for name, rival in (("trees", ""), ("plain", "plain")):
        test, right = rows["good"]["nats"][name], rows["good"][name]["1"]
        for key in ("value", "low", "high"):  # less surprise by a hundredth of a nat for each right forecast
            assert test[key] == pytest.approx(0.01 * right[key], rel=1e-9), (key, rival)
        assert test["q"] < 0.05
    assert made["recipes"][0]["nats"]["sim"]["value"] == pytest.approx(rows["good"]["nats"]["plain"]["value"])
    assert made["goal"]["nats"] == {"comparisons": 2, "better": 1, "worse": 0}


def test_cells_of_an_older_version_have_no_log_loss_to_compare(tmp_path):
    made = assembled(tmp_path, {("tcn", "plain"): 0.55, ("tcn", "good"): 0.6})
    kept = CellStore(tmp_path)
    for path in (tmp_path / "sums").iterdir():
        old = kept.sums({"hash": path.stem})
        np.savez_compressed(path, right=old.right, count=old.count)
    again = statistics.assemble(CellStore(tmp_path))
    assert "nats" not in again["markets"][0]["rows"][1] and again["recipes"][0]["nats"] == {}
    assert again["goal"]["nats"]["comparisons"] == 0 and again["goal"]["best"] == made["goal"]["best"]
