from __future__ import annotations

import gc
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fxtrade.core.errors import CheckpointError
from fxtrade.train import checksum
from fxtrade.train.checkpoint import Checkpoints
from fxtrade.train.step import create
from tests.full_disk import largest_file
from tests.helpers.trees import same

WHO = {"model": "wavenet", "columns": ["a", "b"], "label": {"name": "open_to_open", "horizon": 1}, "data": "9f"}
OPTIMIZER = optax.adamw(1e-3)

# orbax's tasks and threads complain for themselves, beside the error that they hand on, once they are collected
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def collected():
    """Before the next module's tests, which are not spared such complaints."""
    yield
    gc.collect()


def state(step: int):
    """A state that differs from step to step."""
    params = {"dense": {"kernel": jax.random.normal(jax.random.PRNGKey(step), (31, 7)), "bias": jnp.arange(5.0) + step}}
    return create(params, OPTIMIZER).replace(step=jnp.asarray(step, jnp.int32))


def saved(folder, steps=(10, 20, 30), best=20, **options) -> Checkpoints:
    checkpoints = Checkpoints(folder, WHO, **options)
    for step in steps:
        checkpoints.save(state(step), {"best": 0.5, "best_step": step, "since_best": 0}, step == best)
    return checkpoints


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    saved(folder).close()
    return folder


@pytest.fixture
def folder(template, tmp_path):
    shutil.copytree(template, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


class TestSaving:
    def test_every_bit_comes_back(self, folder):
        restored, progress = Checkpoints(folder, WHO).restore(state(0))
        assert same(restored, state(30))
        assert jax.tree.structure(restored) == jax.tree.structure(state(0))
        assert progress == {"best": 0.5, "best_step": 30, "since_best": 0}

    def test_the_best_is_kept_beside_the_last_ones(self, tmp_path):
        checkpoints = saved(tmp_path, range(10, 70, 10), best=20, max_to_keep=2)
        assert sorted(p.name for p in (tmp_path / "last").iterdir()) == ["50", "60"]
        assert same(checkpoints.restore(state(0), "best")[0], state(20))
        checkpoints.save(state(70), {}, best=True)
        assert [p.name for p in (tmp_path / "best").iterdir()] == ["70"]

    def test_saving_a_step_twice_changes_nothing(self, folder):
        checkpoints = Checkpoints(folder, WHO)
        checkpoints.save(state(31).replace(step=jnp.asarray(30, jnp.int32)), {}, best=False)
        assert same(checkpoints.restore(state(0))[0], state(30))

    def test_an_infinite_best_survives(self, tmp_path):
        checkpoints = Checkpoints(tmp_path, WHO)
        checkpoints.save(state(5), {"best": float("inf"), "best_step": 0, "since_best": 0}, best=False)
        assert checkpoints.restore(state(0))[1]["best"] == float("inf")

    def test_nothing_to_go_on_from(self, tmp_path):
        checkpoints = Checkpoints(tmp_path, WHO)
        assert checkpoints.latest() is None
        with pytest.raises(CheckpointError, match="no complete checkpoint to resume from"):
            checkpoints.restore(state(0))

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(CheckpointError, match="cannot be written: Not a directory"):
            Checkpoints(tmp_path / "file", WHO)

    @pytest.mark.parametrize("name", ["lr[1]", "a**", "gs:"])
    def test_a_path_that_orbax_takes_for_a_pattern(self, tmp_path, name):
        with pytest.raises(CheckpointError, match="cannot be read in a folder whose path has .*rename it"):
            Checkpoints(tmp_path / name / "checkpoints", WHO)

    def test_what_a_kill_leaves_half_written_is_no_checkpoint(self, folder):
        shutil.copytree(folder / "last" / "30", folder / "last" / "40.orbax-checkpoint-tmp")
        shutil.copytree(folder / "last" / "30", folder / "last" / "40.orbax-checkpoint-tmp-7")
        checkpoints = Checkpoints(folder, WHO)
        assert checkpoints.latest() == 30
        checkpoints.save(state(40), {}, best=False)
        assert same(checkpoints.restore(state(0))[0], state(40))


class TestForeign:
    @pytest.mark.parametrize(
        "change, key",
        [
            ({"model": "tcn"}, "its model is 'wavenet', here it is 'tcn'"),
            ({"columns": ["a", "c"]}, "its columns is"),
            ({"label": {"name": "close_to_close", "horizon": 1}}, "its label is"),
            ({"data": "77"}, "its data is '9f', here it is '77'"),
            ({"symbols": ["BTC"]}, "its symbols is None"),
        ],
    )
    def test_another_run_is_refused_by_name(self, folder, change, key):
        with pytest.raises(CheckpointError, match="belongs to another run") as e:
            Checkpoints(folder, WHO | change).restore(state(0))
        assert key in str(e.value) and str(folder / "last" / "30") in str(e.value)
        assert "start a new run" in str(e.value)

    def test_parameters_of_another_shape_are_refused(self, folder):
        """The code of the model has changed."""
        wider = create({"dense": {"kernel": jnp.zeros((31, 8)), "bias": jnp.zeros(5)}}, OPTIMIZER)
        with pytest.raises(CheckpointError, match="checkpoint .*30 is damaged"):
            Checkpoints(folder, WHO).restore(wider)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 0x10
    path.write_bytes(bytes(content))


SPOIL = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "emptied": lambda p: p.write_bytes(b""),
    "garbled": lambda p: p.write_bytes(np.random.default_rng(0).bytes(p.stat().st_size)),
    "flipped": flip,
    "deleted": lambda p: p.unlink(),
}


