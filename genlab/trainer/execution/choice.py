"""Chooses how a run is executed: the mode, the number of threads and the memory layout, with reasons.

`auto` decides by device and by length of the run:

    CUDA   a CUDA graph if batches are not cut into parts, else eager
    CPU    compiled if the run is long enough to repay the compilation and has no convolutions or recurrent layers,
           else eager
    MPS    eager

The rules use the total length of the run, so that a resumed run continues in the mode it began in.

Weights of convolutions are stored channels-last where that makes torch's kernels faster (`layout`).
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
from genlab.networks.recurrent import Layer
from genlab.trainer.options import Options

SMALL = 1e8  # floating-point operations per update, a few ms on one core; below this, threads wait more than they work
COMPILATION = 40.0  # seconds per phase, on a slow core with an empty cache
SAVING = 4e-4  # seconds saved per update, measured for 2-D WGAN-GP on one core
SHARE = 0.2  # share of the fp32 arithmetic that is also saved: the least measured, for an MLP VAE on MNIST
RATE = 1e11  # floating-point operations per second on one core
MARGIN = 2.0  # seconds that must be saved per second of compilation
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PER_SAMPLE = (nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)  # slow with channels last on the CPU
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Choice(NamedTuple):
    """How a run is executed."""

    mode: str  # eager, compile or graph
    why: str
    threads: int  # CPU threads per operation
    threads_why: str
    layout: torch.memory_format = torch.contiguous_format  # memory format of convolution weights

    def __str__(self) -> str:
        noun = "thread" if self.threads == 1 else "threads"
        layout = ", channels last" if self.layout == torch.channels_last else ""
        return f"execution: {self.mode} ({self.why}), {self.threads} {noun} ({self.threads_why}){layout}"


def decide(
    options: Options, family: Family, phases: Sequence[Phase], steps: int, device: torch.device, ranks: int = 1
) -> Choice:
    """Resolve `auto`, for one of `ranks` processes that train together.

    Raises:
        UserError: a CUDA graph is requested without a CUDA device.
    """
    size = work(family, options.batch_size)
    mode, why = _mode(options, phases, steps, device, size, ranks)
    if mode == "compile" and why != "requested" and any(isinstance(module, Layer) for module in family.modules()):
        mode, why = "eager", "a compiler unrolls recurrent layers, which takes minutes"
    return Choice(mode, why, *_threads(options, device, size < SMALL), layout(family, options, device))


def work(family: nn.Module, batch_size: int) -> float:
    """Estimates the floating-point operations per update: 6 per weight and sample, 2 of them forward.

    Returns inf for nets with convolutions, which use each weight once per pixel, so their updates are never small.
    """
    if any(isinstance(module, CONVOLUTIONS) for module in family.modules()):
        return float("inf")
    return 6.0 * batch_size * sum(parameter.numel() for parameter in family.parameters())


def layout(family: nn.Module, options: Options, device: torch.device) -> torch.memory_format:
    """Returns the memory format of convolution weights; activations follow it.

    oneDNN's fp32 kernels and tensor cores use channels last. It is slower on the CPU in bf16, and with layers that
    normalise each sample by itself.
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
        return "eager", "ranks exchange gradients before each optimizer step"
    if asked == "graph" and parts:
        return "eager", "a CUDA graph cannot take a batch in several parts"
    if asked == "compile" and not can_compile(device):
        return "eager", "no C++ compiler"
    if asked != "auto":
        return asked, "requested"
    if ranks > 1:
        return "eager", "ranks exchange gradients before each optimizer step"
    if device.type == "cuda":
        return ("eager", "batches come in several parts") if parts else ("graph", "one launch per update")
    if device.type != "cpu":
        return "eager", f"the safe choice on {device.type}"
    saved = (SAVING + SHARE * size / RATE) * sum(phase.updates(steps) for phase in phases)
    short = options.max_minutes is not None and 60 * options.max_minutes < 10 * COMPILATION * len(phases)
    if math.isinf(size):
        return "eager", "compilation gains little on convolutions"
    if short or saved < MARGIN * COMPILATION * len(phases):
        return "eager", "the run is too short to repay compilation"
    return ("compile", "a long run") if has_compiler() else ("eager", "no C++ compiler")


def check_mode(key: str, mode: str, device: torch.device) -> None:
    """Refuse a mode set by the config key `key` that the device does not support.

    Raises:
        UserError: a CUDA graph is requested without a CUDA device.
    """
    if mode == "graph" and device.type != "cuda":
        raise UserError(f"{key}: graph needs a CUDA device, not {device}; allowed: auto, eager, compile")


def _threads(options: Options, device: torch.device, small: bool) -> tuple[int, str]:
    now = torch.get_num_threads()
    if options.threads != "auto":
        return int(options.threads), "requested"
    given = next((name for name in THREAD_VARIABLES if name in os.environ), None)
    if given:
        return now, given
    if device.type == "cpu" and small:
        return 1, "updates are small"
    return now, "torch's default"


def can_compile(device: torch.device) -> bool:
    """Returns whether torch.compile can compile for the device."""
    return device.type != "cpu" or has_compiler()


def has_compiler() -> bool:
    """Returns whether the C++ compiler that torch would call is installed."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))
