"""What a comparison has found so far: its cells on disk, and what follows from all of them together."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fxtrade.core.errors import FxtradeError
from fxtrade.experiment import record
from fxtrade.experiment.judging import Sums
from fxtrade.experiment.recipes import PLAIN
from fxtrade.metrics import bootstrap
from fxtrade.validate import discovery

PLAN, CELLS, SUMS = "plan.json", "cells.jsonl", "sums"
TREES = "gradient-boosted trees"
COVERAGES = (1.0, 0.1)  # at which forecasts are compared
SAMPLES, LEVEL = 2000, 0.95  # of the bootstrap
Entry = dict[str, Any]


class Kept:
    """Finished cells and baselines in `folder`: one line each in `cells.jsonl`, and their sums by day in `sums/`.

    A cell is there as a whole or not at all: its line is written last, by one write. A line that a kill cut short is
    dropped.

    Raises:
        FxtradeError: the folder cannot be written, or a line in the middle is damaged.
    """

    def __init__(self, folder: Path):
        self.folder, self.entries = folder, {}
        path = folder / CELLS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                self.entries[entry["hash"]] = entry
            except (ValueError, TypeError, KeyError) as e:
                if number < len(lines):
                    raise FxtradeError(f"{path}, line {number} is damaged; delete it, and its cell is done anew") from e
        if lines and not lines[-1].endswith(b"\n"):
            self._writing(lambda: _replace(path, b"".join(lines[:-1])))
            self.entries = {k: v for k, v in self.entries.items() if v != _loaded(lines[-1])}

    def add(self, entry: Entry, sums: Sums | None) -> None:
        def write():
            if sums is not None:
                place = self.folder / SUMS / f"{entry['hash']}.npz"
                place.parent.mkdir(parents=True, exist_ok=True)
                part = place.with_suffix(".part")
                with part.open("wb") as f:
                    np.savez_compressed(f, **{k: v.astype(np.int32) for k, v in sums._asdict().items()})
                os.replace(part, place)
            record.append(self.folder / CELLS, entry)

        self._writing(write)
        self.entries[entry["hash"]] = record.clean(entry)

    def sums(self, entry: Entry) -> Sums:
        """Raises FxtradeError if they are not there or damaged."""
        path = self.folder / SUMS / f"{entry['hash']}.npz"
        try:
            with np.load(path) as f:
                return Sums(f["right"], f["count"])
        except (OSError, ValueError, KeyError) as e:
            raise FxtradeError(f"{path} cannot be read ({e}); delete {CELLS} in its folder to do all cells anew") from e

    def _writing(self, write: Callable[[], None]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write()
        except OSError as e:
            raise FxtradeError(f"{self.folder} cannot be written: {e.strerror}; make room and start again") from e


def assemble(kept: Kept) -> dict[str, Any]:
    """Everything that the report says, as one JSON-like dict, from the finished ones among the cells of the plan.

    Raises:
        FxtradeError: the folder holds no plan, or a file is damaged.
    """
    path = kept.folder / PLAN
    try:
        plan = json.loads(path.read_text())
        config, cells = plan["config"], [kept.entries[h] for h in plan["cells"] if h in kept.entries]
        order = {(m, r): (i, j) for i, m in enumerate(config["models"]) for j, r in enumerate(config["recipes"])}
        cells.sort(key=lambda e: order[e["model"], e["recipe"]])
    except (OSError, ValueError, KeyError) as e:
        raise FxtradeError(f"{kept.folder} is no comparison: {path} is missing or damaged ({e!r})") from e
    cells, seed = [dict(e) for e in cells], config["seed"]
    markets, sums = [], {}
    for name, of in plan["markets"].items():
        if of not in kept.entries:
            continue
        base = [dict(e) for e in kept.entries.values() if e.get("of") == of and e["kind"] == "baseline"]
        rows = [*base, *(e for e in cells if e["market"] == name)]
        sums |= {e["hash"]: kept.sums(e) for e in rows if "error" not in e}
        markets.append({**kept.entries[of], "name": name, "rows": rows})
        against(rows, sums, markets[-1]["coverages"], seed)
    for rival in ("trees", "plain"):
        _corrected([test for m in markets for row in m["rows"] for test in row.get(rival, {}).values()])
    found = [e for r in config["recipes"] if r != PLAIN and (e := of_recipe(r, markets, sums, seed))]
    _corrected([test for effect in found for part in effect["markets"].values() for test in part.values()])
    counts = {"done": len(cells), "planned": len(plan["cells"]), "seconds": sum(e["seconds"] for e in cells)}
    run = {**plan["run"], **counts, "folder": kept.folder.name, "config": config}
    return record.clean({"run": run, "markets": markets, "recipes": found, "goal": goal(markets)})


def against(rows: list[Entry], sums: dict[str, Sums], coverages: list[float], seed: int) -> None:
    """Adds to the cells of a market the paired differences from the trees and from the same model's plain recipe."""
    trees = next((e for e in rows if e["kind"] == "baseline" and e["model"] == TREES), None)
    plain = {e["model"]: e for e in rows if e["kind"] == "cell" and e["recipe"] == PLAIN and "error" not in e}
    for row in rows:
        if row["kind"] != "cell" or "error" in row:
            continue
        rivals = {"trees": trees, "plain": plain.get(row["model"]) if row["recipe"] != PLAIN else None}
        for name, rival in rivals.items():
            if rival:
                pair = [sums[row["hash"]]], [sums[rival["hash"]]]
                row[name] = {_key(c): _difference(*pair, coverages.index(c), seed) for c in _compared(coverages)}


