from __future__ import annotations

import io

import pytest

from fxtrade.report.progress import Console, evaluation_line
from fxtrade.train.callbacks import Evaluation

LAST = Evaluation(10, 10, 0.51234, 0.5, 1.0, 1e-3, 1234.5, 0.6, 0.5551, True)


@pytest.fixture
def pipe():
    return io.StringIO()


def test_in_a_pipe_only_lines_are_printed(pipe):
    console = Console(file=pipe)
    console.say("first [bold]not markup[/bold]")
    with console.task("reading"):
        pass
    with console.bar("features", 100, "bars") as on_progress:
        on_progress(60)
        on_progress(40)
    with console.training("training", 10) as bar:
        bar.on_progress(5, 64)
        bar.on_evaluation(LAST)
        bar.on_progress(10, 64)
        assert not bar.should_stop()
    line = "training: step 10/10  train loss 0.5123  valid loss 0.6000  valid accuracy 55.51 %  1,234 samples/s  best"
    assert pipe.getvalue().splitlines() == ["first [bold]not markup[/bold]", line]


def test_a_line_without_a_speed_that_is_not_the_best():
    line = evaluation_line(LAST._replace(labels_per_second=float("nan"), best=False))
    assert line == "step 10/10  train loss 0.5123  valid loss 0.6000  valid accuracy 55.51 %"


def test_long_lines_are_not_broken(pipe):
    Console(file=pipe).say("x" * 500)
    assert pipe.getvalue() == "x" * 500 + "\n"


def test_quiet_says_nothing(pipe):
    console = Console(quiet=True, file=pipe)
    console.say("hello")
    with console.training("training", 10) as bar:
        bar.on_evaluation(LAST)
    assert pipe.getvalue() == ""


def test_an_error_inside_passes_through(pipe):
    console = Console(file=pipe)
    with pytest.raises(ZeroDivisionError), console.bar("features", 10, "bars"):
        raise ZeroDivisionError
