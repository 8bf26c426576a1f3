"""Classes drawn in the shares that they have in the training data.

A conditional model p(x|y) samples p(x) only when y is drawn from p(y): even shares of uneven classes are another
distribution. A class without training samples is never drawn.
"""

import torch
from torch import Tensor, nn

from genlab.data.base import Spec


class ClassPrior(nn.Module):
    """p(y), drawn by the inverse of its distribution function. It is made from the spec, so no checkpoint holds it."""

    cumulative: Tensor
    shares: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        cumulative = torch.tensor(spec.shares, dtype=torch.float64).cumsum(0)
        # The last one divided by itself is exactly 1, so that no draw lies beyond it.
        self.register_buffer("cumulative", (cumulative / cumulative[-1]).float(), persistent=False)
        self.register_buffer("shares", torch.tensor(spec.shares), persistent=False)

    def draw(self, n: int) -> Tensor:
        """n classes from torch's global generator: (n,) int64. Static shapes, no host sync."""
        u = torch.rand(n, device=self.cumulative.device, dtype=self.cumulative.dtype)
        return torch.searchsorted(self.cumulative, u, right=True)  # a class of share 0 has no width, and is passed over

    def mean(self, values: Tensor) -> Tensor:
        """E_p(y) of values of each class: (K, B) -> (B,)."""
        return (self.shares[:, None] * values).sum(0)
