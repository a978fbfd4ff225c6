from __future__ import annotations

import io

import pytest

from fxtrade.report.progress import Console


@pytest.fixture
def pipe():
    return io.StringIO()


def test_in_a_pipe_only_lines_are_printed(pipe):
    console = Console(file=pipe)
    console.say("first [bold]not markup[/bold]")
    with console.task("reading"):
        pass
    with console.bar("features", 100, "bars") as tick:
        tick(60)
        tick(40)
    with console.training("training", 10) as bar:
        bar.advance(5, 64)
        bar.advance(10, 64, "step 10/10")
    assert pipe.getvalue().splitlines() == ["first [bold]not markup[/bold]", "training: step 10/10"]


def test_long_lines_are_not_broken(pipe):
    Console(file=pipe).say("x" * 500)
    assert pipe.getvalue() == "x" * 500 + "\n"


def test_quiet_says_nothing(pipe):
    console = Console(quiet=True, file=pipe)
    console.say("hello")
    with console.training("training", 10) as bar:
        bar.advance(10, 64, "step 10/10")
    assert pipe.getvalue() == ""


def test_an_error_inside_passes_through(pipe):
    console = Console(file=pipe)
    with pytest.raises(ZeroDivisionError), console.bar("features", 10, "bars"):
        raise ZeroDivisionError
