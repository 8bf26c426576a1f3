"""MNIST and Fashion-MNIST: 28x28 gray images in ten classes, read through torchvision and checked byte for byte.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
2017, https://arxiv.org/abs/1708.07747.
"""

import hashlib
import math
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Dataset, Range, Split, data_root, digest
from genlab.errors import UserError, brief, choose

# md5 of the pixels and labels of both files, headers left out.
CHECKSUMS = {
    ("MNIST", True): "365dab9bac26085dc69f1022fe166e2f",
    ("MNIST", False): "a9c5e64a683c5dd2f6a9bf7c61b53e6f",
    ("FashionMNIST", True): "819d6ae9214abbc30bd601cb4ad304c0",
    ("FashionMNIST", False): "2bdc83e1b78e813df8547ccd14b70d8f",
}
SIZES = (28, 32, 64)


class MNIST(Dataset):
    """MNIST: handwritten digits, 55,000 to train, 5,000 to validate, 10,000 to test.

    Args:
        root: folder of the files; None: GENLAB_DATA, else the user's cache folder.
        size: 28; 32 pads with black, which changes no pixel; 64 interpolates (bilinear, antialiased).
        range: "symmetric" [-1, 1], "unit" [0, 1], or "binary": each pixel drawn from its gray value for every batch
            (Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", 2015, https://arxiv.org/abs/1509.00519).
        validation: images taken from the end of the training file for validation.
        limit: train only on the first `limit` images; None: on all.

    Raises:
        UserError: the files are missing and cannot be fetched, or are damaged, or an option is out of range.
    """

    source = "MNIST"  # the name of torchvision's class

    def __init__(
        self,
        root: str | None = None,
        size: int = 28,
        range: Range = "unit",
        validation: int = 5000,
        limit: int | None = None,
    ) -> None:
        choose("size", str(size), map(str, SIZES))
        x, y = load(self.source, root, train=True)
        if not 0 < validation < len(x):
            raise UserError(f"data.validation must be between 1 and {len(x) - 1}, got {validation}")
        cut = len(x) - validation
        train = slice(0, cut if limit is None else max(1, min(limit, cut)))
        held_out, all_training = slice(cut, None), (x[:cut], y[:cut])
        splits = {
            "train": Split(resize(x[train], size), y[train]),
            "validation": Split(resize(x[held_out], size), y[held_out]),
        }
        x, y = load(self.source, root, train=False)
        splits["test"] = Split(resize(x, size), y)
        sums = [CHECKSUMS[self.source, train] for train in (True, False)]
        fingerprint = digest(self.source, sums, size, validation, limit)
        super().__init__(self.source, splits, range, classes=10, fingerprint=fingerprint)
        if limit is not None:  # measures of samples must not depend on how many images a run trains on
            self.whole = Split(resize(all_training[0], size), all_training[1])


class FashionMNIST(MNIST):
    """Fashion-MNIST: pictures of clothes in ten classes, 55,000 to train, 5,000 to validate, 10,000 to test."""

    source = "FashionMNIST"


def load(source: str, root: str | None, train: bool) -> tuple[Tensor, Tensor]:
    """Reads one pair of files, and fetches it if it is missing: pixels (N, 1, 28, 28) uint8 and labels (N,) int64.

    Raises:
        UserError: the files are missing and cannot be fetched, or differ from the published ones.
    """
    from torchvision import datasets  # takes 2 s to import, so only where it is used

    folder = data_root(root)
    try:
        with _alone(folder / source), _timeout(20):
            check_headers(folder / source, train)
            dataset = getattr(datasets, source)(str(folder), train=train, download=True)
    except (RuntimeError, OSError, EOFError, ValueError, AssertionError) as error:
        name = source.lower()
        if (folder / source / "raw").exists() and not isinstance(error, OSError) and "download" not in str(error):
            raise _damaged(folder / source) from error
        reason = brief(error).split(":")[0]
        raise UserError(
            f"no {source} files in {folder}, and they cannot be fetched ({reason}): run 'genlab prepare "
            f"data={name}' on a machine with network access, or point data.root or GENLAB_DATA at a folder that holds "
            f"{source}/raw, or train on data=gaussian2d, which needs no files"
        ) from error
    x, y = dataset.data.contiguous(), dataset.targets.long()
    digest = hashlib.md5(x.numpy().tobytes() + y.to(torch.uint8).numpy().tobytes()).hexdigest()
    if digest != CHECKSUMS[source, train]:
        raise _damaged(folder / source)
    return x.unsqueeze(1), y


def check_headers(folder: Path, train: bool) -> None:
    """Checks the sizes and headers of the files that exist, before anything parses them.

    Raises:
        UserError: a file has the wrong size, type or dimensions.
    """
    prefix, count = ("train", 60_000) if train else ("t10k", 10_000)
    # IDX: two zero bytes, 8 for unsigned bytes, the number of dimensions, the dimensions; all big-endian.
    headers = {"images-idx3": (0x803, count, 28, 28), "labels-idx1": (0x801, count)}
    for name, header in headers.items():
        path = folder / "raw" / f"{prefix}-{name}-ubyte"
        if path.exists():
            expected = struct.pack(f">{len(header)}i", *header)
            with open(path, "rb") as file:
                actual = file.read(len(expected))
            if actual != expected or path.stat().st_size != len(expected) + math.prod(header[1:]):
                raise _damaged(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Locks `folder`, so that the jobs of a sweep, which start at the same time, do not all fetch its files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError:  # a read-only folder: nothing can be fetched or unpacked there
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _damaged(folder: Path) -> UserError:
    return UserError(f"damaged files in {folder}: remove that folder and run 'genlab prepare' to fetch them again")


@contextmanager
def _timeout(seconds: float):
    """Sets a socket timeout, because torchvision sets none for downloads: a silent mirror would hang the run."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def resize(x: Tensor, size: int) -> Tensor:
    """Resizes (N, 1, 28, 28) uint8 to (N, 1, size, size) uint8: pads up to 32 pixels, interpolates above."""
    gap = size - x.shape[-1]
    if gap <= 4:
        return F.pad(x, [gap // 2] * 4)
    parts = [
        F.interpolate(part.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        .round_()
        .clamp_(0, 255)
        .to(torch.uint8)
        for part in x.split(4096)
    ]
    return torch.cat(parts)
