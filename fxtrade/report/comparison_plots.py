"""The plots of a comparison."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fxtrade.report import summary
from fxtrade.report.formatting import missing, percent
from fxtrade.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    accuracy_points,
    coverage_axes,
    decorate,
    error_bars,
    floats,
    new_figure,
    reference,
    with_legend,
)

COLORS, MARKERS = (BLUE, GREEN, RED, PURPLE, SKY, "black", "#8B5A2B"), "osD^vPX"
TREES, LINE = "gradient-boosted trees", "logistic regression"
NAMES = {"1": "all bars", "0.1": "top 10 %"}


def figures(outcome: dict) -> dict[str, Figure]:
    """Every plot for which there are numbers, by the name of its file."""
    plain = {
        m["name"]: [r for r in m["rows"] if r["recipe"] == "plain" and "error" not in r] for m in outcome["markets"]
    }
    made = {f"coverage_{m['name']}": coverage(m, plain[m["name"]]) for m in outcome["markets"] if plain[m["name"]]}
    if outcome["recipes"]:
        made["recipes"] = recipes(outcome["recipes"])
    if any(plain.values()):
        made["cost"] = cost([m for m in outcome["markets"] if plain[m["name"]]], plain)
    return made


def coverage(market: dict, rows: list[dict]) -> Figure:
    """Accuracy by coverage of every model in plain training, beside the baselines that have confidence."""
    label, chance = market["labels"][0], 1 / market["label"]["classes"]
    figure = new_figure(4.8)
    axes = coverage_axes(figure.add_subplot(), f"Accuracy by coverage on {market['name']}, plain training")
    for name, color, style in ((TREES, ORANGE, "-"), (LINE, GREY, "--")):
        table = next((r["accuracy"][label] for r in market["rows"] if r["model"] == name), [])
        if table:
            accuracy_points(axes, table, f"{name}, 95 %", band=True, color=color, linestyle=style)
    for row, color, marker in zip(rows, COLORS * len(rows), MARKERS * len(rows), strict=False):
        right = [r for r in row["accuracy"][label] if not missing(r["accuracy"])]
        place = floats([r["coverage"] for r in right])
        axes.plot(place, error_bars(right)[0], marker=marker, ms=4, lw=1.2, color=color, label=row["model"])
    reference(axes, 100 * chance, f"no opinion: {percent(chance)}")
    return with_legend(figure, axes)


def recipes(found: list[dict]) -> Figure:
    """What each recipe adds to plain training, with interval, on average over the models: one colour a market."""
    found = sorted(found, key=lambda e: e["mean"])
    markets = list(dict.fromkeys(name for effect in found for name in effect["markets"]))
    keys = [k for k in NAMES if any(k in part for effect in found for part in effect["markets"].values())]
    figure = new_figure(1.6 + (0.14 + 0.13 * len(markets)) * len(found))
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, keys, strict=True):
        for i, (market, color) in enumerate(zip(markets, COLORS, strict=False)):
            tests = [effect["markets"].get(market, {}).get(key) for effect in found]
            value, low, high = (100 * floats([t and t[k] for t in tests]) for k in ("value", "low", "high"))
            place = np.arange(len(found)) + 0.22 * ((len(markets) - 1) / 2 - i)
            error = np.nan_to_num(np.maximum([value - low, high - value], 0))
            style = {"fmt": MARKERS[i], "ms": 4, "lw": 1.3, "capsize": 2, "color": color}
            axes.errorbar(value, place, xerr=error, label=f"{market}, 95 % interval", **style)
        axes.axvline(0, color="black", lw=0.8)
        axes.set_yticks(range(len(found)), [effect["recipe"] for effect in found])
        axes.set_ylim(-0.7, len(found) - 0.3)
        decorate(axes, f"Against plain, {NAMES[key]}", "percentage points of accuracy", "")
    return with_legend(figure, panels[0])


def cost(markets: list[dict], plain: dict[str, list[dict]]) -> Figure:
    """Accuracy of every model in plain training, with 95 % interval, against how fast it trains."""
    figure = new_figure(0.7 + 2.9 * len(markets))
    for axes, market in zip(figure.subplots(len(markets), 1, squeeze=False)[:, 0], markets, strict=True):
        label, rows = market["labels"][0], plain[market["name"]]
        tables = {r["model"]: summary.at(r["accuracy"][label], 1.0) for r in market["rows"] if r["kind"] == "baseline"}
        for name, color in ((TREES, ORANGE), (LINE, GREY)):
            if name in tables:
                axes.axhline(100 * tables[name]["accuracy"], color=color, lw=1.2, label=name)
        speed = floats([r["labels_per_second"] for r in rows])
        middle, error = error_bars([summary.at(r["accuracy"][label], 1.0) for r in rows])
        for i, row in enumerate(rows):
            style = {"color": COLORS[i % len(COLORS)], "fmt": MARKERS[i % len(MARKERS)], "label": row["model"]}
            axes.errorbar(speed[i], middle[i], error[:, i : i + 1], ms=5, lw=1.2, capsize=2, **style)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.1)
        title = f"Accuracy and speed on {market['name']}, all bars, plain training, 95 % interval"
        decorate(axes, title, "samples/s in training", "right (%)")
    return with_legend(figure, figure.axes[0])
