"""Ways to look into a training that goes wrong or slowly: one batch again and again, NaN hunting, a profile.

Switched on by `trainer.overfit_batches`, `trainer.anomaly` and `trainer.profile`, or the presets of `debug=`. With all
of them off nothing here costs anything.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from genlab.data.base import Batch, Stream
from genlab.trainer.options import Options

BatchSource = Callable[..., Batch]  # from the number of a batch, and of its part (default 0)

TRACE = "profile.pt.trace.json"  # the ending that TensorBoard's profiler page looks for
TABLE = "profile.txt"
WARM_UP = 3  # steps before the profile: the first ones allocate memory and choose kernels


def first_batches(stream: Stream, count: int) -> BatchSource:
    """The first `count` batches of a stream over and over; 0 leaves the stream as it is.

    A model that cannot learn one batch by heart has a mistake in it: the cheapest test there is.
    """
    return (lambda number, part=0: stream(number % count, part)) if count else stream


class Debug:
    """Around the training loop: anomaly mode on, a profiler running. `step` is called after each step.

    Args:
        options: `anomaly` makes autograd stop at the first backward operation that gives NaN, and tell which forward
            operation that was; `profile` is the number of steps to record.
        folder: where the profile is written; None writes none.
    """

    def __init__(self, options: Options, folder: Path | None, device: torch.device) -> None:
        self.anomaly, self.folder, self.device = options.anomaly, folder, device
        self.profiler: profile | None = None
        if options.profile and folder is not None:
            activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
            plan = schedule(wait=0, warmup=WARM_UP, active=options.profile, repeat=1)
            self.profiler = profile(activities=activities, schedule=plan, on_trace_ready=self._write)

    def step(self) -> None:
        if self.profiler:
            self.profiler.step()

    def __enter__(self) -> "Debug":
        self._before = torch.is_anomaly_enabled()
        if self.anomaly:
            torch.autograd.set_detect_anomaly(True)
        if self.profiler:
            self.profiler.start()
        return self

    def __exit__(self, *_: object) -> None:
        torch.autograd.set_detect_anomaly(self._before)
        if self.profiler:
            self.profiler.stop()

    def _write(self, profiler: profile) -> None:
        """Write the trace, and the operations that took longest as a table."""
        assert self.folder is not None
        profiler.export_chrome_trace(str(self.folder / TRACE))
        order = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=20)
        (self.folder / TABLE).write_text(table, encoding="utf-8")
