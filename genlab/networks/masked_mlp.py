"""MADE: a multi-layer perceptron whose outputs for a number depend on the numbers before it only, and on a context.

    h_0 = M_0 x + U c,   h <- h + M_2 silu(M_1 silu(h)),   out = M_3 silu(h) + V c

Each hidden unit has a degree d in 0..P-1 and sees the first d slots; masks keep it so: a unit reads slots up to its
degree and units of at most its degree, and the outputs of slot p read units of degree below p.

M. Germain, K. Gregor, I. Murray, H. Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", 2015,
https://arxiv.org/abs/1502.03509.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedLinear(nn.Linear):
    """A linear layer with some weights fixed at 0.

    Args:
        mask: (outputs, inputs) bool, the weights that are used.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MaskedMLP(nn.Module):
    """Outputs for each of P slots from the slots before it and a context.

    Args:
        inputs: how many numbers each slot has, (P,).
        outputs: how many outputs, (P,).
        context: length of the context.
        hidden: width of the residual stream.
        blocks: residual blocks.
        dropout: share of the hidden numbers of a block set to 0.
    """

    def __init__(
        self, inputs: Sequence[int], outputs: Sequence[int], context: int, hidden: int, blocks: int, dropout: float
    ) -> None:
        super().__init__()
        slots = torch.arange(len(inputs))
        degree = torch.arange(hidden) * len(inputs) // hidden  # 0..P-1, spread evenly
        before, after = slots.repeat_interleave(torch.tensor(inputs)), slots.repeat_interleave(torch.tensor(outputs))
        self.first = MaskedLinear(before[None] < degree[:, None])
        among = degree[None] <= degree[:, None]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), MaskedLinear(among), nn.SiLU(), nn.Dropout(dropout), MaskedLinear(among))
            for _ in range(blocks)
        )
        self.last = MaskedLinear(degree[None] <= after[:, None])
        self.context_in = nn.Linear(context, hidden, bias=False)
        self.context_out = nn.Linear(context, len(after), bias=False)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        nn.init.zeros_(self.context_out.weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Numbers of all slots (..., I) and contexts (..., W) -> (..., O)."""
        h = self.first(x) + self.context_in(context)
        for block in self.blocks:
            h = h + block(h)
        return self.last(F.silu(h)) + self.context_out(context)
