"""Fréchet distance of features of random convolutions, which compares distributions of series without a trained net.

Each kernel of ROCKET is drawn once: its length from {7, 9, 11}, its weights from N(0, 1) less their mean, its bias from
U(-1, 1), its dilation 2^u with u uniform up to the longest that fits into a window, padding or none, and the channels
that it reads. It gives two features of a series: the maximum of its output and the share of it that is positive. The
features are standardised by those of training series, and the Fréchet distance compares their Gaussians.

A. Dempster, F. Petitjean, G. Webb, "ROCKET: exceptionally fast and accurate time series classification using random
convolutional kernels", 2020, https://arxiv.org/abs/1910.13051 (section 3.1; here channels are standardised by the
training series and not each series by itself, so that levels count, and there are fewer kernels, so that the covariance
of the features can be estimated from a thousand series).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from genlab.metrics.frechet import Moments, frechet_distance, moments

KERNELS = 128
LENGTHS = (7, 9, 11)
CHUNK = 2000  # series convolved at a time


class Kernel(NamedTuple):
    weights: Tensor  # (1, channels that it reads, length)
    channels: Tensor  # their indices
    bias: float
    dilation: int
    padding: int


def kernels(channels: int, steps: int, count: int = KERNELS, seed: int = 0) -> list[Kernel]:
    """Draws kernels for series of (channels, steps); kernels are no longer than the series."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=g, dtype=torch.float64).item()

    found = []
    for _ in range(count):
        length = min(LENGTHS[int(torch.randint(len(LENGTHS), (), generator=g))], steps)
        reads = int(2 ** uniform(0, math.log2(min(channels, length) + 1)))
        chosen = torch.randperm(channels, generator=g)[: max(reads, 1)]
        weights = torch.randn(1, len(chosen), length, generator=g)
        weights -= weights.mean(2, keepdim=True)
        longest = math.log2((steps - 1) / (length - 1)) if length > 1 else 0.0
        dilation = int(2 ** uniform(0, longest))
        padding = (length - 1) * dilation // 2 if uniform(0, 1) < 0.5 else 0
        found.append(Kernel(weights, chosen, uniform(-1, 1), dilation, padding))
    return found


def features(x: Tensor, drawn: list[Kernel]) -> Tensor:
    """The maximum and the share of positive values of each kernel's output on series (N, C, T): (N, 2 kernels)."""
    rows = []
    for part in x.split(CHUNK):
        columns = []
        for kernel in drawn:
            weights = kernel.weights.to(part)
            read = part[:, kernel.channels.to(part.device)]
            out = conv1d(read, weights, padding=kernel.padding, dilation=kernel.dilation)[:, 0] + kernel.bias
            columns += [out.amax(1), (out > 0).to(out).mean(1)]
        rows.append(torch.stack(columns, dim=1))
    return torch.cat(rows)


class Rocket:
    """The features of the real series, which samples are compared with.

    Args:
        train: (N, C, T) standardised training series, which give the scale of the features.
        real: (M, C, T) the series to compare with.

    Raises:
        ValueError: there are fewer than two real series.
    """

    def __init__(self, train: Tensor, real: Tensor) -> None:
        self.kernels = kernels(*train.shape[1:])
        own = features(train, self.kernels).double()
        deviation = own.std(0, correction=0)
        self.mean, self.deviation = own.mean(0), torch.where(deviation > 0, deviation, 1.0)
        self.real = self.moments(real)

    def moments(self, x: Tensor) -> Moments:
        """The mean and the covariance of the standardised features of series (N, C, T)."""
        return moments((features(x, self.kernels) - self.mean.to(x.device)) / self.deviation.to(x.device))

    def distance(self, x: Tensor) -> dict[str, float]:
        """The Fréchet distance of series (N, C, T) from the real ones.

        Raises:
            ValueError: there are fewer than two series.
        """
        return {"rocket_frechet": frechet_distance(*self.moments(x), *self.real)}
