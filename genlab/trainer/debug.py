"""Tools for debugging a training run that fails or is slow: overfitting a few batches, NaN detection, profiling.

Switched on by `trainer.overfit_batches`, `trainer.anomaly` and `trainer.profile`, or by the `debug=` presets. When all
are off, they cost nothing.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from genlab.data.base import Batch, Stream
from genlab.trainer.options import Options

BatchSource = Callable[..., Batch]  # (batch number, part number = 0) -> batch

TRACE = "profile.pt.trace.json"  # the ending that TensorBoard's profiler page looks for
TABLE = "profile.txt"
WARM_UP = 3  # steps before the profile: the first ones allocate memory and choose kernels


def first_batches(stream: Stream, count: int) -> BatchSource:
    """Repeats only the first `count` batches of a stream; 0 leaves the stream unchanged.

    A model that cannot memorise a single batch has a bug: this is the cheapest test there is.
    """
    return (lambda number, part=0: stream(number % count, part)) if count else stream


class Debug:
    """Context of the training loop that enables anomaly mode and runs the profiler; call `step` after each step.

    Args:
        options: `anomaly` makes autograd stop at the first backward operation that returns NaN and name the forward
            operation it belongs to; `profile` is the number of steps to record.
        folder: where the profile is written; None: nowhere.
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
        """Write the trace, and a table of the slowest operations."""
        assert self.folder is not None
        profiler.export_chrome_trace(str(self.folder / TRACE))
        order = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=20)
        (self.folder / TABLE).write_text(table, encoding="utf-8")
