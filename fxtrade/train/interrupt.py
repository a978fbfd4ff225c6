"""Ctrl-C and SIGTERM as a request, so that the loop can finish its step, save and leave."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupt:
    """Within this context the first SIGINT or SIGTERM only sets `signal`; a second one acts as usual.

    Only the main thread can take signals; elsewhere the context does nothing.
    """

    def __init__(self):
        self.signal: int | None = None
        self._previous: dict = {}

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

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
