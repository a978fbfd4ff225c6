"""Handling of Ctrl-C and SIGTERM: training finishes its step, saves and stops."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupt:
    """Within this context the first SIGINT or SIGTERM only sets `signal`; a second one acts as usual.

    With `at_once` the first one also raises KeyboardInterrupt, for work that has nothing to save. Only the main thread
    receives signals; elsewhere the context does nothing.
    """

    def __init__(self, at_once: bool = False):
        self.signal: int | None = None
        self._at_once = at_once
        self._previous: dict = {}

    def should_stop(self) -> bool:
        """Return whether a signal has arrived."""
        return self.signal is not None

    def __enter__(self) -> Interrupt:
        try:
            self._previous = {s: signal.signal(s, self._request) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:
            pass
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()
        if self._at_once:
            raise KeyboardInterrupt

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
