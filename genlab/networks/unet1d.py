"""The U-Net of diffusion models for series: (x, t, y) -> (B, C, T), of 4 or more steps.

It is the net of `unet.py` with one axis: residual blocks, of which those on the way up also see the output of the same
level on the way down, and attention between the two blocks of the lowest level. The length is halved until it is 8 or
less, at most three times; if it does not divide, the series is first padded with zeros on the right, and cut in the
end. A learned vector for each step tells the net where in the series it is.

O. Ronneberger, P. Fischer, T. Brox, "U-Net", 2015, https://arxiv.org/abs/1505.04597; in the form of J. Ho, A. Jain,
P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import OptionError
from genlab.networks.table import series
from genlab.networks.timed_mlp import TimeEmbedding

GROUPS = 8  # groups of each group norm
LEAST = 4  # steps
MOST = 3  # halvings


def halvings(steps: int) -> int:
    """Returns how often a series is halved: 4 -> 0, 13 -> 1, 24 -> 2, 128 -> 3."""
    count = 0
    while count < MOST and -(-steps // 2**count) > 8:
        count += 1
    return count


class UNet1d(nn.Module):
    """U-Net with time and class embedding, whose output is 0 at first; 0.26 million parameters at 24 steps, width 32.

    Args:
        shape: (C, T) of the series.
        classes: number of classes, 0 for none.
        width: channels at full length; twice as many at all levels below. A multiple of 8.
        dropout: share of the hidden units set to 0 within a block.
        attention: whether the lowest level has self-attention over its steps.

    Raises:
        UserError: the series or the width do not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 0,
        width: int = 32,
        dropout: float = 0.0,
        attention: bool = True,
    ) -> None:
        super().__init__()
        values, self.steps = series("unet1d", shape, LEAST)
        if width < GROUPS or width % GROUPS:
            raise OptionError("width", f"must be a multiple of {GROUPS}, the groups of a unet's norm, got {width}")
        count = halvings(self.steps)
        self.padded = -(-self.steps // 2**count) * 2**count
        channels = [width] + [2 * width] * count
        self.embedding = TimeEmbedding(width, classes)
        size = self.embedding.size
        self.first = nn.Conv1d(values, width, 3, padding=1)
        self.places = nn.Parameter(torch.zeros(width, self.padded))
        incoming = [width, *channels[:-1]]
        self.down = nn.ModuleList(Block(i, c, size, dropout) for i, c in zip(incoming, channels, strict=True))
        self.attention = Attention(channels[-1]) if attention else nn.Identity()
        self.up = nn.ModuleList(Block(2 * c, c, size, dropout) for c in channels)
        self.shrink = nn.ModuleList(nn.Conv1d(c, c, 3, 2, 1) for c in channels[:-1])
        self.grow = nn.ModuleList(nn.Conv1d(below, c, 1) for c, below in pairwise(channels))
        self.last = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv1d(width, values, 3, padding=1))
        zero(self.last[-1])

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, C, T), (B,) times in [0, 1] and (B,) labels to (B, C, T)."""
        embedded = F.silu(self.embedding(t, y))
        h, skips = self.first(F.pad(x, (0, self.padded - self.steps))) + self.places, []
        for level, block in enumerate(self.down):
            h = block(h, embedded)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.attention(h)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                h = F.interpolate(self.grow[level](h), scale_factor=2.0)
            h = self.up[level](torch.cat([h, skips[level]], dim=1), embedded)
        return self.last(h)[..., : self.steps]


class Block(nn.Module):
    """Residual block: (B, inputs, T), (B, size) -> (B, outputs, T)."""

    def __init__(self, inputs: int, outputs: int, size: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, inputs), nn.GroupNorm(GROUPS, outputs)])
        self.first = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv1d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(size, outputs)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)
        zero(self.second)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        h = self.first(F.silu(self.norms[0](x))) + self.time(embedded)[:, :, None]
        return self.skip(x) + self.second(self.dropout(F.silu(self.norms[1](h))))


class Attention(nn.Module):
    """Self-attention over all steps, one head, with a residual: (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.parts = nn.Conv1d(channels, 3 * channels, 1)
        self.last = nn.Conv1d(channels, channels, 1)
        zero(self.last)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.parts(self.norm(x)).transpose(1, 2).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.last(mixed.transpose(1, 2))


def zero(layer: nn.Module) -> None:
    """Sets all weights of a residual branch's last layer to 0, so that the block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
