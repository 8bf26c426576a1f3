"""Transformers for series: an encoder, a decoder and a denoiser, whose tokens are the steps.

    h = W x_t + p_t,   h <- h + attention(norm(h)),   h <- h + W_2 gelu(W_1 norm(h))

p_t is learned. Attention is written out as softmax(q kᵀ / √d) v, because the fused kernels of torch cannot be
differentiated twice, as gradient penalties need; for series of some hundred steps it is as fast.

A. Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762; the norm stands before each
branch as in R. Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020,
https://arxiv.org/abs/2002.04745.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import within
from genlab.networks.table import series
from genlab.networks.timed_mlp import TimeEmbedding

HEAD = 16  # least width of an attention head
MOST_HEADS = 8


class Block(nn.Module):
    """Self-attention over all steps and a net for each step, both with a residual: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(n for n in range(1, MOST_HEADS + 1) if n == 1 or (width % n == 0 and width >= n * HEAD))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.parts, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def attention(self, h: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        # (B, T, 3 width) -> (B, heads, T, width / heads) each
        split = self.parts(h).unflatten(2, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(3)
        return self.mix((weights @ value).transpose(1, 2).flatten(2))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attention(self.norms[0](h))
        return h + self.second(F.gelu(self.first(self.norms[1](h))))


class Transformer(nn.Module):
    """Blocks and a last norm, on tokens to which learned positions are added: (B, T, width) -> (B, T, width).

    Args:
        steps: T.
        layers: number of blocks.
    """

    def __init__(self, steps: int, width: int, layers: int) -> None:
        super().__init__()
        within("width", width, 1)
        within("layers", layers, 1)
        self.places = nn.Parameter(0.02 * torch.randn(steps, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor, each: Tensor | None = None) -> Tensor:
        """Maps tokens; `each` (B, width), the embedding of time, is added to them before every block."""
        h = h + self.places
        for block in self.blocks:
            h = block(h if each is None else h + each[:, None])
        return self.norm(h)


class TransformerEncoder(nn.Module):
    """A net from series to vectors: the mean of all steps, mapped linearly.

    Args:
        shape: (C, T) of the series.
        outputs: shape of the result, () for a single number.
    """

    def __init__(self, shape: Sequence[int], outputs: Sequence[int] = (), width: int = 64, layers: int = 2) -> None:
        super().__init__()
        channels, steps = series("transformer", shape)
        self.outputs = tuple(outputs)
        self.first, self.net = nn.Linear(channels, width), Transformer(steps, width, layers)
        self.last = nn.Linear(width, sum(outputs) if outputs else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, T) to (B, *outputs)."""
        return self.last(self.features(x)).view(len(x), *self.outputs)

    def features(self, x: Tensor) -> Tensor:
        """Returns the mean of all steps: (B, C, T) -> (B, width)."""
        return self.net(self.first(x.transpose(1, 2))).mean(1)


class TransformerDecoder(nn.Module):
    """A net from vectors to series: the vector is mapped to a token of its own for each step.

    Args:
        inputs: length of the vector.
        shape: (C, T) of the series.
    """

    def __init__(self, inputs: int, shape: Sequence[int], width: int = 64, layers: int = 2) -> None:
        super().__init__()
        channels, self.steps = series("transformer", shape)
        self.first, self.net = nn.Linear(inputs, self.steps * width), Transformer(self.steps, width, layers)
        self.last = nn.Linear(width, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, C, T)."""
        return self.last(self.net(self.first(z).unflatten(1, (self.steps, -1)))).transpose(1, 2)


class TransformerDenoiser(nn.Module):
    """A denoiser with time and class embedding, whose output is 0 at first.

    Args:
        shape: (C, T) of the series.
        classes: number of classes, 0 for none.
    """

    def __init__(self, shape: Sequence[int], classes: int = 0, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        channels, steps = series("transformer", shape)
        self.embedding = TimeEmbedding(width + width % 2, classes)
        self.time = nn.Linear(self.embedding.size, width)
        self.first, self.net = nn.Linear(channels, width), Transformer(steps, width, layers)
        self.last = nn.Linear(width, channels)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps (B, C, T), (B,) times in [0, 1] and (B,) labels to (B, C, T)."""
        embedded = self.time(F.silu(self.embedding(t, y)))
        return self.last(self.net(self.first(x.transpose(1, 2)), embedded)).transpose(1, 2)
