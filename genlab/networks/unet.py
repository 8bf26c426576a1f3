"""The U-Net of diffusion models: (x, t, y) -> (B, C, H, W), for square images whose side halves down to 8 or less.

On the way down, each level has a residual block and then halves the side. The lowest level has self-attention and a
block. On the way up, each level doubles the side and has a block that also sees the level's output from the way down.
A residual block is

    h <- skip(x) + conv(dropout(silu(norm(conv(silu(norm(x))) + E(t, y)))))

O. Ronneberger, P. Fischer, T. Brox, "U-Net", 2015, https://arxiv.org/abs/1505.04597; in the form of J. Ho, A. Jain,
P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239 (appendix B), with one
block per level each way instead of two, and attention only at the lowest level, so that a CPU can train it.

With `patch` p the net sees p x p pixels as the channels of one position and starts at the smaller side, as is done for
large images in E. Hoogeboom, J. Heek, T. Salimans, "Simple Diffusion", 2023, https://arxiv.org/abs/2301.11093: thin
layers at full size take most of the time. At 28x28, p = 2 trains on 2.8 times as many samples/s of one CPU core.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import OptionError
from genlab.networks.timed_mlp import TimeEmbedding

GROUPS = 8  # groups of each group norm


def sides(shape: Sequence[int], patch: int = 1) -> list[int]:
    """Returns the sides of the levels, from the image's side to 8 or less: 28 -> [28, 14, 7], 64 -> [64, 32, 16, 8].

    Args:
        patch: side of the patches that become one position; the first side is divided by it.

    Raises:
        UserError: the images are not square, cannot be halved that far, or cannot be cut into patches.
    """
    if patch < 1 or shape[-1] % patch:
        raise OptionError("patch", f"images of side {shape[-1]} cannot be cut into patches of side {patch}")
    levels = [shape[-1] // patch]
    while levels[-1] > 8 and levels[-1] % 2 == 0:
        levels.append(levels[-1] // 2)
    if len(shape) != 3 or shape[1] != shape[2] or levels[-1] > 8:
        raise OptionError(
            "net",
            "unet needs square images whose side halves down to 8 or less (28, 32, 64, ...), "
            f"not samples of shape {tuple(shape)}; use mlp",
        )
    return levels


class UNet(nn.Module):
    """U-Net with time and class embedding, whose output is 0 at first; 0.6 million parameters at 28x28 and width 32.

    Args:
        shape: (C, H, W) of the images.
        classes: number of classes, 0 for none.
        width: channels at full size; twice as many at all levels below. A multiple of 8.
        dropout: share of the hidden units set to 0 within a block.
        patch: side of the patches that are one position of the first level, 1 for pixels.

    Raises:
        UserError: the images, the width or the patches do not fit.
    """

    def __init__(
        self, shape: Sequence[int], classes: int = 0, width: int = 32, dropout: float = 0.0, patch: int = 1
    ) -> None:
        super().__init__()
        if width < GROUPS or width % GROUPS:
            raise OptionError("width", f"must be a multiple of {GROUPS}, the groups of a unet's norm, got {width}")
        channels = [width] + [2 * width] * (len(sides(shape, patch)) - 1)
        self.patch, pixels = patch, shape[0] * patch**2
        self.embedding = TimeEmbedding(width, classes)
        size = self.embedding.size
        self.first = nn.Conv2d(pixels, width, 3, padding=1)
        incoming = [width, *channels[:-1]]
        self.down = nn.ModuleList(Block(i, c, size, dropout) for i, c in zip(incoming, channels, strict=True))
        deep = channels[-1]
        self.attention = Attention(deep)
        self.middle = Block(deep, deep, size, dropout)
        self.up = nn.ModuleList(Block(2 * c, c, size, dropout) for c in channels)
        self.shrink = nn.ModuleList(nn.Conv2d(c, c, 3, 2, 1) for c in channels[:-1])
        # Applied before the side is doubled, where it is cheap; the next block smooths the result.
        self.grow = nn.ModuleList(nn.Conv2d(below, c, 1) for c, below in pairwise(channels))
        self.last = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, pixels, 3, padding=1))
        _zero(self.last[-1])

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, C, H, W), (B,) times in [0, 1] and (B,) labels to (B, C, H, W)."""
        embedded = F.silu(self.embedding(t, y))
        h, skips = self.first(F.pixel_unshuffle(x, self.patch)), []
        for level, block in enumerate(self.down):
            h = block(h, embedded)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.middle(self.attention(h), embedded)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                h = F.interpolate(self.grow[level](h), scale_factor=2.0)
            h = self.up[level](torch.cat([h, skips[level]], dim=1), embedded)
        return F.pixel_shuffle(self.last(h), self.patch)


class Block(nn.Module):
    """Residual block: (B, inputs, H, W), (B, size) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, size: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, inputs), nn.GroupNorm(GROUPS, outputs)])
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(size, outputs)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        _zero(self.second)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        h = self.first(F.silu(self.norms[0](x))) + self.time(embedded)[:, :, None, None]
        return self.skip(x) + self.second(self.dropout(F.silu(self.norms[1](h))))


class Attention(nn.Module):
    """Self-attention over all positions of an image, one head, with a residual: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.parts = nn.Conv2d(channels, 3 * channels, 1)
        self.last = nn.Conv2d(channels, channels, 1)
        _zero(self.last)

    def forward(self, x: Tensor) -> Tensor:
        # (B, 3C, H, W) -> (B, positions, C) each
        query, key, value = self.parts(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.last(mixed.transpose(1, 2).reshape(x.shape))


def _zero(layer: nn.Module) -> None:
    """Sets all weights of a residual branch's last layer to 0, so that the block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
