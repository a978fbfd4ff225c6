"""Progress on the terminal: bars with rate and remaining time, and lines of text."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fxtrade.train.callbacks import Callbacks, Evaluation


class Console:
    """Output of a run. A terminal shows progress bars; a pipe or log file gets lines only."""

    def __init__(self, quiet: bool = False, file=None):
        self.rich = Rich(file=file or sys.stdout, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.rich.print(text, markup=False)

    @contextlib.contextmanager
    def task(self, title: str) -> Iterator[None]:
        """Show a task of unknown length."""
        with self._progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
            progress.add_task(title)
            yield

    @contextlib.contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show a bar over `total` units; yield a function to call with the number just done."""
        rate = TextColumn("{task.fields[rate]}")
        with self._progress(*_columns(), rate) as progress:
            task, began, done = progress.add_task(title, total=total, rate=""), time.perf_counter(), 0

            def on_progress(count: int) -> None:
                nonlocal done
                done += count
                speed = done / max(time.perf_counter() - began, 1e-9)
                progress.update(task, completed=done, rate=f"{speed:,.0f} {unit}/s")

            yield on_progress

    @contextlib.contextmanager
    def training(self, title: str, steps: int) -> Iterator[Callbacks]:
        """Show a bar over training steps and a line at each evaluation; yield the callbacks of `train.loop.fit`."""
        with self._progress(*_columns(), TextColumn("{task.fields[rate]}")) as progress:
            task, began, done = progress.add_task(title, total=steps, rate="compiling"), None, 0

            def on_progress(step: int, labels: int) -> None:
                nonlocal began, done
                now = time.perf_counter()
                if began is None:  # the first dispatch includes compilation
                    began = now
                else:
                    done += labels
                rate = f"{done / (now - began):,.0f} samples/s" if done else ""
                progress.update(task, completed=step, rate=rate)

            yield Callbacks(on_progress, lambda evaluation: self.say(f"{title}: {evaluation_line(evaluation)}"))

    def _progress(self, *columns) -> Progress:
        return Progress(*columns, console=self.rich, transient=True, disable=not self.rich.is_terminal)


def evaluation_line(e: Evaluation) -> str:
    """Format an evaluation as a line of text."""
    rate = f"  {e.labels_per_second:,.0f} samples/s" if math.isfinite(e.labels_per_second) else ""
    return (
        f"step {e.step}/{e.steps}  train loss {e.train_loss:.4f}  valid loss {e.valid_loss:.4f}  "
        f"valid accuracy {100 * e.valid_accuracy:.2f} %{rate}{'  best' if e.best else ''}"
    )


def _columns() -> tuple:
    return TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn()
