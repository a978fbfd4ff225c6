"""Training that starts from an earlier run or from pre-training, or runs over folds."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest

from fxtrade.core.errors import ConfigError
from fxtrade.core.files import write_json
from fxtrade.core.types import Split
from fxtrade.pipeline import dataset, training, warm_start
from fxtrade.pipeline.build import build_model
from fxtrade.pipeline.warm_start import load_initial_params
from fxtrade.runs import run_dir
from fxtrade.runs.record import Period, RunRecord, Spans
from fxtrade.train.optim import HEADS
from tests.experiment.test_run import best, files, metrics
from tests.helpers import tiny
from tests.helpers.trees import close, same


def prepared(changes=None):
    config = tiny.config(changes)
    return config, dataset.prepare(config, dataset.load(config.data))


class TestFromAnEarlierRun:
    def test_its_best_weights_are_where_training_starts(self, finished):
        config, data = prepared({"train.init_from": str(finished)})
        start = load_initial_params(config, data)
        assert same(start, best(finished)[2])
        still = dataclasses.replace(config, optim=dataclasses.replace(config.optim, learning_rate=1e-30))
        done = training.train_all_stages(still, data, start)
        close(done.fit.params, start, rtol=1e-5, atol=1e-7)

    @pytest.mark.slow
    def test_by_another_loss(self, finished, tmp_path):
        """What it is for: cross-entropy first, then what the forecasts would earn."""
        changes = {
            "train.init_from": str(finished),
            "loss.name": "sharpe",
            "train.steps": 10,
            "train.trainable": "heads",
        }
        folder = tiny.run_tiny(tmp_path, "fine", changes)
        before, after = best(finished)[2], best(folder)[2]
        assert not same(before[HEADS], after[HEADS])
        assert all(same(before[name], after[name]) for name in before if name != HEADS)
        assert json.loads((folder / "report.json").read_text())["config"]["train"]["init_from"] == str(finished)

    @pytest.mark.slow
    def test_members_start_from_one(self, finished):
        config, data = prepared({"train.init_from": str(finished), "train.ensemble.size": 2})
        start = load_initial_params(config, data)
        for i in range(2):
            assert same(jax.tree.map(lambda a: a[i], start), best(finished)[2])  # noqa: B023

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"model.options.channels": 5}, "the model_options of that run is .*'channels': '4'"),
            ({"data.synth.assets": 3}, "the symbols of that run is"),
            ({"auxiliary.volatility": 1.0}, "the head_spec of that run is"),
            ({"scaler.halflife": 60.0}, "the scaler of that run is .*halflife=50"),
            ({"features.log_return.horizons": (1, 2)}, "the features of that run is"),
            ({"split.valid_fraction": 0.3}, "labels of the train span of that run reach .* but here valid begins"),
            (
                {"split.test_fraction": 0.2},
                "labels of the (train|valid) span of that run reach .* its weights depend on rows that evaluate them",
            ),
        ],
    )
    def test_another_network_or_rows_that_are_to_judge_it(self, finished, changes, message):
        config, data = prepared({"train.init_from": str(finished), **changes})
        with pytest.raises(ConfigError, match=message):
            load_initial_params(config, data)

    @pytest.mark.slow
    def test_other_members(self, finished, tmp_path):
        two = tiny.run_tiny(tmp_path, "two", {"train.ensemble.size": 2, "train.steps": 10})
        config, data = prepared({"train.init_from": str(two), "train.ensemble.size": 3})
        with pytest.raises(ConfigError, match="that run has 2 members, here train.ensemble.size is 3"):
            load_initial_params(config, data)

    def test_no_run(self, tmp_path):
        with pytest.raises(ConfigError, match="is not a run"):
            tiny.run_tiny(tmp_path, "fine", {"train.init_from": str(tmp_path / "nowhere")})

    def test_a_record_of_an_earlier_version(self, copy):
        facts = json.loads((copy / run_dir.RECORD).read_text())
        del facts["version"]
        write_json(copy / run_dir.RECORD, facts)
        config, data = prepared({"train.init_from": str(copy)})
        with pytest.raises(ConfigError, match=r"train.init_from = .*run.json is damaged or of an older version"):
            load_initial_params(config, data)

    def test_the_times_of_the_run_that_it_started_from_are_its_own_too(self, copy):
        record = RunRecord.read(copy / run_dir.RECORD)
        long_ago = Period(5, 6)
        spans = dataclasses.replace(record.spans, train=(*record.spans.train, long_ago))
        dataclasses.replace(record, spans=spans).write(copy / run_dir.RECORD)
        config, data = prepared({"train.init_from": str(copy)})
        assert warm_start.spans(config, data) == spans


class TestTimes:
    """Labels that an earlier run learnt from end before the rows that evaluate its weights begin, to the nanosecond."""

    @staticmethod
    def check(data, train=(), valid=()):
        periods = [tuple(Period(int(first), int(last)) for first, last in span) for span in (train, valid)]
        warm_start._check_times(Spans(*periods, ()), data, "run")

    def test_the_record_holds_where_labels_and_their_weights_end(self):
        config, data = prepared({"label.horizon": 20})
        made = warm_start.spans(config, data)
        last = np.flatnonzero(data.split.train)[-1]
        assert made.train == (Period(int(data.panel.times[np.argmax(data.split.train)]), made.train[0].last),)
        assert made.train[0].last >= data.panel.times[last + 1 + 20 + 19]
        assert made.train[0].last < data.panel.times[np.argmax(data.split.valid)]
        self.check(data, [dataclasses.astuple(made.train[0])], [dataclasses.astuple(made.valid[0])])

    @pytest.mark.parametrize("interval", ["1h", "1s"])
    def test_a_label_that_ends_with_the_first_row_of_a_later_span(self, interval):
        _, data = prepared({"data.synth.interval": interval})
        valid, test = (data.panel.times[np.argmax(span)] for span in (data.split.valid, data.split.test))
        self.check(data, [(0, valid - 1)], [(0, test - 1)])
        for spans, message in (
            ({"train": [(0, valid)]}, "the train span .* but here valid begins"),
            ({"train": [(test, test)]}, "the train span .* but here test begins"),
            ({"valid": [(0, test)]}, "the valid span .* but here test begins"),
        ):
            with pytest.raises(ConfigError, match=message):
                self.check(data, **spans)

    def test_nothing_after_the_end_of_the_test_span(self):
        """Weights of the future are no forecasts of the past."""
        _, data = prepared()
        later = data.panel.times[-1] + 1
        with pytest.raises(ConfigError, match="here test begins"):
            self.check(data, [(later, later)])

    def test_spans_need_not_be_contiguous(self):
        config, data = prepared()
        rows = np.arange(len(data.panel.times))
        split = Split((rows < 300) | (rows >= 700), (rows >= 310) & (rows < 500), (rows >= 510) & (rows < 690))
        made = warm_start.spans(config, data._replace(split=split))
        assert len(made.train) == 2
        both = [dataclasses.astuple(period) for period in made.train]
        self.check(data._replace(split=split), both)
        times = data.panel.times
        with pytest.raises(ConfigError, match="here test begins"):
            self.check(data._replace(split=split), [*both, (times[695], times[696])])


PRETRAINED = {"pretrain.name": "simclr", "pretrain.steps": 20, "train.steps": 20}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A pre-trained run that nothing disturbed."""
    return tiny.run_tiny(tmp_path_factory.mktemp("results"), "run", PRETRAINED)


