"""Fourier features: sines and cosines of coordinates at growing frequencies let small nets fit very fine details.

    φ(x) = (x, sin ω_0 x, ..., sin ω_{n-1} x, cos ω_0 x, ..., cos ω_{n-1} x),    ω_k = 2^k ω_0

A plain net learns low frequencies first, and high ones hardly at all. M. Tancik et al., "Fourier Features Let Networks
Learn High Frequency Functions in Low Dimensional Domains", 2020, https://arxiv.org/abs/2006.10739.
"""

import torch
from torch import Tensor, nn


class Fourier(nn.Module):
    """The features φ of each coordinate: (B, D) -> (B, D (1 + 2 n)).

    Args:
        octaves: n, the number of frequencies; 0 leaves x unchanged.
        lowest: ω_0, in radians per unit of x. A wavelength that divides the spacing of modes makes them look alike.
    """

    frequencies: Tensor

    def __init__(self, octaves: int, lowest: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("frequencies", lowest * 2.0 ** torch.arange(octaves), persistent=False)

    def widened(self, size: int) -> int:
        """Returns the number of features of `size` coordinates."""
        return size * (1 + 2 * len(self.frequencies))

    def forward(self, x: Tensor) -> Tensor:
        if not len(self.frequencies):
            return x
        angle = (x[:, :, None] * self.frequencies).flatten(1)
        return torch.cat([x, angle.sin(), angle.cos()], dim=1)
