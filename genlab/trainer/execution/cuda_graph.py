"""Captures the update of a phase as a CUDA graph: recorded once, then replayed with one launch instead of hundreds.

The speed of a small net is bound by kernel launches. Recording runs nothing; the graph uses the same memory at each
replay, so a batch is copied into its input buffers and the logs are copied out before the next replay (NVIDIA, CUDA
C++ Programming Guide, "CUDA Graphs", https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-graphs). A replay
reads seed and offset from the default generator and advances the offset as the eager kernels would (Note [CUDA
Graph-safe RNG states] in PyTorch's CUDAGeneratorImpl.h), so the loop's seeding also works for replays.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from genlab.data.base import Batch
from genlab.errors import brief
from genlab.models.base import Phase
from genlab.trainer.execution.eager import Eager, Logs, Reduce
from genlab.trainer.options import Options

WARM_UP = 3  # updates before the recording, in which libraries allocate workspaces and the optimizer its state
Outputs = tuple[Logs, Batch]


class Graphed(Eager):
    """An update captured as a CUDA graph; if it cannot be captured, it warns once and runs eagerly.

    The first updates of a run are the warm-up. They run eagerly on a side stream, as recording requires, and count as
    normal updates, so that nothing has to be undone. Batches must come in one part.
    """

    def __init__(
        self, phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
    ) -> None:
        super().__init__(phase, optimizer, options, device, reduce)
        self.device = device
        self.rate = torch.zeros((), device=device)
        self.count, self.broken = 0, False
        self.recording: Recording | None = None
        self._seen: Any = None  # the optimizer's state that the recording works on

    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        if self.broken:
            return super().__call__(parts)
        (batch,) = parts
        self.rate.fill_(self.optimizer.param_groups[0]["lr"])
        if self.count < WARM_UP:
            self.count += 1
            log, carry = self._warm_up(batch)
            return log, [carry]
        state = self.optimizer.state[self.parameters[0]]
        if self.recording is None or state is not self._seen:
            self._seen = state
            try:
                with graph_safe(self.optimizer, self.rate):
                    self.recording = Recording(self.whole, batch, partial(record, device=self.device))
            except RuntimeError as error:  # e.g. an operation that waits for the device; nothing has run yet
                self.broken = True
                line = f"execution: phase '{self.phase.name}' stays eager: {brief(error)}"
                tqdm.write(line, file=sys.stderr)
                return super().__call__(parts)
        log, carry = self.recording(batch)
        return log, [carry]

    def _warm_up(self, batch: Batch) -> Outputs:
        with graph_safe(self.optimizer, self.rate):
            return warm_up(self.whole, batch, self.device)


class Recording:
    """A recorded function of a batch, replayed on batches of the same shapes.

    Args:
        record: runs a function without arguments under recording; returns a function that replays it, and its outputs,
            whose memory each replay overwrites.
    """

    def __init__(
        self,
        function: Callable[[Batch], Outputs],
        batch: Batch,
        record: Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]],
    ) -> None:
        self.inputs = {key: value.clone() for key, value in batch.items()}
        self.replay, self.outputs = record(lambda: function(self.inputs))

    def __call__(self, batch: Batch) -> Outputs:
        for key, buffer in self.inputs.items():
            buffer.copy_(batch[key])
        self.replay()
        log, carry = self.outputs
        return {k: v.clone() for k, v in log.items()}, {k: v.clone() for k, v in carry.items()}


def warm_up(function: Callable[[Batch], Outputs], batch: Batch, device: torch.device) -> Outputs:
    """Run a function on a side stream, as recording requires, so that libraries allocate their workspaces."""
    stream, main = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(main)
    with torch.cuda.stream(stream):
        outputs = function(batch)
    main.wait_stream(stream)
    for tensor in (*batch.values(), *outputs[0].values(), *outputs[1].values()):
        tensor.record_stream(stream)  # made on one stream and used on the other: must not be freed too early
        tensor.record_stream(main)
    return outputs


def record(function: Callable[[], Outputs], device: torch.device) -> tuple[Callable[[], None], Outputs]:
    """Record a function on a CUDA device; the graph owns the memory that it allocates."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, stream=torch.cuda.Stream(device)):
        outputs = function()
    return graph.replay, outputs


@contextmanager
def graph_safe(optimizer: Optimizer, rate: Tensor) -> Iterator[None]:
    """Context in which the optimizer needs nothing from the host: its rate and its step counts are on the device.

    Restores the parameter groups afterwards, so that checkpoints do not change.
    """
    for parameter, state in optimizer.state.items():
        if "step" in state:  # from a run that was eager before
            state["step"] = state["step"].to(parameter.device, torch.float32)
    before = [{key: group[key] for key in ("lr", "capturable") if key in group} for group in optimizer.param_groups]
    for group, old in zip(optimizer.param_groups, before, strict=True):
        group.update({"lr": rate, "capturable": True} if "capturable" in old else {"lr": rate})
    try:
        yield
    finally:
        for group, old in zip(optimizer.param_groups, before, strict=True):
            group.update(old)
