"""Compiles the loss of a phase and its gradients into one graph.

A small net spends most of its time between operations, not in them; a compiled graph has fewer of them and fuses them.
torch.compile (J. Ansel et al., "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and
Graph Compilation", 2024, https://doi.org/10.1145/3620665.3640366) traces the graph from the code that runs eagerly,
including the gradients (`trace_autograd_ops`). The graph draws the same random numbers and keeps its state in the
modules, as the eager update does, so a checkpoint is the same in every mode. Results differ from eager ones only by
rounding. Clipping and the optimizer's fused kernel still run eagerly: moving them into the graph gained only 2 to 3 %.
"""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch
from torch.optim import Optimizer
from tqdm import tqdm

from genlab.data.base import Batch
from genlab.errors import brief
from genlab.machine import cache_root
from genlab.models.base import Phase
from genlab.trainer.execution.eager import Eager, Gradients, Logs, Reduce
from genlab.trainer.options import Options

BACKEND = "inductor"
CACHE = cache_root() / "compiled"
# Graphs are kept between runs, so that the second run of a model compiles in seconds. The compiler reads this variable
# when its first module is imported, which happens when the first optimizer is made.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE))


class Compiled(Eager):
    """An update that computes the loss and its gradients as one compiled graph, then clips and steps eagerly."""

    def __init__(
        self, phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
    ) -> None:
        super().__init__(phase, optimizer, options, device, reduce)
        self.graph = Graph(Eager(phase, optimizer, options, device).differentiate, f"phase '{phase.name}'")

    @property
    def preparation(self) -> float:
        return self.graph.seconds

    def differentiate(self, batch: Batch) -> tuple[Gradients, Logs, Batch]:
        return self.graph(batch)


class Graph:
    """A function of a batch, compiled into one graph; if compilation fails, it warns and calls the function itself.

    The graph is made at the first call and is valid only for batches of that shape.
    """

    def __init__(self, function: Callable[[Batch], Any], name: str) -> None:
        self.function, self.name = function, name
        self.compiled: Callable[[Batch], Any] | None = None
        self.seconds = 0.0  # spent on making it

    def __call__(self, batch: Batch) -> Any:
        if self.compiled is None:
            return self._first(batch)
        return self.compiled(batch)

    def _first(self, batch: Batch) -> Any:
        began = time.perf_counter()
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it mentions CUDA on any machine
        cpu = all(value.device.type == "cpu" for value in batch.values())
        options = compiler_options(cpu)
        tqdm.write(f"compiling {self.name}: up to a minute the first time, seconds in later runs", file=sys.stderr)
        graph = torch.compile(alone(self.function), fullgraph=True, backend=BACKEND, options=options)
        try:
            # `dynamic=False` as an argument of torch.compile would be set and unset around each call.
            with (
                torch._dynamo.config.patch(trace_autograd_ops=True, automatic_dynamic_shapes=False),
                warnings.catch_warnings(action="ignore", category=FutureWarning),  # of the compiler's own code
            ):
                result = graph(batch)
        except Exception as error:  # whatever the compiler raises; at this point nothing of the update has run
            tqdm.write(f"execution: {self.name} stays eager: {reason(error)}", file=sys.stderr)
            graph, result = self.function, self.function(batch)
        self.compiled = graph
        self.seconds += time.perf_counter() - began
        return result


def compiler_options(cpu: bool) -> dict[str, Any]:
    """Returns the other options for torch.compile."""
    # Modules and shapes do not change during a run, and checking them before each call costs time: with guards,
    # 2-D WGAN-GP takes 1.13 times as long, a VAE on points 1.05, a DDPM 1.04 (`python scripts/benchmarks/tricks.py
    # no_guards`, AMD EPYC, one thread, torch 2.14). Without guards, torch must never look up a graph for a function
    # other than the one it was compiled from: see `alone`.
    options: dict[str, Any] = {"guard_filter_fn": lambda guards: [False] * len(guards)}
    if BACKEND != "inductor":
        return options
    options["fallback_random"] = True  # draws from the generator that eager operations use
    if cpu:
        # Operations are called from C++, without checking the shape of each result.
        options |= {"cpp_wrapper": True, "size_asserts": False, "alignment_asserts": False}
        options["cpp_cache_precompile_headers"] = False  # it writes 300 MB outside our folder and saves no time
    return options


def alone(method: Any) -> Callable[[Batch], Any]:
    """Returns a copy of a method with its own code object, since torch.compile caches graphs by code object.

    Without guards, a phase would otherwise get the graph of another phase, or of another run in this process.
    """
    function = method.__func__
    code = function.__code__.replace()
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    return MethodType(copy, method.__self__)


def reason(error: Exception) -> str:
    """Returns the first informative line of a compiler's message, which can be pages long."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.endswith("raised:")]
    return brief(Exception(lines[0])) if lines else type(error).__name__