class TestDamage:
    @pytest.mark.parametrize("how", SPOIL)
    def test_any_file_is_missed_and_the_step_to_go_back_to_is_named(self, folder, how):
        """Also one flipped bit, which alone would pass for another number."""
        newest = folder / "last" / "30"
        files = [f for f in sorted(newest.rglob("*")) if f.is_file() and f.parent != newest]
        assert len(files) > 5
        for file in files:
            whole = file.read_bytes()
            SPOIL[how](file)
            with pytest.raises(CheckpointError) as e:
                Checkpoints(folder, WHO).restore(state(0))
            message = str(e.value)
            assert "\n" not in message
            assert f"checkpoint {newest} is damaged" in message and file.name in message
            assert "delete that folder to resume from step 20" in message
            file.write_bytes(whole)
        assert same(Checkpoints(folder, WHO).restore(state(0))[0], state(30))

    def test_that_advice_works(self, folder):
        SPOIL["flipped"](folder / "last" / "30" / "meta" / "metadata")
        with pytest.raises(CheckpointError):
            Checkpoints(folder, WHO).restore(state(0))
        shutil.rmtree(folder / "last" / "30")
        assert same(Checkpoints(folder, WHO).restore(state(0))[0], state(20))

    def test_the_only_one(self, folder):
        SPOIL["emptied"](folder / "best" / "20" / "meta" / "metadata")
        with pytest.raises(CheckpointError, match="there is no other; start a new run"):
            Checkpoints(folder, WHO).restore(state(0), "best")

    def test_without_checksums_orbax_still_finds_what_it_can(self, folder):
        """A kill may come between a checkpoint and its checksums: it counts, and is not checked."""
        newest = folder / "last" / "30"
        (newest / checksum.NAME).unlink()
        (newest / "meta" / "metadata").write_text("{")
        with pytest.raises(CheckpointError, match="30 is damaged.*resume from step 20"):
            Checkpoints(folder, WHO).restore(state(0))
        assert not checksum.is_written(newest)

    def test_checksums_that_a_kill_left_out_are_made_up_for(self, folder):
        for kind, step in (("last", 30), ("best", 20)):
            (folder / kind / str(step) / checksum.NAME).unlink()
        checkpoints = Checkpoints(folder, WHO)
        assert same(checkpoints.restore(state(0))[0], state(30))
        assert checksum.is_written(folder / "last" / "30")
        checkpoints.save(state(20), {}, best=True)  # training comes there again
        assert checksum.is_written(folder / "best" / "20") and not checksum.damaged(folder / "best" / "20")


class TestFullDisk:
    @pytest.mark.parametrize("size", [50, 700])
    def test_the_earlier_checkpoint_stays_and_nothing_is_printed(self, folder, size, capfd, caplog):
        checkpoints = Checkpoints(folder, WHO)
        with pytest.raises(CheckpointError) as e, largest_file(size):
            checkpoints.save(state(40), {}, best=False)
        message = str(e.value)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err and not caplog.records
        assert f"cannot write checkpoint {folder / 'last' / '40'}" in message and "make room" in message
        assert f"resume from step 30 with --resume {folder.parent}" in message
        again = Checkpoints(folder, WHO)
        assert again.latest() == 30
        assert same(again.restore(state(0))[0], state(30))
        again.save(state(40), {}, best=True)
        for kind in ("last", "best"):
            assert same(again.restore(state(0), kind)[0], state(40))
