"""The compute device: choosing it, seeding its generators, precision, threads and peak memory."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from genlab.data.base import mix
from genlab.errors import UserError, brief


def resolve(name: str) -> torch.device:
    """Returns the named device; `auto` is the first CUDA device (each rank its own), else MPS, else the CPU.

    Raises:
        UserError: this machine has no such device.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    have = ["cpu"] + ["mps"] * mps + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"trainer.device: '{name}' is not a device; this machine has {', '.join(have)}") from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device() if torch.cuda.is_available() else 0)
    if str(device) not in have:
        raise UserError(f"trainer.device: '{name}' is not on this machine, which has {', '.join(have)}")
    if device.type == "cuda":
        torch.cuda.init()  # creates its random generators
    return device


def seed(device: torch.device, *numbers: int) -> None:
    """Seed the global generators of the CPU and of `device` from small integers such as (seed, step).

    `torch.manual_seed` would also format a stack trace for every kind of device that is not in use, which is slow.
    """
    value = mix(*numbers)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Context in which torch uses only deterministic kernels, and raises an error where an operation has none.

    On the CPU, almost all kernels are deterministic for a fixed number of threads; the flag only makes the few others
    raise (scatter with repeated indices, say). cuBLAS reads its variable at first use, so a process that has already
    used cuBLAS is not covered.

    Raises:
        UserError: an operation of the model has no deterministic kernel; the message names it.
    """
    if not on:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)  # cuDNN follows
    torch.backends.cudnn.benchmark = False  # benchmarking picks the kernel by timing
    try:
        yield
    except RuntimeError as error:
        if "deterministic" in str(error):
            raise UserError(f"trainer.deterministic: {brief(error)}") from error
        raise
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Context in which one CPU operation uses `number` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precision(word: str, device: torch.device) -> torch.autocast:
    """Returns a context in which nets compute in `word`, fp32 or bf16; parts marked as full precision stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=word == "bf16")


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> float:
    """Returns the peak memory in MiB: of the CUDA device, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="utf-8") as file:  # Linux
        # getrusage would include the memory that the parent process held when it started this one.
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
