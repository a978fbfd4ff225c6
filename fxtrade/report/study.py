"""The report of a feature study: `study.md` with its plots, and a table on the screen."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fxtrade.core.files import write_text
from fxtrade.core.text import plural
from fxtrade.evaluate.results import FeatureColumn, FeatureTest
from fxtrade.report import study_plots
from fxtrade.report.formatting import DASH, duration, fixed, interval, missing, percent
from fxtrade.report.plotting import write_plots
from fxtrade.report.progress import Console
from fxtrade.report.study_plots import SHOWN, strongest
from fxtrade.report.study_schema import StudyReport
from fxtrade.report.tables import commands, facts, grid, machine

WIDTH = 100  # of the table where the output is not a terminal
NARROW = ("null", "last")  # columns that narrower terminals leave out
SPANS = {"train": "training span", "train+valid": "training and validation span"}
HEADER = ("column", "bars", "IC [95 %]", "null", "p", "q", "sign", "last", "cluster")
CAPTIONS = {
    "ic": "IC of every column at every horizon",
    "columns": "IC with interval and null distribution",
    "stability": "IC over time",
    "redundancy": "Rank correlation of the columns",
}
READING = """\
* **IC**: Spearman's rank correlation of the column at the close of a bar with the log return from the next open to \
the open so many bars later, within each symbol, averaged over symbols by their rows.
* **[95 %]**: interval from a bootstrap of blocks of time, all symbols of a block together.
* **null**: 95 % quantile of |IC| under the null hypothesis, by shifting the column in time against the same returns. \
It is missing where a column repeats itself (the time of day) or the span has too few independent shifts; then only \
the blocks count.
* **p**: the larger of two p-values, that of the shifts and that of the sums over blocks. **q**: the smallest false \
discovery rate at which the test is a discovery (Benjamini & Hochberg); names **in bold** reach the rate asked for.
* **sign**: share of the periods whose IC has the sign of the whole; **last**: IC in the last of them.
* **cluster**: columns that carry nearly the same information; \\* marks the one with the largest IC of its cluster."""


def write(folder: Path, report: StudyReport) -> None:
    """Write `study.md` and `plots/*.png`. Raises FxtradeError if the folder cannot be written."""
    pictures = write_plots(folder, study_plots.figures(report))
    write_text(folder / "study.md", document(report, tuple(pictures)))


def summary(report: StudyReport) -> str:
    """Return the number of discoveries and of tests, as a sentence."""
    tests, rate = report.tests, percent(report.config.study.fdr, 0)
    defined = sum(not missing(t.p) for t in tests)
    found = [t for t in tests if t.discovery]
    columns = len({t.column for t in found})
    rest = len(tests) - defined
    undefined = f" ({rest} more {'is' if rest == 1 else 'are'} undefined)" if rest else ""
    if not found:
        return f"None of {plural(defined, 'test')}{undefined} is a discovery at a false discovery rate of {rate}."
    are = "is a discovery" if len(found) == 1 else "are discoveries"
    return (
        f"{len(found)} of {plural(defined, 'test')}{undefined} {are} at a false discovery rate of {rate}, "
        f"in {columns} of {plural(len(report.columns), 'column')}; up to {rate} of them are expected to be false."
    )


def summary_rows(report: StudyReport) -> list[tuple[str, str]]:
    """Return the five facts that a reader looks for first."""
    found, top = [t for t in report.tests if t.discovery], strongest(report)[0]
    defined = sum(not missing(t.p) for t in report.tests)
    size, clusters = len(report.columns), len({column.cluster for column in report.columns})
    ic = interval(top.ic, top.low, top.high, 1, 3)
    return [
        ("discoveries", f"{len(found):,} of {plural(defined, 'test')}"),
        ("columns with a discovery", f"{len({t.column for t in found}):,} of {size:,}"),
        ("clearest column", f"`{top.column}`, IC {ic} over {plural(top.horizon, 'bar')}"),
        ("periods in which it has that sign", percent(top.same_sign, 0)),
        ("clusters of redundant columns", f"{clusters:,} of {plural(size, 'column')}"),
    ]


def table(console: Console, report: StudyReport, folder: Path) -> None:
    """Print the columns at their best horizons, the summary, and where the report is."""
    width = console.rich.width if console.rich.is_terminal else WIDTH
    kept = [i for i, name in enumerate(HEADER) if width >= WIDTH or name not in NARROW]
    made = Table(title=_title(report), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    tests, clusters = strongest(report)[:SHOWN], _clusters(report)
    rows = [[_cells(test, clusters)[i] for i in kept] for test in tests]
    for j, i in enumerate(kept):  # in a narrow terminal only the names are cut
        widest = max(len(cell) for cell in (HEADER[i], *(row[j] for row in rows)))
        made.add_column(HEADER[i], justify="right" if i else "left", no_wrap=True, min_width=widest if i else 8)
    for row, test in zip(rows, tests, strict=True):
        made.add_row(*map(Text, row), style="bold" if test.discovery else "")
    made.width = min(width, WIDTH)
    console.rich.print(made, soft_wrap=not console.rich.is_terminal)
    console.say(summary(report))
    console.say(f"report: {folder / 'study.md'}")


def document(report: StudyReport, pictures: tuple[str, ...]) -> str:
    """Return the whole report; `pictures` names the plots that exist as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name]}](plots/{name}.png)" for name in pictures}
    rows, clusters = [], _clusters(report)
    for test in strongest(report)[:SHOWN]:
        cells = _cells(test, clusters)
        rows.append([f"**`{cells[0]}`**" if test.discovery else f"`{cells[0]}`", *cells[1:]])
    environment = report.provenance.environment
    blocks = [
        f"# Features of {report.provenance.name} on {report.data.source}",
        f"Study `{report.folder}`, {environment.started[:10]}.",
        facts(summary_rows(report)),
        f"**{summary(report)}**",
        facts(_setting(report)),
        "## Horizons",
        grid(["bars", "discoveries", "columns", "largest IC", "of"], _horizons(report), (4,)),
        shown.get("ic", ""),
        "## Columns",
        f"{_title(report)}.",
        grid(HEADER, rows),
        READING,
        shown.get("columns", ""),
        "## Stability",
        shown.get("stability", ""),
        "## Redundancy",
        *_redundant(report),
        shown.get("redundancy", ""),
        "## Provenance",
        facts(_provenance(report)),
        commands(environment),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _title(report: StudyReport) -> str:
    size = len(report.columns)
    which = f"The strongest {SHOWN} of {size} columns" if size > SHOWN else plural(size, "column")
    return f"{which}, each at the horizon of its clearest test, {SPANS[report.config.study.span]}"


def _clusters(report: StudyReport) -> dict[str, FeatureColumn]:
    return {column.name: column for column in report.columns}


def _cells(test: FeatureTest, clusters: dict[str, FeatureColumn]) -> list[str]:
    column = clusters[test.column]
    return [
        *(test.column, str(test.horizon), interval(test.ic, test.low, test.high, 1, 3)),
        *(fixed(test.null_quantile, 3), _small(test.p), _small(test.q)),
        *(percent(test.same_sign, 0), fixed(test.last, 3)),
        f"{column.cluster}{'*' if column.representative else ''}",
    ]


def _small(p: float) -> str:
    """Format a p- or q-value: 0.023, 4e-05, <1e-9."""
    if missing(p):
        return DASH
    return "<1e-9" if p < 1e-9 else f"{p:.0e}" if p < 0.0005 else f"{p:.3f}"


def _setting(report: StudyReport) -> list[tuple[str, str]]:
    d, options = report.data, report.config.study
    dates = f"{d.start.replace('T', ' ')} .. {d.end.replace('T', ' ')} UTC"
    blocks = f"blocks of {options.bootstrap_block}, or 4 horizons if longer"
    return [
        ("source", f"{d.source}; {plural(len(d.symbols), 'symbol')}: {', '.join(d.symbols)}"),
        ("span", f"{SPANS[options.span]}, {dates}; the test span was not read"),
        ("rows", f"{d.rows:,} of {plural(d.bars, 'bar')} of {d.interval} x {plural(len(d.symbols), 'symbol')}"),
        ("intervals", f"{plural(options.bootstrap_samples, 'resample')} of {blocks}"),
        ("shifts", f"of at least {plural(report.least_shift, 'bar')} in either direction"),
        *(("left out", text) for text in report.left_out),
    ]


def _horizons(report: StudyReport) -> list[list[str]]:
    rows = []
    for horizon in report.config.study.horizons:
        tests = [t for t in report.tests if t.horizon == horizon]
        top = max((t for t in tests if not missing(t.ic)), key=lambda t: abs(t.ic), default=None)
        largest = [fixed(top.ic, 4), f"`{top.column}`"] if top else [DASH, DASH]
        rows.append([str(horizon), str(sum(t.discovery for t in tests)), str(len(tests)), *largest])
    return rows


def _redundant(report: StudyReport) -> list[str]:
    clusters: dict[int, list[str]] = {}
    for column in sorted(report.columns, key=lambda c: (c.cluster, not c.representative)):
        clusters.setdefault(column.cluster, []).append(f"`{column.name}`")
    rows = [[str(number), names[0], ", ".join(names[1:])] for number, names in clusters.items() if len(names) > 1]
    found = f"{plural(len(clusters), 'cluster')} of {plural(len(report.columns), 'column')}"
    intro = f"{found}, joined above a mean |rank correlation| of "
    table = grid(["cluster", "largest IC", "redundant columns"], rows, (1, 2)) if rows else ""
    return [f"{intro}{report.config.study.cluster_threshold:g}.", table]


def _provenance(report: StudyReport) -> list[tuple[str, str]]:
    environment = report.provenance.environment
    return [
        ("started", f"{environment.started}, took {duration(report.seconds)}"),
        ("code", f"`{environment.code}`"),
        ("config", "in full in [config.json](config.json); all numbers in [study.json](study.json)"),
        ("data fingerprint", f"`{report.provenance.data_fingerprint}`"),
        ("seed", str(report.provenance.seed)),
        *machine(environment),
    ]
