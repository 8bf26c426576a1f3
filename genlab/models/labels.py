"""Class labels drawn at their frequencies in the training data.

A conditional model p(x|y) samples p(x) only if y is drawn from p(y): drawing unequal classes equally often gives a
different distribution. A class without training samples is never drawn.
"""

import torch
from torch import Tensor, nn

from genlab.data.base import Spec
from genlab.errors import OptionError


def check_classes(spec: Spec) -> None:
    """Checks that a model can be told the classes of this data.

    Raises:
        OptionError: there are none, or the model is given columns.
    """
    if not spec.classes:
        raise OptionError("conditional", "this data has no labels; set it to false")
    if spec.table and spec.given:
        raise OptionError("conditional", "with data.condition, name the label there instead; set it to false")


class ClassPrior(nn.Module):
    """p(y), sampled by inverting its distribution function. It comes from the spec, so checkpoints do not hold it."""

    cumulative: Tensor
    shares: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        cumulative = torch.tensor(spec.shares, dtype=torch.float64).cumsum(0)
        # The last value divided by itself is exactly 1, so no draw lies beyond it.
        self.register_buffer("cumulative", (cumulative / cumulative[-1]).float(), persistent=False)
        self.register_buffer("shares", torch.tensor(spec.shares), persistent=False)

    def draw(self, n: int) -> Tensor:
        """Draws n classes from torch's global generator: (n,) int64. Static shapes, no host sync."""
        u = torch.rand(n, device=self.cumulative.device, dtype=self.cumulative.dtype)
        return torch.searchsorted(self.cumulative, u, right=True)  # a class of share 0 has no width and is never drawn

    def mean(self, values: Tensor) -> Tensor:
        """Averages the values of each class over p(y): (K, B) -> (B,)."""
        return (self.shares[:, None] * values).sum(0)