def of_recipe(recipe: str, markets: list[dict], sums: dict[str, Sums], seed: int) -> dict[str, Any] | None:
    """What a recipe adds to the accuracy of the plain one, on average over the models that have both, by market.

    `helped` of `models` are better than plain.
    """
    found: dict[str, dict] = {}
    for market in markets:
        cells = {(e["model"], e["recipe"]): e for e in market["rows"] if e["kind"] == "cell" and "error" not in e}
        models = [m for m, r in cells if r == recipe and (m, PLAIN) in cells]
        if models:
            pair = [[sums[cells[m, r]["hash"]] for m in models] for r in (recipe, PLAIN)]
            found[market["name"]] = {
                _key(c): _difference(*pair, market["coverages"].index(c), seed)
                | {
                    "models": len(models),
                    "helped": sum(cells[m, recipe]["plain"][_key(c)]["value"] > 0 for m in models),
                }
                for c in _compared(market["coverages"])
            }
    if not found:
        return None
    mean = float(np.mean([part["1"]["value"] for part in found.values()]))
    return {"recipe": recipe, "mean": mean, "markets": found}


def goal(markets: list[dict]) -> dict[str, Any]:
    """How many cells were compared with the trees, and which are above them after correction for their number."""
    tests = [
        {"market": market["name"], "model": row["model"], "recipe": row["recipe"], "coverage": float(c), **test}
        for market in markets
        for row in market["rows"]
        if "trees" in row
        for c, test in row["trees"].items()
    ]
    known = [t for t in tests if t["p"] is not None and not np.isnan(t["p"])]
    beaten = [t for t in known if t["low"] > 0 and t["q"] <= 1 - LEVEL]
    return {
        "comparisons": len(known),
        "beaten": sorted(beaten, key=lambda t: t["q"]),
        "below": sum(t["high"] < 0 and t["q"] <= 1 - LEVEL for t in known),
        "best": max(known, key=lambda t: t["low"], default=None),
    }


def _corrected(tests: list[dict]) -> None:
    for test, q in zip(tests, discovery.benjamini_hochberg([t["p"] for t in tests]), strict=True):
        test["q"] = float(q)


def _difference(ours: list[Sums], theirs: list[Sums], coverage: int, seed: int) -> dict[str, float]:
    """Of accuracies on the first label, on average over pairs; days on which no forecast counts are left out."""
    parts = [np.stack([getattr(s, k)[0, coverage] for s in side]) for side in (ours, theirs) for k in Sums._fields]
    used = (parts[1] + parts[3]).any(0)
    parts = [p[:, used] for p in parts]
    return bootstrap.paired_difference(parts[:2], parts[2:], SAMPLES, LEVEL, seed)._asdict()


def _compared(coverages: list[float]) -> list[float]:
    return [c for c in COVERAGES if c in coverages]


def _key(coverage: float) -> str:
    return f"{coverage:g}"


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)
