"""Sines, the benchmark of generative models of series: nothing to download, and every run has the same ones.

    x_c(j) = (sin(f_c j + p_c) + 1) / 2,    j = 0, ..., T - 1,    f_c, p_c ~ U(0, 0.1)

The frequency f and the phase p are drawn for each series and channel, so channels are independent. With T = 24 all
values are in [0.5, 1].

J. Yoon, D. Jarrett, M. van der Schaar, "Time-series Generative Adversarial Networks", 2019,
https://papers.nips.cc/paper/8789-time-series-generative-adversarial-networks (section 5.1 and its published code).
"""

import torch
from torch import Tensor

from genlab.data.base import Dataset, Split, digest, mix
from genlab.data.fields import numeric
from genlab.data.splits import NAMES
from genlab.errors import UserError, within

LARGEST = 0.1  # frequency in radians per step, and phase in radians
HELD_OUT = 0.1  # share of the series for validation, and for tests


class Sines(Dataset):
    """Sines of random frequency and phase in several channels, the benchmark of TimeGAN; nothing to download.

    Samples are (C, T) in [0, 1]; a model sees the channels standardised.

    Args:
        n: series, of which a tenth each is held out for validation and tests.
        length: T, the number of steps.
        channels: C.
        seed: seeds the series only, so that a sweep over the run's `seed` trains on the same data.

    Raises:
        UserError: n is below 10, or a size below 1.
    """

    def __init__(self, n: int = 10_000, length: int = 24, channels: int = 5, seed: int = 0) -> None:
        within("n", n, 10)
        within("length", length, 2)
        within("channels", channels, 1)
        if n * length * channels > 2**30:
            raise UserError(f"data=sines: {n:,} x {length:,} x {channels:,} numbers are too many to hold in memory")
        g = torch.Generator().manual_seed(mix(seed))
        f, p = LARGEST * torch.rand(2, n, channels, 1, generator=g, dtype=torch.float64)
        # In double precision, so that the digits kept do not depend on how a machine rounds.
        x = (torch.sin(f * torch.arange(length) + p) + 1) / 2
        held = round(HELD_OUT * n)
        parts = x.split([n - 2 * held, held, held])
        means, deviations = parts[0].mean((0, 2)), parts[0].std((0, 2), correction=0)
        fields = tuple(
            numeric(f"channel {i + 1}", mean, deviation)
            for i, (mean, deviation) in enumerate(zip(means.tolist(), deviations.tolist(), strict=True))
        )
        scaled = ((part - means[:, None]) / deviations[:, None] for part in parts)
        splits = {name: Split(part.float()) for name, part in zip(NAMES, scaled, strict=True)}
        super().__init__("sines", splits, fields, fingerprint=digest("sines", n, length, channels, seed))

    def real(self, split: str, n: int) -> Tensor:
        """Returns the first `n` series, of which single precision would move some by 1e-8 out of [0, 1]."""
        return super().real(split, n).clamp(0, 1)
