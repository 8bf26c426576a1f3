"""Compiles the net of a diffusion sampler, or captures it as a CUDA graph.

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
    """Context in which the nets of a family that samples in many steps run in `mode`; other families are unaffected.

    `auto` is a CUDA graph on CUDA, where launches take most of the time, and eager elsewhere: on a CPU, compilation
    makes a U-Net faster by a third, which pays off after a few thousand images, and an MLP only by a tenth.

    Raises:
        UserError: an unknown mode, or a CUDA graph is requested without a CUDA device.
    """
    choose("execution", mode, EXECUTIONS)
    check_mode("execution", mode, family.device)
    if mode == "auto":
        mode = "graph" if family.device.type == "cuda" else "eager"
    if mode == "compile" and not can_compile(family.device):
        tqdm.write("execution: eager, because there is no C++ compiler", file=sys.stderr)
        mode = "eager"
    with ExitStack() as stack:
        for module in family.modules() if mode != "eager" else ():
            if isinstance(module, DenoisingModel):
                stack.enter_context(replaced(module.net, OneShape(module.net, WAYS[mode])))
        yield


@contextmanager
def replaced(net: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Context in which calling the net calls `forward`."""
    net.forward = forward
    try:
        yield
    finally:
        del net.forward  # the method of its class applies again


class OneShape:
    """A denoiser f(x, t, y) that runs as a graph for the shapes of the first call, and eagerly for any others.

    The last batch of a sampler is often smaller; a graph for it alone would not pay off.
    """

    def __init__(self, net: nn.Module, make: Callable[[Call], Call]) -> None:
        self.forward = net.forward
        self.graph = make(self.run)
        self.shapes: dict[str, torch.Size] | None = None

    def run(self, batch: Batch) -> Tensor:
        return self.forward(batch["x"], batch["t"], batch.get("y"))

    def __call__(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        given = {"x": x, "t": t} if y is None else {"x": x, "t": t, "y": y}
        batch = {key: value.contiguous() for key, value in given.items()}  # a graph needs a fixed memory layout
        shapes = {key: value.shape for key, value in batch.items()}
        if self.shapes is None:
            self.shapes = shapes
        return self.graph(batch) if shapes == self.shapes else self.run(batch)


def compiled(call: Call) -> Call:
    return Graph(call, "the sampler's net")


class Recorded:
    """A function captured as a CUDA graph; if it cannot be captured, it warns once and runs eagerly."""

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
                # autocast caches the weights it casts to bf16 until it ends; the recording must cast its own.
                torch.clear_autocast_cache()
                self.recording = Recording(self.outputs, batch, partial(record, device=device))
            except RuntimeError as error:  # for example, an operation that waits for the device
                self.broken = True
                tqdm.write(f"execution: the sampler's net stays eager: {brief(error)}", file=sys.stderr)
                return self.call(batch)
        return self.recording(batch)[0]["f"]

    def outputs(self, batch: Batch) -> Outputs:
        """Returns the outputs in the form that `Recording` expects."""
        return {"f": self.call(batch)}, {}


WAYS: dict[str, Callable[[Call], Call]] = {"compile": compiled, "graph": Recorded}
