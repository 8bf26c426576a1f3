"""The update of a phase as a CUDA graph: recorded once, then replayed with one launch instead of hundreds.

A small net is bound by the launches of its kernels. Recording runs nothing; the graph works on the same memory at each
replay, so a batch is copied into buffers of its own and the logs are copied out before the next replay. (NVIDIA, CUDA
C++ Programming Guide, "CUDA Graphs", https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-graphs; Note [CUDA
Graph-safe RNG states] in PyTorch's CUDAGeneratorImpl.h: a replay reads seed and offset from the default generator, and
moves its offset on as the eager kernels would. So the loop's seeding holds for replays.)
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

WARM_UP = 3  # updates before the recording: libraries make their workspaces, the optimizer its state
Outputs = tuple[Logs, Batch]


class Graphed(Eager):
    """The update as a CUDA graph; where one cannot be recorded, eager, after one line that says so.

    The first updates of a run are the warm-up: they run eagerly on a stream of their own, as recording demands, and
    count like any others, so that nothing must be undone. Batches come in one part.
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
            except RuntimeError as error:  # an operation that waits for the device, say; nothing has run then
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
        record: runs a function of nothing under recording; returns what replays it, and its outputs, whose memory each
            replay writes anew.
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
    """Run a function on a stream of its own, as recording demands: libraries make their workspaces."""
    stream, main = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(main)
    with torch.cuda.stream(stream):
        outputs = function(batch)
    main.wait_stream(stream)
    for each in (*batch.values(), *outputs[0].values(), *outputs[1].values()):
        each.record_stream(stream)  # made on one stream and used on the other: not to be freed too early
        each.record_stream(main)
    return outputs


def record(function: Callable[[], Outputs], device: torch.device) -> tuple[Callable[[], None], Outputs]:
    """Record a function on a CUDA device; memory that it takes stays the graph's own."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, stream=torch.cuda.Stream(device)):
        outputs = function()
    return graph.replay, outputs


@contextmanager
def graph_safe(optimizer: Optimizer, rate: Tensor) -> Iterator[None]:
    """Within, the optimizer asks the host for nothing: its rate is a tensor, its count of steps on the device.

    Its groups are as before afterwards, and so is what a checkpoint holds of them.
    """
    for parameter, state in optimizer.state.items():
        if "step" in state:  # of a run that was eager before
            state["step"] = state["step"].to(parameter.device, torch.float32)
    before = [{key: group[key] for key in ("lr", "capturable") if key in group} for group in optimizer.param_groups]
    for group, old in zip(optimizer.param_groups, before, strict=True):
        group.update({"lr": rate, "capturable": True} if "capturable" in old else {"lr": rate})
    try:
        yield
    finally:
        for group, old in zip(optimizer.param_groups, before, strict=True):
            group.update(old)
