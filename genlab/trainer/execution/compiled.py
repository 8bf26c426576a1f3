"""The loss of a phase and its gradients as one compiled graph.

A small net spends most of its time between operations, not in them; a compiled graph has few, and fuses what it has.
The graph is traced from the very code that runs eagerly, by torch.compile (J. Ansel et al., "PyTorch 2: Faster Machine
Learning Through Dynamic Python Bytecode Transformation and Graph Compilation", 2024,
https://doi.org/10.1145/3620665.3640366), gradients included (`trace_autograd_ops`). It draws the same random numbers
and keeps its state where the eager update does, in the modules, so a checkpoint is the same in every mode. Results
differ from eager ones by rounding alone. Clipping and the optimizer's one fused kernel follow eagerly: in the graph
they gained 2 to 3 %.
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
# Graphs are kept between runs: the second run of a model compiles in seconds. The compiler reads this when its first
# part is imported, which the first optimizer does.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE))


class Compiled(Eager):
    """The update with its loss and the gradients as one compiled graph; clipping and the optimizer follow eagerly."""

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
    """A function of a batch as one compiled graph; else the function itself, after a line that says so.

    The graph is made at the first call, and holds for batches of that shape only.
    """

    def __init__(self, function: Callable[[Batch], Any], name: str) -> None:
        self.function, self.name = function, name
        self.compiled: Callable[[Batch], Any] | None = None
        self.seconds = 0.0  # that making it took

    def __call__(self, batch: Batch) -> Any:
        if self.compiled is None:
            return self._first(batch)
        return self.compiled(batch)

    def _first(self, batch: Batch) -> Any:
        began = time.perf_counter()
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # speaks of CUDA on machines without
        cpu = all(value.device.type == "cpu" for value in batch.values())
        options = compiler_options(cpu)
        tqdm.write(f"compiling {self.name}: up to a minute, some seconds in the next run", file=sys.stderr)
        graph = torch.compile(alone(self.function), fullgraph=True, backend=BACKEND, options=options)
        try:
            # Given as an argument of torch.compile, `dynamic=False` would be set and unset around each call.
            with (
                torch._dynamo.config.patch(trace_autograd_ops=True, automatic_dynamic_shapes=False),
                warnings.catch_warnings(action="ignore", category=FutureWarning),  # of the compiler's own code
            ):
                result = graph(batch)
        except Exception as error:  # whatever the compiler raises; nothing of the update has run then
            tqdm.write(f"execution: {self.name} stays eager: {reason(error)}", file=sys.stderr)
            graph, result = self.function, self.function(batch)
        self.compiled = graph
        self.seconds += time.perf_counter() - began
        return result


def compiler_options(cpu: bool) -> dict[str, Any]:
    """What torch.compile is told besides."""
    # Neither the modules nor the shapes change in a run, and to check that before each call costs time: with the
    # guards on, 2-D WGAN-GP takes 1.13 times as long, a VAE on points 1.05, a DDPM 1.04 (`python
    # scripts/benchmarks/tricks.py no_guards`, AMD EPYC, one thread, torch 2.14). So no graph may be found for what it
    # was not made of: see `alone`.
    options: dict[str, Any] = {"guard_filter_fn": lambda guards: [False] * len(guards)}
    if BACKEND != "inductor":
        return options
    options["fallback_random"] = True  # the generator of the eager operations
    if cpu:
        # The operations are called from C++, and without a look at the shape of each result.
        options |= {"cpp_wrapper": True, "size_asserts": False, "alignment_asserts": False}
        options["cpp_cache_precompile_headers"] = False  # 300 MB outside of our folder, and no seconds less
    return options


def alone(method: Any) -> Callable[[Batch], Any]:
    """Copy a method, with a code object of its own: torch.compile keeps its graphs by code object.

    Without guards, a phase would otherwise be given the graph of another phase, or of another run in this process.
    """
    function = method.__func__
    code = function.__code__.replace()
    copy = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    return MethodType(copy, method.__self__)


def reason(error: Exception) -> str:
    """The first line of a compiler's message that says something; the message goes on for pages."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.endswith("raised:")]
    return brief(Exception(lines[0])) if lines else type(error).__name__
