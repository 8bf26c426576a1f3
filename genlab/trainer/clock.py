"""How long training took, without what is done beside it: evaluation, pictures, checkpoints."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genlab.trainer import device


class Clock:
    """Seconds of training since it was made; stands still inside `pause`."""

    def __init__(self, where: torch.device) -> None:
        self.device = where
        self.began = time.monotonic()  # of everything, side work as well
        self._zero = time.perf_counter()
        self._window = (0, 0.0)  # steps and seconds where the last window ended

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._zero

    @property
    def minutes_in_all(self) -> float:
        return (time.monotonic() - self.began) / 60

    def rate(self, steps: int) -> float:
        """Steps a second since the last call, `steps` being those since the clock was made."""
        before, self._window = self._window, (steps, self.seconds)
        return (steps - before[0]) / max(self._window[1] - before[1], 1e-9)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time that is not training."""
        device.synchronize(self.device)
        began = time.perf_counter()
        yield
        self._zero += time.perf_counter() - began
