"""A residual multi-layer perceptron conditioned on time: (x, t, y) -> (B, *shape), for points and codes.

    h <- h + W₂ silu(W₁ silu(h) + E(t, y)),    E: the sum of the embeddings of time and class

Time enters through sines and cosines of many frequencies (section 3.5 of A. Vaswani et al., "Attention Is All You
Need", 2017, https://arxiv.org/abs/1706.03762), as in J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic
Models", 2020, https://arxiv.org/abs/2006.11239. Coordinates may be encoded in the same way (`fourier.py`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.networks.fourier import Fourier

TIMES = 1000.0  # t in [0, 1] is embedded as the step 1000 t


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Embeds t as sine and cosine of 1000 t at h = width / 2 frequencies 10000^(-i / h), i < h: (B,) -> (B, width)."""
    half = width // 2
    frequency = torch.exp(-math.log(10000.0) / half * torch.arange(half, device=t.device, dtype=t.dtype))
    angle = TIMES * t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """An embedding of (t, y) as one vector: a small net on the sinusoids of t, plus a learned vector per class.

    Args:
        width: length of the sinusoids; the result has 4 width numbers.
        classes: number of classes, 0 for none; the additional label `classes` stands for "no class".
    """

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        self.width, self.size = width, 4 * width
        self.layers = nn.Sequential(nn.Linear(width, self.size), nn.SiLU(), nn.Linear(self.size, self.size))
        self.labels = nn.Embedding(classes + 1, self.size) if classes else None

    def forward(self, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B,) times in [0, 1] and (B,) labels to (B, 4 width)."""
        embedded = self.layers(sinusoids(t, self.width))
        return embedded if self.labels is None else embedded + self.labels(y)


class TimedMLP(nn.Module):
    """Residual MLP with time and class embedding, whose output is 0 at first.

    Args:
        shape: of one sample, flattened inside.
        classes: number of classes, 0 for none.
        hidden: width of the residual stream.
        blocks: residual blocks.
        dropout: share of a block's hidden units set to 0.
        features: octaves of sines and cosines added to each coordinate, 0 for none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 0,
        hidden: int = 128,
        blocks: int = 3,
        dropout: float = 0.0,
        features: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        size = math.prod(shape)
        self.fourier = Fourier(features, math.pi / 2)
        self.embedding = TimeEmbedding(hidden // 4, classes)
        self.first = nn.Linear(self.fourier.widened(size), hidden)
        self.blocks = nn.ModuleList(Block(hidden, self.embedding.size, dropout) for _ in range(blocks))
        self.last = nn.Linear(hidden, size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, *shape), (B,) times in [0, 1] and (B,) labels to (B, *shape)."""
        h, embedded = self.first(self.fourier(x.flatten(1))), nn.functional.silu(self.embedding(t, y))
        for block in self.blocks:
            h = block(h, embedded)
        return self.last(nn.functional.silu(h)).view(-1, *self.shape)


class Block(nn.Module):
    """Residual block h + W₂ silu(W₁ silu(h) + E): (B, hidden), (B, size) -> (B, hidden)."""

    def __init__(self, hidden: int, size: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.time = nn.Linear(size, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, embedded: Tensor) -> Tensor:
        inner = nn.functional.silu(self.first(nn.functional.silu(h)) + self.time(embedded))
        return h + self.second(self.dropout(inner))
