"""A residual multi-layer perceptron on tokens, some of them hidden: it predicts every token from those that it sees.

    h_0 = W e(k),   h <- h + W_2 dropout(silu(W_1 norm(h))),   logits = V silu(norm(h))

e has a learned vector for each token of a column and one that stands for "hidden", and whether each is hidden. A token
of a number stands for a bin; where in the bin the number lies, the net sees as well if it is given the numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenMLP(nn.Module):
    """Logits of all tokens, given some: the order in which columns are asked for is free.

    Args:
        sizes: the number of tokens of each column.
        hidden: width of the residual stream.
        blocks: residual blocks.
        embedding: length of a token's vector.
        dropout: share of the hidden numbers of a block set to 0.
        numbers: how many numbers the net sees besides the tokens.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: int = 512,
        blocks: int = 3,
        embedding: int = 16,
        dropout: float = 0.1,
        numbers: int = 0,
    ) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.embeddings = nn.Embedding(sum(sizes) + len(sizes), embedding)
        starts = torch.tensor([0, *(size + 1 for size in sizes)]).cumsum(0)[:-1]
        self.register_buffer("starts", starts, persistent=False)  # of each column's vectors; the last stands for hidden
        self.register_buffer("hidden_token", torch.tensor(self.sizes), persistent=False)
        self.first = nn.Linear(len(sizes) * (embedding + 1) + numbers, hidden)
        self.blocks = nn.ModuleList(Block(hidden, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, sum(sizes))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    starts: Tensor
    hidden_token: Tensor

    def features(self, tokens: Tensor, known: Tensor, numbers: Tensor | None = None) -> Tensor:
        """What the last layer sees: (B, F) int64, (B, F) bool, (B, numbers) with 0 for hidden ones -> (B, hidden)."""
        seen = torch.where(known, tokens, self.hidden_token)
        embedded = self.embeddings(seen + self.starts).flatten(1)
        seen_as = [embedded, known.to(embedded)] if numbers is None else [embedded, known.to(embedded), numbers]
        h = self.first(torch.cat(seen_as, dim=1))
        for block in self.blocks:
            h = block(h)
        return F.silu(self.norm(h))

    def forward(self, tokens: Tensor, known: Tensor, numbers: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits of each column's tokens, (B, K_f) for each f, from what is known, see `features`."""
        return self.last(self.features(tokens, known, numbers)).float().split(self.sizes, dim=1)

    def logits(self, place: int, features: Tensor) -> Tensor:
        """The logits of one column alone, without computing the others: (B, hidden) -> (B, K)."""
        start = sum(self.sizes[:place])
        rows = slice(start, start + self.sizes[place])
        return F.linear(features, self.last.weight[rows], self.last.bias[rows]).float()


class Block(nn.Module):
    """h + W_2 dropout(silu(W_1 norm(h))): (B, hidden) -> (B, hidden)."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)
        self.first, self.second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(self.dropout(F.silu(self.first(self.norm(h)))))
