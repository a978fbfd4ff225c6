"""The report of a run as Markdown, from the summary to the provenance."""

from __future__ import annotations

from collections.abc import Iterable

from fxtrade.core.config import EncodingConfig, ScalerConfig
from fxtrade.core.text import between, plural
from fxtrade.features import scale
from fxtrade.report import accuracy_section, provenance_section, run_warnings, summary, trading_section
from fxtrade.report.formatting import count, duration, fixed, percent, with_times
from fxtrade.report.rivals import against_learned
from fxtrade.report.schema import RunReport
from fxtrade.report.tables import facts, grid

CAPTIONS = {  # of every plot, by the name of its file
    "coverage": "Accuracy by coverage",
    "calibration": "Calibration",
    "groups": "Accuracy by symbol and by month",
    "equity": "Equity net of costs, and drawdown",
    "costs": "Sharpe ratio by cost and latency",
    "training": "Loss during training",
}
SPANS = {"train": "training", "valid": "validation", "test": "test"}
ENDS = {"finished": "all steps done", "early": "stopped early: the validation loss no longer improved"}


def document(report: RunReport, pictures: Iterable[str]) -> str:
    """Return the whole report; `pictures` names the plots that exist as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name]}](plots/{name}.png)" for name in pictures}
    picture = {name: shown.get(name, "") for name in CAPTIONS}
    blocks = [
        f"# {report.training.model} on {report.data.source}",
        f"Run `{report.folder}`, {report.provenance.environment.starts[0].started[:10]}.",
        facts(summary.rows(report)),
        against_learned(report),
        summary.paragraph(report),
        *(f"> **{text}**" for text in run_warnings.warnings(report)),
        *data(report),
        *accuracy_section.accuracy(report, picture["coverage"]),
        *accuracy_section.scores(report, picture["calibration"]),
        *accuracy_section.auxiliary(report),
        *accuracy_section.groups(report, picture["groups"]),
        *trading_section.trading(report, picture["equity"], picture["costs"]),
        *training(report, picture["training"]),
        *provenance_section.provenance(report),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def data(report: RunReport) -> list[str]:
    """Return the section on source, label and spans."""
    d = report.data
    rows = [
        ("source", d.source),
        ("symbols", f"{len(d.symbols)}: {', '.join(d.symbols)}"),
        ("bars", f"{d.bars:,} of {d.interval} each, for every symbol"),
        ("the model predicts", with_times(report.label.question, d.interval)),
        ("test rows whose price does not move", percent(d.zero_moves, 2)),
        ("features", f"{len(d.columns)}: {', '.join(f'`{name}`' for name in d.columns)}"),
        ("scaler of features", _scaler(report.config.scaler)),
    ]
    spans = [
        [
            name + between(s.blocks),
            *(time.replace("T", " ") for time in (s.start, s.end)),
            f"{s.bars:,}",
            f"{s.labels:,}",
        ]
        for name, s in ((name, d.spans[key]) for key, name in SPANS.items())
    ]
    return ["## Data", facts(rows), grid(["span", "from (UTC)", "to (UTC)", "bars", "labels"], spans)]


def training(report: RunReport, picture: str) -> list[str]:
    """Return the section on size, end and speed of training."""
    t = report.training
    flops = f"{count(t.flops)} floating point operations a sample"
    rows = [
        ("model", f"`{t.model}`, {plural(t.parameters, 'parameter')}, {flops}"),
        ("input encoding", _encoding(report.config.model.encoding)),
        ("receptive field", plural(t.receptive_field, "bar")),
        ("steps", f"{t.step:,} ({ENDS.get(t.stopped, t.stopped)})"),
        ("best validation loss", f"{fixed(t.best_loss, 4)} nats at step {t.best_step:,}"),
        *_online_finetuning(report),
        ("speed", f"{count(t.labels_per_second)} samples/s in training (a sample is one bar of one symbol)"),
        ("last command" if report.provenance.environment.earlier else "whole run", duration(report.seconds)),
    ]
    return ["## Training", facts(rows), picture]


def _scaler(c: ScalerConfig) -> str:
    """Return the scaler with its options, and which features it leaves out."""
    if c.name == "none" and c.winsor is None:
        return "features are not scaled"
    units = {"halflife": " bars", "window": " bars", "clip": " standard deviations"}
    parts = [f"`{c.name}`"]
    for name, value in scale.used_options(c).items():
        shown = f"{value:,g}" if isinstance(value, int | float) else value
        parts.append(f"{name} {shown}{units.get(name, '')}")
    if c.winsor is not None:
        parts.append(f"limited first to the quantiles {c.winsor:g} and {1 - c.winsor:g} of {plural(c.window, 'bar')}")
    unscaled = ", ".join(f"`{name}`" for name in c.passthrough or ())
    return f"{', '.join(parts)}; {f'not scaled: {unscaled}' if unscaled else 'all features are scaled'}"


def _encoding(c: EncodingConfig) -> str:
    """Return the encoding with the options that the config sets."""
    if c.name == "none":
        return "each column as it is"
    return f"`{c.name}`" + "".join(f", {name} {value}" for name, value in c.options.items())


def _online_finetuning(report: RunReport) -> list[tuple[str, str]]:
    adapt = report.config.adapt
    if not adapt.steps:
        return []
    rates = ", ".join(f"{rate:g}" for rate in report.training.adapted_at)
    chosen = ", chosen on the validation rows" if len(adapt.learning_rates) > 1 else ""
    rows = f"{plural(adapt.steps, 'step')} on the last {plural(adapt.lookback, 'bar')} every {adapt.every:,}"
    text = f"{rows}, learning rate {rates}{chosen}"
    return [("online fine-tuning", text)]
