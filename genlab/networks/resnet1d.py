"""Nets for the translation of series: a residual net that keeps the shape, and a judge of each part of a series.

Both take series of any length. They are the nets of `resnet.py` with one axis and these changes: the translator widens
its field of view by dilations instead of halving the length, and starts as the identity, as the MLP for points does;
and there is no instance norm, which would hide the level and the amplitude of a series from the nets.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.errors import within
from genlab.networks.activation import LeakyReLU
from genlab.networks.table import series


class ResNet1d(nn.Module):
    """x + f(x), f a net of residual blocks whose dilation doubles from block to block; the identity at first.

    Args:
        shape: (C, T) of the series.
        width: channels of every block.
        blocks: residual blocks.
    """

    def __init__(self, shape: Sequence[int], width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        channels, _ = series("resnet1d", shape)
        within("width", width, 1)
        self.first = nn.Conv1d(channels, width, 7, padding=3)
        self.blocks = nn.Sequential(*(Block(width, 2**i) for i in range(blocks)))
        self.last = nn.Conv1d(width, channels, 7, padding=3)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, C, T)."""
        return x + self.last(self.blocks(self.first(x)).relu())


class Block(nn.Module):
    """x + two convolutions, the first one dilated: (B, width, T) -> (B, width, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        second = nn.Conv1d(width, width, 3, padding=1)
        self.layers = nn.Sequential(nn.ReLU(), first, nn.ReLU(), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class PatchGAN1d(nn.Module):
    """Convolutions of which each output sees a part of 15 steps, not the whole series.

    Args:
        shape: (C, T) of the series.
        width: channels after the first convolution; twice as many after the second.
    """

    def __init__(self, shape: Sequence[int], width: int = 32) -> None:
        super().__init__()
        channels, _ = series("resnet1d", shape)
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, 3, stride=2, padding=1),
            LeakyReLU(0.2),
            nn.Conv1d(width, 2 * width, 5, padding=2),
            LeakyReLU(0.2),
            nn.Conv1d(2 * width, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, T / 2), a logit for each part."""
        return self.layers(x).squeeze(1)
