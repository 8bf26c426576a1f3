"""Runs the net of a diffusion sampler as one graph: compiled, or recorded as a CUDA graph.

Such a sampler calls its net tens of times for each sample, on batches of one shape. The net becomes a graph at the
first call; the sampler around it stays plain Python. Training and likelihoods differentiate the net and do not use
this. Samples differ from eager ones by rounding only.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genlab.data.base import Batch
from genlab.errors import brief, choose
from genlab.models.base import Family
from genlab.models.diffusion import DenoisingModel
from genlab.trainer.execution.choice import can_compile, check_mode
from genlab.trainer.execution.compiled import Graph
from genlab.trainer.execution.cuda_graph import Outputs, Recording, record, warm_up
from genlab.trainer.options import EXECUTIONS

Call = Callable[[Batch], Tensor]


@contextmanager
def executed(family: Family, mode: str) -> Iterator[None]:
    """Within, the nets of a family that samples in many steps are called as `mode` says; others are left alone.

    `auto` is a CUDA graph on CUDA, where launches take most of the time, and eager elsewhere: on a CPU a U-Net becomes
    faster by a third, which pays for the compilation after some thousands of images, an MLP by a tenth only.

    Raises:
        UserError: an unknown mode, or a CUDA graph where there is no CUDA device.
    """
    choose("execution", mode, EXECUTIONS)
    check_mode("execution", mode, family.device)
    if mode == "auto":
        mode = "graph" if family.device.type == "cuda" else "eager"
    if mode == "compile" and not can_compile(family.device):
        tqdm.write("execution: eager, as there is no C++ compiler to compile with", file=sys.stderr)
        mode = "eager"
    with ExitStack() as stack:
        for each in family.modules() if mode != "eager" else ():
            if isinstance(each, DenoisingModel):
                stack.enter_context(replaced(each.net, OneShape(each.net, WAYS[mode])))
        yield


@contextmanager
def replaced(net: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Within, a call of the net is a call of `forward`."""
    net.forward = forward
    try:
        yield
    finally:
        del net.forward  # which uncovers the method of its class


class OneShape:
    """Calls of a denoiser f(x, t, y): a graph for the shapes of the first call, eager for any others.

    The last batch of a sampler is often smaller; a graph of its own would not pay.
    """

    def __init__(self, net: nn.Module, make: Callable[[Call], Call]) -> None:
        self.forward = net.forward
        self.graph = make(self.run)
        self.shapes: dict[str, torch.Size] | None = None

    def run(self, batch: Batch) -> Tensor:
        return self.forward(batch["x"], batch["t"], batch.get("y"))

    def __call__(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        given = {"x": x, "t": t} if y is None else {"x": x, "t": t, "y": y}
        batch = {key: value.contiguous() for key, value in given.items()}  # a graph is of one layout
        shapes = {key: value.shape for key, value in batch.items()}
        if self.shapes is None:
            self.shapes = shapes
        return self.graph(batch) if shapes == self.shapes else self.run(batch)


def compiled(call: Call) -> Call:
    return Graph(call, "the sampler's net")


class Recorded:
    """A call as a CUDA graph; where it cannot be recorded, eager, after one line that says so."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.recording: Recording | None = None
        self.broken = False

    def __call__(self, batch: Batch) -> Tensor:
        if self.broken:
            return self.call(batch)
        if self.recording is None:
            device = batch["x"].device
            try:
                warm_up(self.outputs, batch, device)
                # A weight that autocast has turned to bf16 is kept until autocast ends; a recording must make its own.
                torch.clear_autocast_cache()
                self.recording = Recording(self.outputs, batch, partial(record, device=device))
            except RuntimeError as error:  # an operation that waits for the device, say
                self.broken = True
                tqdm.write(f"execution: the sampler's net stays eager: {brief(error)}", file=sys.stderr)
                return self.call(batch)
        return self.recording(batch)[0]["f"]

    def outputs(self, batch: Batch) -> Outputs:
        """In the form that a recording has them."""
        return {"f": self.call(batch)}, {}


WAYS: dict[str, Callable[[Call], Call]] = {"compile": compiled, "graph": Recorded}
