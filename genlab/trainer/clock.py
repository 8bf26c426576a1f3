"""Measures training time, excluding evaluation, pictures, checkpoints and compilation."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from genlab.trainer import device


class Clock:
    """A stopwatch for training: counts from its creation and stands still inside `pause`.

    Args:
        preparation: returns the seconds spent so far on building graphs during training, which are not counted.
    """

    def __init__(self, where: torch.device, preparation: Callable[[], float] = lambda: 0.0) -> None:
        self.device, self.preparation = where, preparation
        self._prepared = preparation()
        self.began = time.monotonic()  # start of everything, including work that `seconds` leaves out
        self._zero = time.perf_counter()
        self._window = (0, 0.0)  # steps and seconds at the end of the last window

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._zero - (self.preparation() - self._prepared)

    @property
    def minutes_in_all(self) -> float:
        return (time.monotonic() - self.began) / 60

    def rate(self, steps: int) -> float:
        """Returns steps per second since the last call; `steps` counts from the creation of the clock."""
        before, self._window = self._window, (steps, self.seconds)
        return (steps - before[0]) / max(self._window[1] - before[1], 1e-9)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stops the clock: the time spent in this context does not count as training."""
        device.synchronize(self.device)
        began = time.perf_counter()
        yield
        self._zero += time.perf_counter() - began
