"""Handlers for SIGINT and SIGTERM that the training loop polls after each step."""

import signal
from typing import Any


class Signals:
    """On SIGINT or SIGTERM, asks the loop to finish its step and stop; a second SIGINT quits immediately."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def received(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def __enter__(self) -> "Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