@pytest.mark.slow
class TestPretraining:
    def test_it_leaves_its_own_record(self, straight):
        events, *others = sorted(files(straight / "pretrain"), key=lambda name: not name.startswith("events.out."))
        assert events.startswith("events.out.tfevents.") and set(others) == {"checkpoints", "metrics.jsonl"}
        rows = metrics(straight / "pretrain")
        assert [row["step"] for row in rows] == [10, 20] and all(0 < row["valid/loss"] < 6 for row in rows)

    @pytest.mark.parametrize("name", ["simclr", "ts2vec", "supcon"])
    def test_what_is_below_the_heads_has_been_trained_and_the_heads_are_fresh(self, name):
        config, data = prepared({**PRETRAINED, "pretrain.name": name})
        params = training.pretrain(config, data)
        (series, _), _ = training.spans(config, data, build_model(config))
        untrained = training.init_params(build_model(config), series, config.seed)
        assert jax.tree.structure(params) == jax.tree.structure(untrained)
        assert same(params[HEADS], untrained[HEADS]) and not same(params["gate0"], untrained["gate0"])

    def test_members_are_pretrained_each(self):
        config, data = prepared({**PRETRAINED, "train.ensemble.size": 2})
        params = training.pretrain(config, data)
        gates = params["gate0"]["kernel"]
        assert gates.shape[0] == 2 and not np.array_equal(gates[0], gates[1])
        assert training.train(config, data, params).fit.step == 20

    def test_it_starts_from_given_weights_and_keeps_their_heads(self):
        config, data = prepared({**PRETRAINED, "optim.learning_rate": 1e-30})
        given = training.train(config, data).fit.params
        params = training.pretrain(config, data, given)
        assert same(params[HEADS], given[HEADS])
        close(params, given, rtol=1e-5, atol=1e-7)

    def test_a_linear_probe_leaves_it_alone(self):
        config, data = prepared({**PRETRAINED, "train.trainable": "heads"})
        start = training.pretrain(config, data)
        done = training.train(config, data, start)
        for name, part in done.fit.params.items():
            assert same(part, start[name]) != (name == HEADS)

    def test_stopped_within_it_and_resumed_it_ends_with_the_same_bits(self, straight, tmp_path, monkeypatch):
        real = training.fit

        def stopping(*args):
            *rest, callbacks = args

            def on_progress(step, labels):
                if step == 10:
                    os.kill(os.getpid(), signal.SIGTERM)

            return real(*rest, callbacks._replace(on_progress=on_progress))

        monkeypatch.setattr(training, "fit", stopping)
        with pytest.raises(Exception, match="stopped at step 10 and saved"):
            tiny.run_tiny(tmp_path, "run", PRETRAINED)
        monkeypatch.setattr(training, "fit", real)
        again = tiny.resume(tmp_path / "run")
        assert same(best(again)[2], best(straight)[2])
        assert metrics(again / "pretrain") == metrics(straight / "pretrain")

    def test_not_both(self):
        with pytest.raises(
            ConfigError, match="train.init_from and pretrain.name cannot both be set: each provides the initial weights"
        ):
            tiny.config({**PRETRAINED, "train.init_from": "results/x"})


@pytest.mark.slow
class TestFolds:
    CHANGES = {"train.ensemble.size": 3, "train.ensemble.method": "folds", "train.steps": 10}

    def test_a_member_never_sees_its_fold(self, panel):
        """With other labels within the fold of a member that member stays the same, to the bit, and the others move."""
        config, data = prepared(self.CHANGES)
        inside = np.array_split(np.flatnonzero(data.split.train), 3)[1]
        y = data.labels.y.copy()
        y[inside] = np.where(y[inside] >= 0, 1 - y[inside], -1)
        other = data._replace(labels=data.labels.replace(y=y))
        a, b = (training.train(config, d).fit.params for d in (data, other))
        for i in range(3):
            one, two = (jax.tree.map(lambda p: p[i], params) for params in (a, b))  # noqa: B023
            assert same(one, two) == (i == 1)

    def test_seeds_differ_too(self):
        config, data = prepared(self.CHANGES)
        kernels = training.train(config, data).fit.params["gate0"]["kernel"]
        assert not np.array_equal(kernels[0], kernels[2])

    def test_one_member_has_no_folds(self):
        with pytest.raises(ConfigError, match="at least 2, one for each fold"):
            tiny.config({**self.CHANGES, "train.ensemble.size": 1})
