"""The report as Markdown, from the verdict down to the last detail that one needs to repeat the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fxtrade.report import accuracy_section, summary, trading_section
from fxtrade.report.formatting import count, duration, fixed, percent
from fxtrade.report.tables import facts, grid

CAPTIONS = {  # of every plot, by the name of its file
    "coverage": "Accuracy at every coverage",
    "calibration": "Calibration",
    "groups": "Accuracy by symbol and by month",
    "equity": "Equity net of costs, and drawdown",
    "costs": "Sharpe ratio by cost and latency",
    "training": "Loss during training",
}
SPANS = {"train": "training", "valid": "validation", "test": "test"}
ENDS = {"finished": "all steps done", "early": "stopped early: the validation loss improved no more"}


def document(outcome: dict[str, Any], pictures: Iterable[str]) -> str:
    """The whole report; `pictures` names the plots that stand as `plots/<name>.png` beside it."""
    shown = {name: f"![{CAPTIONS[name]}](plots/{name}.png)" for name in pictures}
    picture = {name: shown.get(name, "") for name in CAPTIONS}
    run = outcome["run"]
    blocks = [
        f"# {run['model']} on {outcome['data']['source']}",
        f"Run `{run['folder']}`, {run['started'][:10]}.",
        summary.paragraph(outcome),
        *(f"> **{text}**" for text in summary.warnings(outcome)),
        *data(outcome),
        *accuracy_section.accuracy(outcome, picture["coverage"]),
        *accuracy_section.scores(outcome, picture["calibration"]),
        *accuracy_section.tasks(outcome),
        *accuracy_section.groups(outcome, picture["groups"]),
        *trading_section.trading(outcome, picture["equity"], picture["costs"]),
        *training(run, picture["training"]),
        *provenance(run),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def data(outcome: dict) -> list[str]:
    """What was read, what was asked, and the three spans."""
    d = outcome["data"]
    rows = [
        ("source", d["source"]),
        ("symbols", f"{len(d['symbols'])}: {', '.join(d['symbols'])}"),
        ("bars", f"{d['bars']:,} of {d['interval']} each, for every symbol"),
        ("the model says", summary.question(outcome["run"]["config"]["label"])),
        ("test rows whose price does not move", percent(d["zero_moves"], 2)),
        ("features", f"{len(d['columns'])}: {', '.join(f'`{name}`' for name in d['columns'])}"),
    ]
    spans = [
        [name, *(d["spans"][key][end].replace("T", " ") for end in ("from", "to")), *_sizes(d["spans"][key])]
        for key, name in SPANS.items()
    ]
    return ["## Data", facts(rows), grid(["span", "from (UTC)", "to (UTC)", "bars", "labels"], spans)]


def training(run: dict, picture: str) -> list[str]:
    """How training went."""
    ended = ENDS.get(run["stopped"], run["stopped"])
    rows = [
        ("model", f"`{run['model']}`, {run['parameters']:,} parameters{_arithmetic(run)}"),
        ("receptive field", summary.bars(run["receptive_field"])),
        ("steps", f"{run['step']:,} ({ended})"),
        ("best validation loss", f"{fixed(run['best_loss'], 4)} nats at step {run['best_step']:,}"),
        *_adapting(run),
        ("speed", f"{count(run['labels_per_second'])} samples/s in training (a sample is one bar of one symbol)"),
        ("whole run", duration(run["seconds"])),
    ]
    return ["## Training", facts(rows), picture]


def _adapting(run: dict) -> list[tuple[str, str]]:
    how = run["config"]["adapt"]
    if not how["steps"]:
        return []
    rates = ", ".join(f"{rate:g}" for rate in run["adapted_at"])
    chosen = ", chosen on the validation rows" if len(how["learning_rates"]) > 1 else ""
    text = f"{how['steps']} steps on the last {how['lookback']:,} bars every {how['every']:,}, rate {rates}{chosen}"
    return [("adapts by", text)]


def provenance(run: dict) -> list[str]:
    """Everything that the result depends on, and how to get it again."""
    commit, _, changed = run["code"].partition("+")[2].partition("-")
    packages = ", ".join(f"{name} {version}" for name, version in run["packages"].items())
    rows = [
        ("started", run["started"]),
        ("code", f"`{run['code']}`{' (files differed from that commit)' if changed else ''}"),
        ("config", f"`{run['config_hash']}`, in full in [config.json](config.json)"),
        ("data fingerprint", f"`{run['data_fingerprint']}`"),
        ("seed", str(run["seed"])),
        ("test span opened before", f"by this configuration: {summary.times(run['opened_before'])}"),
        ("others tried on these data", summary.configurations(run["trials_before"])),
        ("machine", f"{', '.join(run['devices'])} ({run['backend']}), {run['cores']} cores, Python {run['python']}"),
        ("packages", packages),
    ]
    again = [
        *([f"git checkout {commit}"] if commit else []),
        "mkdir -p results/again",
        f"cp results/{run['folder']}/config.json results/again/",
        "python scripts/train.py --resume results/again",
    ]
    return [
        "## Where it comes from",
        facts(rows),
        "The run was started by",
        f"```\n{run['command']}\n```",
        "and is repeated, with its own config on the same data, by",
        "```\n" + "\n".join(again) + "\n```",
    ]


def _sizes(span: dict) -> list[str]:
    return [f"{span[key]:,}" for key in ("bars", "labels")]


def _arithmetic(run: dict) -> str:
    """Counted since later versions: earlier runs do not say it."""
    return f", {count(run['flops'])} floating point operations a sample" if run.get("flops") else ""
