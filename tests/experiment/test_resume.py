"""A run that is killed or stopped at any moment and resumed ends with the same bits as one that never was."""

from __future__ import annotations

import resource
import signal
import time

import numpy as np
import pytest

from fxtrade.runs import ledger, run_dir
from fxtrade.train.metric_writer import read_metrics
from tests.helpers import tiny
from tests.helpers.run_folder import SPEED

# long enough to be caught in the middle: an evaluation and a checkpoint every few milliseconds of training
LONG = {"train.steps": 120, "train.eval_every": 5, "train.max_to_keep": 2}
LIMIT = 120  # seconds that any one wait may take


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that nothing disturbed, in this process."""
    return tiny.run_tiny(tmp_path_factory.mktemp("straight"), "run", LONG)


def newest(folder) -> int:
    """Step of the last complete checkpoint, 0 without one."""
    return max((int(p.name) for p in folder.glob("checkpoints/last/*") if p.name.isdigit()), default=0)


def writing(folder) -> bool:
    """Whether a checkpoint is being written."""
    return any(folder.glob("checkpoints/*/*.orbax-checkpoint-tmp*"))


def wait(process, until) -> None:
    """Until a condition holds; fails if the process ends before."""
    began = time.monotonic()
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < LIMIT
        time.sleep(0.003)


def start(folder):
    """The run's first start, or its next."""
    if (folder / run_dir.CONFIG).exists():
        return tiny.script("--resume", folder)
    return tiny.script(*tiny.flags(LONG), "--results", folder.parent, "--run", folder.name)


def kill(folder, until) -> None:
    process = start(folder)
    wait(process, until)
    process.kill()
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "report.json").exists(), "the run was over before it was killed"


def finish(folder) -> str:
    process = start(folder)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return out


def assert_same(folder, straight) -> None:
    """Every checkpoint, metric and result is that of the undisturbed run; nothing is there twice or missing."""
    assert newest(folder) == 120
    for kind in ("last", "best"):
        steps = {p.name for p in (straight / "checkpoints" / kind).iterdir()}
        assert {p.name for p in (folder / "checkpoints" / kind).iterdir() if p.name.isdigit()} == steps
        for step in steps:
            once, again = (arrays(f / "checkpoints" / kind / step) for f in (straight, folder))
            assert once.keys() == again.keys() and len(once) > 20
            for name in once:
                np.testing.assert_array_equal(once[name], again[name], err_msg=f"{kind} {step} {name}")
    rows = read_metrics(folder / "metrics.jsonl")
    assert [r["step"] for r in rows] == list(range(5, 125, 5))
    expected = {r["step"]: r for r in read_metrics(straight / "metrics.jsonl")}
    for row in rows:
        for key in row.keys() - {SPEED}:
            assert row[key] == expected[row["step"]][key]
    (entry,), (other,) = (ledger.read(f.parent) for f in (folder, straight))
    assert entry.metrics["accuracy"] == other.metrics["accuracy"] and entry.config_hash == other.config_hash


def arrays(step) -> dict[str, np.ndarray]:
    """All that a checkpoint holds, by name."""
    import jax
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        state = checkpointer.restore(step.resolve() / "state")
    return {jax.tree_util.keystr(path): np.asarray(a) for path, a in jax.tree_util.tree_leaves_with_path(state)}


def stop(folder, number, until) -> None:
    process = start(folder)
    wait(process, until)
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in out + err
    step = newest(folder)
    assert f"stopped at step {step} and saved; resume with: python scripts/train.py --resume {folder}" in err
    assert step < 120 and not (folder / "report.json").exists()


@pytest.mark.filterwarnings("ignore::UserWarning")  # orbax: restored without a target, which is what is meant here
class TestDisturbed:
    @pytest.mark.slow
    def test_killed_and_stopped_in_steps_and_in_checkpoints(self, tmp_path, straight):
        folder, rng = tmp_path / "run", np.random.default_rng(0)
        goals = iter(rng.integers([10, 35, 55, 75], [25, 45, 65, 85]))

        def later(busy=False):
            goal = next(goals)
            return lambda: newest(folder) >= goal and (writing(folder) or not busy)

        kill(folder, later())
        stop(folder, signal.SIGTERM, later())
        kill(folder, later(busy=True))
        stop(folder, signal.SIGINT, later())
        finish(folder)
        assert_same(folder, straight)

    @pytest.mark.slow
    def test_a_dozen_times_at_random_moments(self, tmp_path, straight):
        """Also before the first checkpoint, while the config or the best checkpoint is written, and while it starts."""
        folder, rng = tmp_path / "run", np.random.default_rng(1)
        kills = 0
        for _ in range(12):
            if newest(folder) >= 110:
                break
            process = start(folder)
            before = newest(folder)
            # half of them a random time into the start, half of them after a random number of further steps
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0, 4))
            else:
                goal, busy = before + rng.integers(1, 15), rng.random() < 0.5
                wait(process, lambda g=goal, b=busy: newest(folder) >= g and (writing(folder) or not b))
            process.kill()
            process.communicate(timeout=LIMIT)
            kills += process.returncode == -signal.SIGKILL
            if process.returncode == 0:
                break
        assert kills >= 6
        if not (folder / "report.json").exists():
            finish(folder)
        assert_same(folder, straight)

    @pytest.mark.slow
    def test_a_full_disk(self, tmp_path, straight):
        """No standstill: an error that says what to do, and that works."""
        folder = tmp_path / "run"

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

        process = tiny.script(*tiny.flags(LONG), "--results", tmp_path, "--run", "run", preexec_fn=small_files)
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 1
        assert err.splitlines()[-1].startswith("error: ") and "make room" in err.splitlines()[-1]
        assert 0 < newest(folder) < 120
        finish(folder)
        assert_same(folder, straight)

    @pytest.mark.slow
    def test_after_training_it_stops_at_once_and_goes_on_from_there(self, tmp_path):
        """While the null baseline is trained, which takes most of the time."""
        folder = tmp_path / "run"
        changes = {
            "report.null_baseline": True,
            "train.steps": 20_000,
            "train.eval_every": 20_000,
            "train.steps_per_call": 100,
        }
        process = tiny.script(*tiny.flags(changes), "--results", tmp_path, "--run", "run")
        wait(process, lambda: newest(folder) == 20_000)
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGTERM, err
        assert f"stopped at step 20000 and saved; resume with: python scripts/train.py --resume {folder}" in err
        assert "Traceback" not in out + err
        assert not (folder / "report.json").exists() and ledger.read(tmp_path) == []
