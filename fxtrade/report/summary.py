"""What the numbers of a run mean, in plain words. Every claim follows from intervals, none from a point alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from fxtrade.report.formatting import fixed, gain, missing, number, percent, probability

LEAK_ACCURACY, LEAK_SHARPE = 0.56, 4.0  # beyond these, on real bars, a result is first of all a leak
FEW_DAYS = 20  # percentile intervals from fewer blocks are too narrow
ABOVE, BELOW, EQUAL, UNKNOWN = "above", "below", "not told apart from", "of unknown distance to"

Row = dict[str, Any]


def compare(own: Row, other: Row) -> str:
    """Where `own` accuracy stands to `other`: ABOVE or BELOW if their intervals do not touch, else EQUAL."""
    if any(missing(row[k]) for row in (own, other) for k in ("low", "high")):
        return UNKNOWN
    if own["low"] > other["high"]:
        return ABOVE
    return BELOW if own["high"] < other["low"] else EQUAL


def coverage_name(target: float) -> str:
    return "all bars" if target == 1 else f"top {100 * target:g} %"


def at(table: list[Row], target: float) -> Row:
    return next(row for row in table if row["target"] == target)


def floors(outcome: dict) -> dict[str, list[Row]]:
    """The null markets that are a floor for this label; mirrored bars keep their volatility and are none for it."""
    volatility = outcome["run"]["config"]["label"]["name"] == "volatility_direction"
    return {k: v for k, v in outcome["null"].items() if not (volatility and k == "random walk")}


def best(tables: dict[str, list[Row]], target: float) -> tuple[str, Row] | None:
    """Name and row of the highest accuracy at a target coverage."""
    rows = {name: at(table, target) for name, table in tables.items()}
    known = {name: row for name, row in rows.items() if not missing(row["accuracy"])}
    return max(known.items(), key=lambda item: item[1]["accuracy"]) if known else None


def rivals(outcome: dict) -> dict[str, list[Row]]:
    return {k: v for k, v in outcome["accuracy"].items() if k != outcome["run"]["model"]}


def targets(outcome: dict) -> list[float]:
    """The target coverages of the run, widest first."""
    return sorted((row["target"] for row in outcome["accuracy"][outcome["run"]["model"]]), reverse=True)


def simulated(outcome: dict) -> bool:
    return outcome["data"]["source"].startswith("simulated market")


def planted(outcome: dict) -> bool:
    """Whether the market was made with an edge, so that any success is possible."""
    return simulated(outcome) and "random walk" not in outcome["data"]["source"]


def question(label: dict) -> str:
    """What a label asks, to go into a sentence."""
    over = bars(label["horizon"])
    if label["name"] == "volatility_direction":
        return f"whether the volatility of the next {over} lies above or below its trailing median"
    way = "up, down or hardly anywhere" if label["classes"] == 3 else "up or down"
    if label["name"] == "close_to_close":
        return f"whether the price goes {way} from the last close to the close {over} later"
    return f"whether the price goes {way} from the next open, the first price to trade at, to the open {over} later"


def bars(n: int) -> str:
    return f"{n} bar" if n == 1 else f"{n} bars"


def times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def configurations(n: int) -> str:
    return {0: "no other configuration", 1: "1 other configuration"}.get(n, f"{n} other configurations")


def paragraph(outcome: dict) -> str:
    """The verdict, from what was forecast to what it would have earned."""
    run, model = outcome["run"], outcome["run"]["model"]
    wide, tight = targets(outcome)[0], targets(outcome)[-1]
    own = at(outcome["accuracy"][model], wide)
    sentences = [
        f"The {model} says {question(run['config']['label'])}. Of its {own['rows']:,} forecasts on the test span "
        f"({coverage_name(wide)}) it had **{_percent(own)} right**.",
        _against(outcome, wide),
    ]
    if tight != wide:
        row = at(outcome["accuracy"][model], tight)
        sentences.append(
            f"Where it is most sure ({coverage_name(tight)}, threshold fixed on the validation span) it had "
            f"{_percent(row)} right. {_against(outcome, tight)}"
        )
    if simulated(outcome):
        sentences.append(_simulated(outcome, own))
    elif "open_to_open" in outcome["labels"] and run["config"]["label"]["name"] == "close_to_close":
        tradable = at(outcome["labels"]["open_to_open"], wide)
        sentences.append(f"On the label that one can trade, the same forecasts had {_percent(tradable)} right.")
    if outcome.get("trading"):
        sentences.append(_money(outcome["trading"], run["config"]["trade"]))
    if not floors(outcome):
        sentences.append("No null floor was run, so nobody knows what this pipeline finds where there is nothing.")
    used = []
    if run["opened_before"]:
        used.append(f"this configuration had opened it {times(run['opened_before'])} before")
    if run["trials_before"]:
        used.append(f"{configurations(run['trials_before'])} had been tried on these data")
    if used:
        sentences.append(f"The test span is not fresh: {' and '.join(used)}.")
    return " ".join(sentences)


def warnings(outcome: dict) -> list[str]:
    """Everything that makes these numbers suspect; empty if nothing does."""
    found = [*_leaks(outcome)]
    span = outcome["data"]["spans"]["test"]
    days = (dt.datetime.fromisoformat(span["to"]) - dt.datetime.fromisoformat(span["from"])).days + 1
    if days < FEW_DAYS:
        found.append(f"The test span has {days} days only: intervals are too narrow, and yearly figures mean little.")
    return found


def _leaks(outcome: dict) -> Iterator[str]:
    """Results that are more likely a mistake than a discovery."""
    label, wide = outcome["run"]["config"]["label"], targets(outcome)[0]
    own = at(outcome["accuracy"][outcome["run"]["model"]], wide)
    real, direction = not planted(outcome), label["name"] != "volatility_direction" and label["classes"] == 2
    tradable = own if label["name"] == "open_to_open" else None
    if "open_to_open" in outcome["labels"]:
        tradable = at(outcome["labels"]["open_to_open"], wide)
    if real and direction and wide == 1 and tradable and _over(tradable["accuracy"], LEAK_ACCURACY):
        yield (
            f"Leak? {percent(tradable['accuracy'])} on all bars of a label that one can trade is more than real "
            f"markets give ({percent(LEAK_ACCURACY, 0)}). First of all look for the future in features, labels, splits."
        )
    sharpe = outcome["trading"]["strategy"]["sharpe"] if outcome.get("trading") else None
    if real and _over(sharpe, LEAK_SHARPE):
        yield (
            f"Leak? A net Sharpe ratio of {number(sharpe)} is more than real markets give ({LEAK_SHARPE:g}). First of "
            "all look for fills at prices that were gone, missing costs, or future data in features."
        )
    if direction and "random walk" in outcome["null"]:
        walk = at(outcome["null"]["random walk"], wide)
        if _over(walk["low"], 0.5):
            yield (
                f"Leak? On a random walk, where nothing can be known, the same pipeline had {_percent(walk)} right. "
                "Chance alone does this in one run of 40: try another seed, then look for future data."
            )
    top = outcome["data"]["best_accuracy"]
    if not missing(top) and _over(own["low"], max(top, 0.5)):
        yield f"Leak? {_percent(own)} is more than the best possible accuracy of this simulated market, {percent(top)}."


def survival(trading: dict) -> str:
    """Whether the strategy lives on what is left after costs."""
    net = trading["strategy"]
    if not net["trades"] or missing(net["sharpe"]):
        return "hardly traded, so there is nothing to judge"
    if _over(net["total_return"], 0) and _over(net["sharpe_low"], 0):
        return "survives these costs"
    if _over(net["total_return"], 0):
        return "ends above its start, but the interval of its Sharpe ratio includes zero: no evidence of profit"
    free = next((c for c in trading["grid"] if c["fee_bps"] == 0 and c["latency"] == 0), None)
    if free and _over(free["total_return"], 0):
        return f"does not survive these costs; without any it would have made {gain(free['total_return'])}"
    return "does not survive these costs, and loses even without any" if free else "does not survive these costs"


def _percent(row: Row) -> str:
    if missing(row["low"]) or missing(row["high"]):
        return percent(row["accuracy"])
    return f"{percent(row['accuracy'])} (95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f} %)"


def _against(outcome: dict, target: float) -> str:
    own, parts = at(outcome["accuracy"][outcome["run"]["model"]], target), []
    floor, rule = best(floors(outcome), target), best(rivals(outcome), target)
    if floor:
        parts.append(f"{compare(own, floor[1])} its null floor ({floor[0]}: {percent(floor[1]['accuracy'])})")
    if rule:
        parts.append(f"{compare(own, rule[1])} the best baseline ({rule[0]}: {percent(rule[1]['accuracy'])})")
    if not parts:
        return "There is no baseline to hold this against."
    words = {
        ABOVE: "the intervals do not touch, so this is skill",
        BELOW: "the intervals do not touch: something simple does better",
        EQUAL: "the intervals overlap, so no skill is shown",
        UNKNOWN: "the test span is too short for intervals",
    }
    places = [compare(own, other[1]) for other in (floor, rule) if other]
    weakest = next(place for place in (UNKNOWN, BELOW, EQUAL, ABOVE) if place in places)
    return f"That is {' and '.join(parts)}; {words[weakest]}."


def _simulated(outcome: dict, own: Row) -> str:
    top = outcome["data"]["best_accuracy"]
    if not planted(outcome):
        return "The market is simulated and has nothing to find, so anything but 50 % would be a mistake."
    text = (
        "The market is simulated and its edge is planted: this shows that the pipeline learns, not that real markets "
        "can be beaten."
    )
    if missing(top) or missing(own["accuracy"]) or top <= 0.5:
        return text
    share = (own["accuracy"] - 0.5) / (top - 0.5)
    way = f"{percent(share, 0)} of the way there from 50 %"
    return f"{text} The best possible accuracy on all bars is {percent(top)}; the model went {way}."


def _money(trading: dict, costs: dict) -> str:
    net, held = trading["strategy"], trading["buy_and_hold"]
    costs_text = f"{costs['fee_bps']:g} bps of fee and {costs['half_spread_bps']:g} bps of half-spread a side"
    bounds = f" (95 % interval {fixed(net['sharpe_low'], 2)} to {fixed(net['sharpe_high'], 2)})"
    sharpe = fixed(net["sharpe"], 2) + ("" if missing(net["sharpe_low"]) else bounds)
    text = (
        f"Traded at {costs_text}, its return is {gain(net['total_return'])} with a Sharpe ratio of {sharpe} and a "
        f"worst drawdown of {percent(net['max_drawdown'])} (buy and hold: {gain(held['total_return'])}, "
        f"{number(held['sharpe'])}, {percent(held['max_drawdown'])}): **it {survival(trading)}**."
    )
    if missing(net["dsr"]):
        return text
    bar = "zero" if net["trials"] == 1 else f"what the best of {net['trials']} worthless trials reaches by luck"
    return f"{text} The probability that its true Sharpe ratio lies above {bar} is {probability(net['dsr'])}."


def _over(value: float | None, bound: float) -> bool:
    return not missing(value) and value > bound
