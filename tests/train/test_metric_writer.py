from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from fxtrade.core.errors import FxtradeError
from fxtrade.train.callbacks import Evaluation
from fxtrade.train.metric_writer import TAGS, MetricWriter, read_metrics
from tests.full_disk import largest_file


def values(step: int) -> dict[str, float]:
    return {"train/loss": 1.0 / step, "valid/loss": float(np.float32(0.1) * step)}


@contextlib.contextmanager
def written(folder, steps=(10, 20, 30), **options):
    with contextlib.closing(MetricWriter(folder, **options)) as writer:
        for step in steps:
            writer.scalars(step, values(step))
            writer.histograms(step, {"dense": {"kernel": np.full((2, 3), step, np.float32)}})
        yield writer


def finished(folder, **options):
    with written(folder, **options):
        pass


def events(folder):
    """What TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    return shown.Reload()


class TestMetrics:
    def test_each_evaluation_is_a_line(self, tmp_path):
        expected = [{"step": s, **values(s)} for s in (10, 20, 30)]
        with written(tmp_path) as writer:
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            assert (
                [json.loads(line) for line in lines]
                == expected
                == writer.rows
                == read_metrics(tmp_path / "metrics.jsonl")
            )

    def test_what_is_not_a_number_is_left_out(self, tmp_path):
        with written(tmp_path, ()) as writer:
            writer.scalars(10, {"a": float("nan"), "b": float("inf"), "c": np.float32(0.5)})
        assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 10, "c": 0.5}]

    @pytest.mark.parametrize("at, kept", [(0, []), (15, [10]), (20, [10, 20]), (99, [10, 20, 30])])
    def test_resuming_forgets_what_came_after(self, tmp_path, at, kept):
        finished(tmp_path)
        with written(tmp_path, (), resume_step=at) as writer:
            assert [r["step"] for r in writer.rows] == kept
            writer.scalars(100, values(100))
        assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [*kept, 100]

    def test_a_new_run_begins_empty(self, tmp_path):
        finished(tmp_path)
        with written(tmp_path, ()) as writer:
            assert writer.rows == [] and read_metrics(tmp_path / "metrics.jsonl") == []

    @pytest.mark.parametrize("cut", [1, 10, 30])
    def test_a_line_that_a_kill_cut_short_is_left_out(self, tmp_path, cut):
        finished(tmp_path)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text()[:-cut])
        assert [r["step"] for r in read_metrics(path)] == ([10, 20, 30] if cut == 1 else [10, 20])

    def test_no_file_has_no_rows(self, tmp_path):
        assert read_metrics(tmp_path / "none.jsonl") == []


class TestEvents:
    def test_tensorboard_shows_everything(self, tmp_path):
        picture = np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8)
        config = {"seed": 1, "model": {"name": "tcn", "options": {}}, "on": True, "list": (1, 2)}
        with written(tmp_path) as writer:
            writer.image("equity", picture, 30)
            writer.text("report", "# all *well*", 30)
            writer.hparams(config, {"a": 0.5, "b": float("nan")})
        shown = events(tmp_path)
        assert [(e.step, e.value) for e in shown.Scalars("loss/train")] == [
            (s, pytest.approx(values(s)["train/loss"])) for s in (10, 20, 30)
        ]
        histogram = shown.Histograms("params/dense/kernel")
        assert [h.step for h in histogram] == [10, 20, 30]
        assert all(h.histogram_value.min == h.step and h.histogram_value.num == 6 for h in histogram)
        image = shown.Images("equity")[0]
        assert (image.width, image.height) == (6, 4)
        assert "report/text_summary" in shown.Tags()["tensors"]
        assert shown.Scalars("test/a")[0].value == 0.5
        plugins = {e.tag for e in shown.summary_metadata.values() if hasattr(e, "tag")} | set(shown.summary_metadata)
        assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= plugins

    def test_losses_come_first(self, tmp_path):
        evaluation = Evaluation(10, 20, *(0.5,) * 7, best=True)
        with written(tmp_path, ()) as writer:
            writer.scalars(10, evaluation.scalars())
            writer.hparams({"seed": 1}, {"accuracy": 0.5})
        tags = events(tmp_path).Tags()["scalars"]
        assert sorted(tags)[:2] == ["loss/train", "loss/valid"] and len(tags) == len(evaluation.scalars()) + 1
        assert TAGS.keys() == evaluation.scalars().keys()

    def test_hparams_of_all_runs_are_columns(self, tmp_path):
        """As TensorBoard's plugin itself finds them; runs have the names of their folders."""
        from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        from tensorboard.context import RequestContext
        from tensorboard.plugins.base_plugin import TBContext
        from tensorboard.plugins.hparams.backend_context import Context

        configs = {
            "first": {"model": {"name": "tcn"}, "seed": 0},
            "second": {"model": {"name": "lru"}, "seed": 0, "x": 1},
        }
        for name, config in configs.items():
            with written(tmp_path / name) as writer:
                writer.hparams(config, {"accuracy": 0.5})
        shown = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
        context = Context(TBContext(data_provider=MultiplexerDataProvider(shown, str(tmp_path))))
        request = RequestContext()
        found = context.hparams_metadata(request, "")
        assert found.keys() == configs.keys()
        provided = context.hparams_from_data_provider(request, "", None)
        columns = context.experiment_from_metadata(request, "", True, found, provided).hparam_infos
        assert {column.name: column.differs for column in columns} == {"model.name": True, "seed": False, "x": False}

    def test_it_is_on_disk_at_once(self, tmp_path):
        """A kill right after an evaluation loses nothing of it."""
        with written(tmp_path):
            assert [e.step for e in events(tmp_path).Scalars("loss/valid")] == [10, 20, 30]

    def test_after_resuming_each_step_is_shown_once(self, tmp_path, monkeypatch):
        finished(tmp_path)
        import tensorboardX.event_file_writer as events_file

        later = events_file.time.time() + 60  # events files are named by the second
        monkeypatch.setattr(events_file.time, "time", lambda: later)
        finished(tmp_path, steps=(20, 30, 40), resume_step=10)
        assert [e.step for e in events(tmp_path).Scalars("loss/train")] == [10, 20, 30, 40]


class TestTrouble:
    def test_a_file_in_place_of_the_folder(self, tmp_path):
        (tmp_path / "run").write_text("in the way")
        with pytest.raises(FxtradeError, match="cannot be written: Not a directory.*--results"):
            MetricWriter(tmp_path / "run")

    def test_a_full_disk_is_an_error_and_not_a_standstill(self, tmp_path):
        writer = MetricWriter(tmp_path)
        with pytest.raises(FxtradeError, match="cannot be written: File too large; make room"), largest_file(3_000):
            for step in range(1, 200):
                writer.scalars(step, values(step))
                writer.histograms(step, {"kernel": np.random.default_rng(step).normal(size=100)})
        rows = read_metrics(tmp_path / "metrics.jsonl")
        assert [r["step"] for r in rows] == list(range(1, len(rows) + 1)) and len(rows) > 1
        writer.close()
