"""What stops a comparison before it begins, and training that fails."""

from __future__ import annotations

import pytest

from fxtrade.comparison import run
from fxtrade.comparison.store import lock
from fxtrade.core import registry
from fxtrade.core.errors import FxtradeError, TrainingError
from fxtrade.pipeline import training
from fxtrade.report.progress import Console
from fxtrade.runs.ledger import read
from tests.helpers import tiny
from tests.helpers.tiny_comparison import cells, config, outcome, run_tiny


def test_no_comparison(tmp_path):
    with pytest.raises(FxtradeError, match="is not a comparison: .*plan.json cannot be read"):
        run.table(tmp_path, Console(quiet=True))
    for name in ("report.md", "config.json"):  # of a run
        (tmp_path / name).touch()
    with pytest.raises(FxtradeError, match="is not a comparison: .*plan.json cannot be read"):
        run.table(tmp_path, Console(quiet=True))


def test_a_report_alone(tmp_path):
    """As git keeps it."""
    (tmp_path / "report.md").touch()
    with pytest.raises(FxtradeError, match=f"only the report .* without plan.json, .*--run {tmp_path.name} computes"):
        run.table(tmp_path, Console(quiet=True))


def test_what_no_cell_can_do_is_found_before_the_first(tmp_path, trained):
    with pytest.raises(FxtradeError, match="loss 'focal' has no option 'gama'; did you mean 'gamma'"):
        own = {"focal": {"loss": {"name": "focal", "options": {"gama": 1.0}}}}
        run_tiny(tmp_path / "results", {"recipe_changes": own})
    assert trained == [] and not (tmp_path / "results").exists()


def test_another_process_computes_the_same_cells(tmp_path, trained):
    folder = tmp_path / "tiny"
    with lock(folder, (1, 2)):
        for shard in ((1, 2), (1, 1)):
            with pytest.raises(FxtradeError, match="another process computes cells of shard"):
                run_tiny(tmp_path, shard=shard)
    assert trained == [] and [p.name for p in folder.iterdir() if not p.name.startswith(".lock")] == []


@pytest.mark.slow
def test_training_that_diverges_is_a_result(tmp_path, trained, monkeypatch):
    original = training.train

    def diverge(config, *rest, **options):
        if config.loss.name == "focal":
            raise TrainingError("the loss is not finite at step 3")
        return original(config, *rest, **options)

    monkeypatch.setattr(training, "train", diverge)
    folder = run_tiny(tmp_path, {"models": ("tcn",)})
    assert cells(folder)["tcn", "focal"].error == "the loss is not finite at step 3"
    assert "tcn, focal: the loss is not finite at step 3" in (folder / "report.md").read_text()
    assert outcome(folder).recipes == () and len(read(tmp_path)) == 1
    trained.clear()
    run_tiny(tmp_path, {"models": ("tcn",)})
    assert trained == []


def test_on_the_command_line():
    process = tiny.python("scripts/comparison.py", "--config=configs/comparison.py:sim", "--config.budgt=1")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err == f"error: config has no key 'budgt'{registry.nearest('budgt', registry.to_dict(config()))}\n"


def test_an_earlier_run_that_does_not_exist_is_refused_before_any_training(tmp_path, monkeypatch):
    def refuse(*args):
        raise AssertionError("trained")

    monkeypatch.setattr(training, "train", refuse)
    with pytest.raises(FxtradeError, match="is not a run"):
        run_tiny(tmp_path, {"recipe_changes": {"focal": {"train": {"init_from": str(tmp_path / "nowhere")}}}})
