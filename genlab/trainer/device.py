"""The machine: which device, how its random numbers are seeded, how much memory was taken."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genlab.data.base import mix
from genlab.errors import UserError


def resolve(name: str) -> torch.device:
    """`auto` -> the first CUDA device, else MPS, else the CPU; any other name -> that device.

    Raises:
        UserError: this machine does not have it.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    device = torch.device(name)
    have = ["cpu"] + ["mps"] * mps + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)
    if str(device) not in have:
        raise UserError(f"trainer.device: '{name}' is not on this machine, which has {', '.join(have)}")
    if device.type == "cuda":
        torch.cuda.init()  # its generators are there only from then on
    return device


def seed(device: torch.device, *numbers: int) -> None:
    """Seed the global generators of the CPU and of `device` from small integers such as (seed, step).

    Only these two: `torch.manual_seed` formats a stack trace for every kind of device that is not in use.
    """
    value = mix(*numbers)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Within, the CPU takes `number` threads for one operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> float:
    """Most memory held so far, in MiB: of the device where it counts its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
