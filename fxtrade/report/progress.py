"""Progress for people: bars with rate and remaining time, and lines that stay."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Console:
    """Everything a run says. On a terminal bars move; in a pipe or log file only lines are printed."""

    def __init__(self, quiet: bool = False, file=None):
        self.rich = Rich(file=file or sys.stdout, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.rich.print(text, markup=False)

    @contextlib.contextmanager
    def task(self, title: str) -> Iterator[None]:
        """Something of unknown length."""
        with self._progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
            progress.add_task(title)
            yield

    @contextlib.contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar over `total` units; yields a function to call with the number just done."""
        rate = TextColumn("{task.fields[rate]}")
        with self._progress(*_columns(), rate) as progress:
            task, began, done = progress.add_task(title, total=total, rate=""), time.perf_counter(), 0

            def tick(count: int) -> None:
                nonlocal done
                done += count
                speed = done / max(time.perf_counter() - began, 1e-9)
                progress.update(task, completed=done, rate=f"{speed:,.0f} {unit}/s")

            yield tick

    @contextlib.contextmanager
    def training(self, title: str, steps: int) -> Iterator[TrainingBar]:
        """A bar over training steps that prints a line at each evaluation."""
        with self._progress(*_columns(), TextColumn("{task.fields[rate]}")) as progress:
            yield TrainingBar(self, progress, progress.add_task(title, total=steps, rate="compiling"), title)

    def _progress(self, *columns) -> Progress:
        return Progress(*columns, console=self.rich, transient=True, disable=not self.rich.is_terminal)


class TrainingBar:
    """Where `train.loop.fit` reports to."""

    def __init__(self, console: Console, progress: Progress, task, title: str):
        self._console, self._progress, self._task, self._title = console, progress, task, title
        self._labels, self._since = 0, None

    def advance(self, step: int, labels: int, message: str = "") -> None:
        now = time.perf_counter()
        if self._since is None:  # the first dispatch compiled: its time says nothing about the rate
            self._since = now
        else:
            self._labels += labels
        speed = f"{self._labels / (now - self._since):,.0f} samples/s" if self._labels else ""
        self._progress.update(self._task, completed=step, rate=speed)
        if message:
            self._console.say(f"{self._title}: {message}")


def _columns() -> tuple:
    return TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn()
