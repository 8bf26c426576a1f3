"""A net that is causal in blocks: a Transformer reads the blocks before, a masked MLP the numbers before in the block.

    c_s = Transformer(start, W b_1, ..., W b_(s-1))_s,    out_s = MADE(b_s, c_s)

The cost of attention then grows with the number of blocks, 28 rows of an image, and not with that of its 784 pixels.
With a single block it is MADE, with blocks of one number a Transformer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.networks.causal import Cache, CausalTransformer
from genlab.networks.masked_mlp import MaskedMLP


class BlockwiseNet(nn.Module):
    """The parameters of each slot's distribution, from all numbers before it.

    Args:
        inputs, outputs: numbers and parameters of each slot of a block, (P,).
        count: S, the number of blocks.
        context: length of what is given; 0 for nothing.
        classes: number of classes that it is told; 0 for none.
        width, layers, heads: of the Transformer.
        hidden, blocks: width and residual blocks of the masked MLP.
        dropout: of both.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        count: int,
        context: int,
        classes: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Linear(sum(inputs), width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(count, width))
        self.given = nn.Linear(context, width, bias=False) if context else None
        self.classes = nn.Embedding(classes, width) if classes else None
        # Without blocks before there is nothing to attend to.
        self.transformer = CausalTransformer(width, layers if count > 1 else 0, heads, dropout)
        self.within = MaskedMLP(inputs, outputs, width, hidden, blocks, dropout)

    def told(self, given: Tensor | None, y: Tensor | None) -> Tensor | float:
        """What is added at every position: of given numbers (B, K) and classes (B,), (B, 1, width)."""
        told: Tensor | float = 0.0
        if self.given is not None and given is not None:
            told = told + self.given(given.flatten(1))[:, None]
        if self.classes is not None and y is not None:
            told = told + self.classes(y)[:, None]
        return told

    def forward(self, blocks: Tensor, given: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Blocks (B, S, I) -> parameters (B, S, O)."""
        before = self.embedding(blocks[:, :-1])
        start = self.start.to(before).expand(len(blocks), 1, -1)
        seen = torch.cat([start, before], dim=1) + self.places + self.told(given, y)
        return self.within(blocks, self.transformer(seen))

    def context(self, place: int, before: Tensor | None, n: int, told: Tensor | float, cache: Cache) -> Tensor:
        """The context of block `place`, (n, width), from the block before it, (n, I), and a cache that is extended."""
        seen = self.start.expand(n, -1) if before is None else self.embedding(before)
        return self.transformer(seen[:, None] + self.places[place] + told, cache)[:, 0]
