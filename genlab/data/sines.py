"""Sines of random frequency and phase, the toy series of TimeGAN.

    x_c(j) = (sin(f j + p) + 1) / 2,    f, p ~ U(0, 0.1),    j = 0, ..., T - 1

independently for each channel c (J. Yoon, D. Jarrett, M. van der Schaar, "Time-series Generative Adversarial Networks",
NeurIPS 2019, https://papers.nips.cc/paper/2019/hash/c9efe5f26cd17ba6216bbe2a7d26d490-Abstract.html, as in the authors'
code, whose frequencies are per step and not per series).
"""

import torch
from torch import Tensor

from genlab.data.base import Dataset, digest, mix
from genlab.data.splits import cut
from genlab.errors import UserError, within

HIGHEST = 0.1  # of frequencies, in radians per step, and of phases
LARGEST = 2**30  # numbers: 4 GiB


class Sines(Dataset):
    """Sines of random frequency and phase in [0, 1]; nothing to download.

    Args:
        n: series: 80 % for training, 10 % for validation, 10 % for the test.
        length: steps of a series.
        channels: sines side by side, independent of one another.
        seed: seeds the series only, so that a sweep over the run's `seed` trains on the same data.

    Raises:
        UserError: there are too few series, steps or channels, or too many for the memory.
    """

    def __init__(self, n: int = 10_000, length: int = 24, channels: int = 5, seed: int = 0) -> None:
        within("n", n, 10)
        within("length", length, 1)
        within("channels", channels, 1)
        within("seed", seed, 0)
        if n * length * channels > LARGEST:
            raise UserError(f"data=sines: {n:,} x {length:,} x {channels:,} numbers are more than {LARGEST:,}")
        held = n // 10
        # Independent draws need no shuffling.
        splits = cut(sines(n, channels, length, mix(seed)), None, (n - 2 * held, held, held))
        super().__init__("sines", splits, "real", fingerprint=digest("sines", n, length, channels, seed))


def sines(n: int, channels: int, length: int, seed: int) -> Tensor:
    """Draws n series of sines: (n, channels, length) float32 in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    frequency, phase = HIGHEST * torch.rand(2, n, channels, 1, generator=generator)
    return (torch.sin(frequency * torch.arange(length) + phase) + 1) / 2
