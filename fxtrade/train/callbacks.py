"""Callbacks by which training reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Evaluation(NamedTuple):
    """Scores after `step` of `steps` steps; training scores are means since the last evaluation."""

    step: int
    steps: int
    train_loss: float
    train_accuracy: float
    grad_norm: float
    learning_rate: float  # of the last step
    labels_per_second: float  # of training so far, nan before it is known
    valid_loss: float
    valid_accuracy: float
    best: bool  # whether the validation loss is the lowest so far

    def scalars(self) -> dict[str, float]:
        """Return the scalars of `metrics.jsonl` and TensorBoard, by name."""
        return {
            "train/loss": self.train_loss,
            "train/accuracy": self.train_accuracy,
            "train/grad_norm": self.grad_norm,
            "train/learning_rate": self.learning_rate,
            "train/labels_per_second": self.labels_per_second,
            "valid/loss": self.valid_loss,
            "valid/accuracy": self.valid_accuracy,
        }


class Callbacks(NamedTuple):
    """Functions that `train.loop.fit` calls; by default they do nothing."""

    on_progress: Callable[[int, int], None] = lambda step, labels: None  # after each dispatch
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None  # when its checkpoint has been saved
    should_stop: Callable[[], bool] = lambda: False  # before each dispatch; True saves and ends training


NO_CALLBACKS = Callbacks()
