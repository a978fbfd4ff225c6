"""Names and phrases that the project no longer uses, and what to write instead (see docs/glossary.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = (
    "fxtrade/**/*.py", "scripts/*.py", "configs/*.py", "benchmarks/*.py", "docs/**/*.md",
    "README.md", "CONTRIBUTING.md", "tests/**/*.py",
)  # fmt: skip
PHRASES = {  # regular expression, without regard to case -> use instead
    r"\brooms\b|\b(a|the|each|every|one|this|that|another) room\b": "package",
    r"\bfloors\b|\bnull floor|\bfloor \d|\b(the|its|this|that|each|every|no) floor\b": "layer, null baseline",
    r"\bhouse\b": "architecture, project",
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\banew\b": "again, recomputed",
    r"beyond luck|more than luck|by luck\b": "significant, by chance",
    r"\b(go|goes|going|went) on with\b": "resume, continue",
    r"(?<!there )\bis no (?!longer|such|more|less|worse|better|way|need)\w+": "is not a",
    r"\b(nobody|no one) knows\b|\bwhoever\b|\bit is said\b|what the rows say": "name the fact plainly",
    r"of all together": "jointly",
    r"right on the test span": "test accuracy",
    r"where it comes from": "provenance",
    r"what it would have earned": "trading performance",
    r"--share\b": "--shard",
    r"\bas it comes\b|\bas they come\b": "name the exception: Raises OSError.",
    r"\bmake it again\b": "run it again to recreate the file",
    r"\bno opinion\b|\b(goes|go) on waiting\b|\bwaits for a (fill|bar)\b": "no target, pending order",
    r"\bnothing else is there\b|\bchange(d|s)? hands\b": "say what is missing, price of the trade",
    r"\bfirst prototype\b": "name the run or the commit",
}
NAMES = {  # regular expression -> use instead
    r"\bis_value\b": "is_valid",
    r"\bdead[_ ]zone\b|_dead_zone\b": "flat_fraction, flat zone",
    r"\busual_level\b|\btypical_volume\b": "slow_mean",
    r"\bsigned_by\b": "estimate_signed_volume",
    r"\blead_lag_contrast\b|\bsliding_dft\b|\bat_threshold\b": "deleted: nothing but tests used it",
    r"['\"](kyle|amihud|absorption)['\"]": "kyle_lambda, amihud_illiquidity, absorption_ratio",
    r"\bopen_to_open_?label\b|['\"]tradable['\"]|labels[./]tradable": "open_to_open",
    r"\.looks\b|\blooks=": "end_offset",
    r"\bSays\b|\bsays=": "HeadSpec, heads",
    r"\bfurther_\w+|\.further\b|\bfurther=": "horizon_*",
    r"\bin_units_of\b": "init_sigma_bias",
    r"\bembedded\(": "embed_inputs(",
    r"\bcarried_back\b": "backprop_inner_loop",
    r"\bas_it_is\b": "no_augment",
    r"\beasy_first\b": "make_curriculum",
    r"\bcarry_out\b": "run_cell",
    r"\bKept\b": "CellStore",
    r"\bnull_floors?\b": "null_baseline",
    r"\btick: Callable|\bas tick\b": "on_progress",
    r"\bname[\"']?\s*[:=]\s*[\"']supervised[\"']": "supcon",
    r"\bloss\.balance\b": "loss.effective_number_beta",
    r"\bno_opinion\b|\btwo_way\b|\bredone\b": "no_target, two_class, reforecast",
    r"\b(scripts/)?experiment\.py\b|\bscripts/compare\.py\b": "comparison.py, runs.py",
}
MOVED = {  # package -> modules that it no longer has
    "core": "missing options rules pairs order sums fold lags",
    "features": "smooth components cross profile",
    "losses": "tasks",
    "models": "message rows",
    "report": "canvas numbers skill earnings verdict compare",
    "train": "keeping views track events",
    "validate": "null",
    "experiment": "beginning network fitting forecast adapt record ledger provenance presets study cells judging"
    " recipes effects cli doctor evaluate baselines dataset trading tasks comparison",
}


def rules() -> list[tuple[re.Pattern, str]]:
    compiled = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in PHRASES.items()]
    compiled += [(re.compile(pattern), instead) for pattern, instead in NAMES.items()]
    for package, modules in MOVED.items():
        old = "|".join(modules.split())
        pattern = rf"\b{package}[./]({old})\b(?!\()|from fxtrade\.{package} import .*\b({old})\b"
        compiled.append((re.compile(pattern), f"the module's new name (fxtrade/{package}/ has no such module)"))
    return compiled


def offences(text: str) -> list[str]:
    """Return `line: found; use ...` for each match."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in RULES:
            found += [f"{number}: '{match[0].strip()}'; use: {instead}" for match in pattern.finditer(line)]
    return found


RULES = rules()


def test_no_old_words():
    paths = sorted({path for glob in SOURCES for path in ROOT.glob(glob)} - {Path(__file__)})
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    assert len(names) > 50
    found = [
        f"{name}:{offence}" for name, path in zip(names, paths, strict=True) for offence in offences(path.read_text())
    ]
    assert not found, f"{len(found)} old words:\n" + "\n".join(found)


OLD = (
    "Floor 5: whether a result is more than luck", "the null floor", "five rooms of a house", "the room that owns it",
    "mended", "done anew", "'x' is no flag", "from fxtrade.core.missing import is_value", "`core/order`", "out.further",
    "from fxtrade.train import track, views", "experiment/judging.py", "tick: Callable[[int], None]", "says=Says(2)",
)  # fmt: skip
NEW = (
    "y = jnp.floor(x)", "FLOOR = 1e-7", "power + floor", "make room on the disk", "there is no such file", "a bad tick",
    "it is no longer used", "core/order_statistics", "from fxtrade.features import cross_section", "recommended",
    "mushrooms", "order books", "amendment", "the report says so", "household", "further horizons", "fig.canvas",
    "from fxtrade.report.comparison import x",
)  # fmt: skip


@pytest.mark.parametrize("line", OLD)
def test_old_words_are_found(line):
    assert offences(line)


@pytest.mark.parametrize("line", NEW)
def test_other_words_are_not(line):
    assert not offences(line)
