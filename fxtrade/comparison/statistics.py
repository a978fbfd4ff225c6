"""What a comparison has found so far: what follows from all of its finished cells together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fxtrade.comparison.cell import Sums
from fxtrade.comparison.grid import PLAIN
from fxtrade.comparison.store import PLAN, CellStore, Entry
from fxtrade.core.errors import FxtradeError
from fxtrade.core.files import to_jsonable
from fxtrade.metrics import bootstrap
from fxtrade.validate import discovery

TREES = "gradient-boosted trees"
COVERAGES = (1.0, 0.1)  # at which forecasts are compared
SAMPLES, LEVEL = 2000, 0.95  # of the bootstrap
RIVALS = ("trees", "plain")  # of every cell
Ratio = tuple[np.ndarray, np.ndarray]  # numerator and denominator by day, [G]


def assemble(kept: CellStore) -> dict[str, Any]:
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
    for rival in RIVALS:
        _corrected([test for m in markets for row in m["rows"] for test in row.get(rival, {}).values()])
        _corrected([test for m in markets for row in m["rows"] if (test := row.get("nats", {}).get(rival))])
    found = [e for r in config["recipes"] if r != PLAIN and (e := of_recipe(r, markets, sums, seed))]
    _corrected([test for effect in found for part in effect["markets"].values() for test in part.values()])
    _corrected([test for effect in found for test in effect["nats"].values()])
    counts = {"done": len(cells), "planned": len(plan["cells"]), "seconds": sum(e["seconds"] for e in cells)}
    run = {**plan["run"], **counts, "folder": kept.folder.name, "config": config}
    return to_jsonable({"run": run, "markets": markets, "recipes": found, "goal": goal(markets)})


def against(rows: list[Entry], sums: dict[str, Sums], coverages: list[float], seed: int) -> None:
    """Adds to the cells of a market the paired differences from the trees and from the same model's plain recipe: of
    accuracies, and as "nats" of the log loss, positive where the rival's is higher."""
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
                if nats := _nats(*pair, seed):
                    row.setdefault("nats", {})[name] = nats


def of_recipe(recipe: str, markets: list[dict], sums: dict[str, Sums], seed: int) -> dict[str, Any] | None:
    """What a recipe adds to the accuracy of the plain one, on average over the models that have both, by market; as
    "nats" what it takes from the log loss.

    `helped` of `models` are better than plain.
    """
    found: dict[str, dict] = {}
    nats: dict[str, dict] = {}
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
            if gained := _nats(*pair, seed):
                nats[market["name"]] = gained
    if not found:
        return None
    mean = float(np.mean([part["1"]["value"] for part in found.values()]))
    return {"recipe": recipe, "mean": mean, "markets": found, "nats": nats}


def goal(markets: list[dict]) -> dict[str, Any]:
    """How many cells were compared with the trees, and which are above them after correction for their number; of log
    losses only how many are better and worse."""
    tests = [
        {"market": market["name"], "model": row["model"], "recipe": row["recipe"], "coverage": float(c), **test}
        for market in markets
        for row in market["rows"]
        if "trees" in row
        for c, test in row["trees"].items()
    ]
    nats = [row["nats"]["trees"] for market in markets for row in market["rows"] if "trees" in row.get("nats", {})]
    known = [t for t in tests if t["p"] is not None and not np.isnan(t["p"])]
    beaten = [t for t in known if t["low"] > 0 and t["q"] <= 1 - LEVEL]
    return {
        "comparisons": len(known),
        "beaten": sorted(beaten, key=lambda t: t["q"]),
        "below": sum(t["high"] < 0 and t["q"] <= 1 - LEVEL for t in known),
        "best": max(known, key=lambda t: t["low"], default=None),
        "nats": {
            "comparisons": len(nats),
            "better": sum(t["low"] > 0 and t["q"] <= 1 - LEVEL for t in nats),
            "worse": sum(t["high"] < 0 and t["q"] <= 1 - LEVEL for t in nats),
        },
    }


def _corrected(tests: list[dict]) -> None:
    for test, q in zip(tests, discovery.benjamini_hochberg([t["p"] for t in tests]), strict=True):
        test["q"] = float(q)


def _difference(ours: list[Sums], theirs: list[Sums], coverage: int, seed: int) -> dict[str, float]:
    """Of accuracies on the first label, on average over pairs."""
    return _paired(*([(s.right[0, coverage], s.count[0, coverage]) for s in side] for side in (ours, theirs)), seed)


def _nats(ours: list[Sums], theirs: list[Sums], seed: int) -> dict[str, float] | None:
    """By how much their log loss is above ours, on average over pairs; None if anyone's is not known."""
    if any(s.rows is None for s in (*ours, *theirs)):
        return None
    return _paired(*([(s.surprise, s.rows) for s in side] for side in (theirs, ours)), seed)


def _paired(ours: list[Ratio], theirs: list[Ratio], seed: int) -> dict[str, float]:
    """The mean difference of ratios; days on which nothing counts are left out."""
    parts = np.array([list(zip(*side, strict=True)) for side in (ours, theirs)])  # [2, 2, R, G]
    parts = parts[..., parts[:, 1].any((0, 1))]
    return bootstrap.paired_difference(*parts, SAMPLES, LEVEL, seed)._asdict()


def _compared(coverages: list[float]) -> list[float]:
    return [c for c in COVERAGES if c in coverages]


def _key(coverage: float) -> str:
    return f"{coverage:g}"
