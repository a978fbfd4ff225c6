"""The report of a feature study: `study.md` with its plots, and a table on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fxtrade.core.files import write_atomic
from fxtrade.report import study_plots
from fxtrade.report.formatting import DASH, count, duration, fixed, interval, missing, percent
from fxtrade.report.plotting import pixels, save_png
from fxtrade.report.progress import Console
from fxtrade.report.study_plots import strongest
from fxtrade.report.tables import facts, grid

SHOWN = 60  # columns in a table; study.json has all
WIDTH = 100  # of the table, which in a pipe has none of its own
NARROW = ("floor", "last")  # what narrower terminals do without
SPANS = {"train": "training span", "train+valid": "training and validation span"}
HEADER = ("column", "bars", "IC [95 %]", "floor", "p", "q", "sign", "last", "cluster")
CAPTIONS = {
    "ic": "IC of every column at every horizon",
    "columns": "IC with interval and null floor",
    "stability": "IC over time",
    "redundancy": "Rank correlation of the columns",
}
READING = """\
* **IC**: Spearman's rank correlation of the column at the close of a bar with the log return from the next open to \
the open so many bars later, within each symbol, averaged over symbols by their rows.
* **[95 %]**: interval from a bootstrap of blocks of time, all symbols of a block together.
* **floor**: what 95 % of the shifts stay below: the same column, moved in time against the same returns. There is \
none where a column repeats itself (the time of day) or the span is worth too few independent shifts; then blocks \
alone decide.
* **p**: the larger of two p-values, that of the shifts and that of the sums over blocks. **q**: the smallest false \
discovery rate at which it is a discovery (Benjamini & Hochberg); names **in bold** reach the rate asked for.
* **sign**: share of the periods whose IC has the sign of the whole; **last**: IC in the last of them.
* **cluster**: columns that say much the same; \\* marks the one with the largest IC of its cluster."""


def write(folder: Path, outcome: dict[str, Any]) -> None:
    """Write `study.md` and `plots/*.png`; OSError and FxtradeError as they come."""
    pictures = {name: pixels(figure) for name, figure in study_plots.figures(outcome).items()}
    for name, picture in pictures.items():
        save_png(folder / "plots" / f"{name}.png", picture)
    write_atomic(folder / "study.md", document(outcome, tuple(pictures)))


def verdict(outcome: dict) -> str:
    """How many of how many tests are discoveries, in a sentence or two."""
    tests, rate = outcome["tests"], percent(outcome["run"]["config"]["study"]["fdr"], 0)
    defined = sum(not missing(t["p"]) for t in tests)
    found = [t for t in tests if t["found"]]
    columns = len({t["column"] for t in found})
    undefined = f" ({len(tests) - defined} more are undefined)" if defined < len(tests) else ""
    if not found:
        return f"None of {defined} tests{undefined} is a discovery at a false discovery rate of {rate}."
    are = "is a discovery" if len(found) == 1 else "are discoveries"
    return (
        f"{len(found)} of {defined} tests{undefined} {are} at a false discovery rate of {rate}, "
        f"in {columns} of {len(outcome['columns'])} columns; of so many, up to {rate} may be luck."
    )


def table(console: Console, outcome: dict[str, Any], folder: Path) -> None:
    """Print the columns at their best horizons, the verdict, and where the report is."""
    width = console.rich.width if console.rich.is_terminal else WIDTH
    kept = [i for i, name in enumerate(HEADER) if width >= WIDTH or name not in NARROW]
    made = Table(title=_title(outcome), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    tests = strongest(outcome)[:SHOWN]
    rows = [[_cells(outcome, test)[i] for i in kept] for test in tests]
    for j, i in enumerate(kept):  # where it gets narrow only the names are cut
        widest = max(len(cell) for cell in (HEADER[i], *(row[j] for row in rows)))
        made.add_column(HEADER[i], justify="right" if i else "left", no_wrap=True, min_width=widest if i else 8)
    for row, test in zip(rows, tests, strict=True):
        made.add_row(*map(Text, row), style="bold" if test["found"] else "")
    made.width = min(width, WIDTH)
    console.rich.print(made, soft_wrap=not console.rich.is_terminal)
    console.say(verdict(outcome))
    console.say(f"report: {folder / 'study.md'}")


def document(outcome: dict[str, Any], pictures: tuple[str, ...]) -> str:
    """The whole report; `pictures` names the plots that stand as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name]}](plots/{name}.png)" for name in pictures}
    rows = []
    for test in strongest(outcome)[:SHOWN]:
        cells = _cells(outcome, test)
        rows.append([f"**`{cells[0]}`**" if test["found"] else f"`{cells[0]}`", *cells[1:]])
    blocks = [
        f"# Features of {outcome['run']['name']} on {outcome['data']['source']}",
        f"Study `{outcome['run']['folder']}`, {outcome['run']['started'][:10]}.",
        f"**{verdict(outcome)}**",
        facts(_asked(outcome)),
        "## Horizons",
        grid(["bars", "discoveries", "columns", "largest IC", "of"], _horizons(outcome), (4,)),
        shown.get("ic", ""),
        "## Columns",
        f"{_title(outcome)}.",
        grid(HEADER, rows),
        READING,
        shown.get("columns", ""),
        "## Stability",
        shown.get("stability", ""),
        "## Redundancy",
        *_redundant(outcome),
        shown.get("redundancy", ""),
        "## Where it comes from",
        facts(_provenance(outcome["run"])),
        f"```\n{outcome['run']['command']}\n```",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _title(outcome: dict) -> str:
    size = len(outcome["columns"])
    which = f"The strongest {SHOWN} of {size} columns" if size > SHOWN else f"{size} columns"
    return f"{which}, each at the horizon of which it says most, {SPANS[outcome['run']['config']['study']['span']]}"


def _cells(outcome: dict, test: dict) -> list[str]:
    column = next(c for c in outcome["columns"] if c["name"] == test["column"])
    return [
        *(test["column"], str(test["horizon"]), interval(test["ic"], test["low"], test["high"], 1, 3)),
        *(fixed(test["floor"], 3), _small(test["p"]), _small(test["q"])),
        *(percent(test["same_sign"], 0), fixed(test["last"], 3)),
        f"{column['cluster']}{'*' if column['representative'] else ''}",
    ]


def _small(p: float | None) -> str:
    """0.023, 4e-05; <1e-9."""
    if missing(p):
        return DASH
    return "<1e-9" if p < 1e-9 else f"{p:.0e}" if p < 0.0005 else f"{p:.3f}"


def _asked(outcome: dict) -> list[tuple[str, str]]:
    d, options = outcome["data"], outcome["run"]["config"]["study"]
    dates = f"{d['from'].replace('T', ' ')} .. {d['to'].replace('T', ' ')} UTC"
    return [
        ("source", f"{d['source']}; {len(d['symbols'])} symbols: {', '.join(d['symbols'])}"),
        ("looked at", f"{SPANS[options['span']]}, {dates}; the test span stayed closed"),
        ("rows", f"{d['rows']:,} of {d['bars']:,} bars of {d['interval']} x {len(d['symbols'])} symbols"),
        (
            "intervals",
            f"{options['bootstrap_samples']:,} resamples of blocks of {options['bootstrap_block']}, or 4 horizons if longer",
        ),
        ("shifts", f"of at least {count(outcome['least_shift'])} bars in either direction"),
    ]


def _horizons(outcome: dict) -> list[list[str]]:
    rows = []
    for horizon in outcome["run"]["config"]["study"]["horizons"]:
        tests = [t for t in outcome["tests"] if t["horizon"] == horizon]
        known = [t for t in tests if not missing(t["ic"])]
        top = max(known, key=lambda t: abs(t["ic"]), default=None)
        largest = [fixed(top["ic"], 4), f"`{top['column']}`"] if top else [DASH, DASH]
        rows.append([str(horizon), str(sum(t["found"] for t in tests)), str(len(tests)), *largest])
    return rows


def _redundant(outcome: dict) -> list[str]:
    least = outcome["run"]["config"]["study"]["cluster_threshold"]
    clusters: dict[int, list[dict]] = {}
    for column in sorted(outcome["columns"], key=lambda c: (c["cluster"], not c["representative"])):
        clusters.setdefault(column["cluster"], []).append(column)
    rows = [
        [str(number), *(f"`{part[0]['name']}`", ", ".join(f"`{c['name']}`" for c in part[1:]))]
        for number, part in clusters.items()
        if len(part) > 1
    ]
    intro = f"{len(clusters)} clusters of {len(outcome['columns'])} columns, joined above a mean |rank correlation| of "
    return [f"{intro}{least:g}.", grid(["cluster", "largest IC", "says much the same"], rows, (1, 2)) if rows else ""]


def _provenance(run: dict) -> list[tuple[str, str]]:
    return [
        ("started", f"{run['started']}, took {duration(run['seconds'])}"),
        ("code", f"`{run['code']}`"),
        ("config", "in full in [config.json](config.json); all numbers in [study.json](study.json)"),
        ("data fingerprint", f"`{run['data_fingerprint']}`"),
        ("seed", str(run["seed"])),
        ("packages", ", ".join(f"{name} {version}" for name, version in run["packages"].items())),
    ]
