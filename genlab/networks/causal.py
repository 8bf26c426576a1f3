"""A causal Transformer: each position of a sequence sees itself and those before it.

Layer norm comes first in each layer (R. Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020,
https://arxiv.org/abs/2002.04745). In sampling, keys and values of earlier positions are kept, so that a new position
costs one pass over itself.

A. Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.errors import OptionError

Cache = list[tuple[Tensor, Tensor]]  # the keys and values of each layer, (B, heads, steps so far, width / heads)


class CausalTransformer(nn.Module):
    """Maps sequences to sequences, from the past only.

    Args:
        width: numbers at each position; a multiple of the heads.
        layers, heads: of attention.
        dropout: share of the numbers behind each layer set to 0.

    Raises:
        OptionError: the width is no multiple of the heads.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise OptionError("width", f"must be a multiple of heads ({heads}), got {width}")
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """Sequences (B, S, width) -> (B, S, width).

        Args:
            cache: keys and values of the positions before these, which is extended by these; [] for none yet.
        """
        past = cache if cache else [None] * len(self.layers)
        kept = []
        for layer, before in zip(self.layers, past, strict=True):
            x, seen = layer(x, before)
            kept.append(seen)
        if cache is not None:
            cache[:] = kept
        return self.norm(x)


class Layer(nn.Module):
    """Attention to the past, then two linear layers at each position, both added to their input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, S, width), and the keys and values of earlier positions -> the same, those of all positions."""
        query, key, value = self.into(self.first(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        # A single position sees all that are kept; several start a sequence.
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.second(x))))), (key, value)
