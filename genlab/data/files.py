"""What folders and tables of one's own share: where the file is, and which samples are held out."""

import os
from pathlib import Path

import torch
from torch import Tensor

from genlab.data.base import Split
from genlab.errors import UserError

SEED = 0x0DD5  # of the order of the samples: the same for every run, so that all hold out the same ones


def find(path: str, kind: str) -> Path:
    """The absolute path of a file or folder ("file", "folder"), with ~ written out.

    Raises:
        UserError: there is none, or it is the other kind.
    """
    found = Path(os.path.abspath(os.path.expanduser(path)))
    if not found.exists():
        raise UserError(f"data.path: there is no {kind} {found}")
    if found.is_dir() != (kind == "folder"):
        raise UserError(f"data.path: {found} is {'a file' if kind == 'folder' else 'a folder'}, not a {kind}")
    return found


def order(n: int) -> Tensor:
    """The order (n,) in which n samples are cut into splits: pseudo-random, a function of n alone."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(SEED))


def cut(x: Tensor, y: Tensor | None, validation: float, test: float) -> dict[str, Split]:
    """Cut samples that are in their final order: training ones in front, then validation, then test. Copies nothing.

    Args:
        validation, test: shares of the samples, each rounded, and at least one sample.

    Raises:
        UserError: the shares leave nothing to train on.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UserError(f"data.{name}: {share} is no share of the samples between 0 and 1")
    held_out, tested = max(1, round(validation * len(x))), max(1, round(test * len(x)))
    first = len(x) - held_out - tested
    if first < 1:
        raise UserError(
            f"data.path: {len(x)} samples, {held_out} for validation and {tested} for test: none to train on"
        )
    ends = {"train": (0, first), "validation": (first, first + held_out), "test": (first + held_out, len(x))}
    return {name: Split(x[a:b], None if y is None else y[a:b]) for name, (a, b) in ends.items()}
