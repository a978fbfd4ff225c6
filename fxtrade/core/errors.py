"""Errors for the user. Each message states what is wrong, where, and what to do."""


class FxtradeError(Exception):
    """Base of every error that fxtrade raises on purpose; scripts print it without a traceback."""


class DataError(FxtradeError):
    """Input data violate the contract of `Bars`; the message names file, column and row."""


class ConfigError(FxtradeError):
    """A config names something that does not exist or has the wrong type."""


class CheckpointError(FxtradeError):
    """A checkpoint cannot be written, is damaged, or belongs to another run."""


class Interrupted(FxtradeError):
    """A signal stopped the program. Finished work is saved, and the message says how to resume."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


class TrainingError(FxtradeError):
    """Training cannot continue, for example because the loss is not finite."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank, or the error's type if there is none."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:300]
