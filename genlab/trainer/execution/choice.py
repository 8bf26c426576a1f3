"""How a run is executed: in which mode, on how many threads, and why.

Rules of `auto`, by device and length of the run, never by its results:

    CUDA   a CUDA graph, where batches come in one part
    CPU    compiled, where the run is long enough to win back the compilation, and nets do not convolve; else eager
    MPS    eager

They depend on the run's whole length, so that a run that is resumed goes on in the mode that it began in.

Weights of convolutions lie with the channels last where torch's kernels are faster so (`layout`).
"""

import math
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from genlab.errors import UserError
from genlab.models.base import Family, Phase
from genlab.trainer.options import Options

SMALL = 1e8  # floating-point operations of an update, some ms of one core; below, threads wait more than they work
COMPILATION = 40.0  # seconds for a phase, on a slow core, with nothing in the cache
SAVING = 4e-4  # seconds an update: what 2-D WGAN-GP saved on one core
SHARE = 0.2  # of the arithmetic, saved as well: what a VAE of MLPs on MNIST saved at least, of fp32
RATE = 1e11  # floating-point operations a second of one core
MARGIN = 2.0  # what must be saved for each second of compilation
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PER_SAMPLE = (nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)  # slow with channels last, on the CPU
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Choice(NamedTuple):
    """How a run is executed."""

    mode: str  # eager, compile or graph
    why: str
    threads: int  # of the CPU, for one operation
    threads_why: str
    layout: torch.memory_format = torch.contiguous_format  # of the weights of convolutions

    def __str__(self) -> str:
        noun = "thread" if self.threads == 1 else "threads"
        layout = ", channels last" if self.layout == torch.channels_last else ""
        return f"execution: {self.mode} ({self.why}), {self.threads} {noun} ({self.threads_why}){layout}"


def decide(
    options: Options, family: Family, phases: Sequence[Phase], steps: int, device: torch.device, ranks: int = 1
) -> Choice:
    """Settle what `auto` leaves open, for one of `ranks` processes that train together.

    Raises:
        UserError: a CUDA graph where there is no CUDA device.
    """
    size = work(family, options.batch_size)
    mode, why = _mode(options, phases, steps, device, size, ranks)
    return Choice(mode, why, *_threads(options, device, size < SMALL), layout(family, options, device))


def work(family: nn.Module, batch_size: int) -> float:
    """Rough floating-point operations of an update: 6 a weight and sample, 2 of them forward; inf with convolutions.

    Convolutions use a weight once a pixel: they are never small.
    """
    if any(isinstance(module, CONVOLUTIONS) for module in family.modules()):
        return float("inf")
    return 6.0 * batch_size * sum(parameter.numel() for parameter in family.parameters())


def layout(family: nn.Module, options: Options, device: torch.device) -> torch.memory_format:
    """How the weights of convolutions lie in memory; activations follow them.

    Channels last is the layout of oneDNN's fp32 kernels, and of tensor cores. It takes longer on the CPU in bf16, and
    where each sample is normalized alone.
    """
    modules = list(family.modules())
    faster = {
        "cpu": options.precision == "fp32" and not any(isinstance(module, PER_SAMPLE) for module in modules),
        "cuda": options.precision == "bf16",
    }
    convolves = any(isinstance(module, CONVOLUTIONS) for module in modules)
    return torch.channels_last if convolves and faster.get(device.type, False) else torch.contiguous_format


def _mode(
    options: Options, phases: Sequence[Phase], steps: int, device: torch.device, size: float, ranks: int
) -> tuple[str, str]:
    asked, parts = options.execution, options.accumulate > 1
    check_mode("trainer.execution", asked, device)
    if asked == "graph" and ranks > 1:
        return "eager", "several ranks speak between the gradients and the step"
    if asked == "graph" and parts:
        return "eager", "a CUDA graph holds no batch in several parts"
    if asked == "compile" and not can_compile(device):
        return "eager", "no C++ compiler to compile with"
    if asked != "auto":
        return asked, "asked for"
    if ranks > 1:
        return "eager", "several ranks speak between the gradients and the step"
    if device.type == "cuda":
        return ("eager", "batches come in several parts") if parts else ("graph", "one launch an update")
    if device.type != "cpu":
        return "eager", f"the safe way on {device.type}"
    saved = (SAVING + SHARE * size / RATE) * steps * sum(phase.repeats / phase.every for phase in phases)
    short = options.max_minutes is not None and 60 * options.max_minutes < 10 * COMPILATION * len(phases)
    if math.isinf(size):
        return "eager", "compiling wins little on convolutions"
    if short or saved < MARGIN * COMPILATION * len(phases):
        return "eager", "too short a run to win back the compilation"
    return ("compile", "a long run") if has_compiler() else ("eager", "no C++ compiler")


def check_mode(key: str, mode: str, device: torch.device) -> None:
    """Refuse the mode that is set by `key` where the device does not have it.

    Raises:
        UserError: a CUDA graph where there is no CUDA device.
    """
    if mode == "graph" and device.type != "cuda":
        raise UserError(f"{key}: graph needs a CUDA device, not {device}; allowed: auto, eager, compile")


def _threads(options: Options, device: torch.device, small: bool) -> tuple[int, str]:
    now = torch.get_num_threads()
    if options.threads != "auto":
        return int(options.threads), "asked for"
    given = next((name for name in THREAD_VARIABLES if name in os.environ), None)
    if given:
        return now, given
    if device.type == "cpu" and small:
        return 1, "the work of an update is small"
    return now, "all that torch takes"


def can_compile(device: torch.device) -> bool:
    """Whether there is what torch.compile needs for the device."""
    return device.type != "cpu" or has_compiler()


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch would call."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))
