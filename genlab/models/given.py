"""Channels that a model is given instead of learning them: p(other channels | given channels).

Whoever replaces a simulator wants the detector's signals for an energy, not more energies (`data.condition`). And how
long a series is, or how many nodes a graph has, is drawn before the rest: channels of kind `present` are given as well.
The given channels stay part of a sample, so that samples are complete; `split` takes them out of it and `join` puts
them back. Where `sample` is told no values, it takes those of training samples, of which a few thousand are kept with
the weights: lengths and numbers of nodes so have the shares of the training data.
"""

import torch
from torch import Tensor, nn

from genlab.data.base import Spec

ROWS = 4096  # training samples whose given channels are kept


class Given(nn.Module):
    """The given channels of a sample, and those of some training samples.

    Args:
        spec: of the data; `spec.given` says which channels are given.
    """

    rows: Tensor
    seen: Tensor
    mask: Tensor
    learnt: Tensor
    places: Tensor
    order: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        mask = torch.tensor(spec.given)
        learnt, places = (~mask).nonzero()[:, 0], mask.nonzero()[:, 0]
        self.size = len(places)  # K, the number of given channels
        mask = mask.view(-1, *[1] * (len(spec.shape) - 1))
        for name, value in (("mask", mask), ("learnt", learnt), ("places", places)):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("order", torch.cat([learnt, places]).argsort(), persistent=False)
        self.register_buffer("rows", torch.zeros(ROWS, self.size, *spec.shape[1:]))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # how many training samples were kept so far

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Splits samples into what is learnt and what is given: (B, C, ...) -> (B, C - K, ...), (B, K, ...)."""
        return x.index_select(1, self.learnt), x.index_select(1, self.places)

    def join(self, learnt: Tensor, given: Tensor) -> Tensor:
        """The inverse of `split`: (B, C - K, ...), (B, K, ...) -> (B, C, ...)."""
        return torch.cat([learnt, given.to(learnt)], dim=1).index_select(1, self.order)

    @torch.no_grad()
    def remember(self, x: Tensor) -> None:
        """Keeps the given channels of a training batch x (B, C, ...), in the place of the oldest."""
        given = self.split(x[:ROWS])[1]
        places = (self.seen + torch.arange(len(given), device=x.device)) % ROWS
        self.rows.index_copy_(0, places, given.to(self.rows))
        self.seen.add_(len(given))

    def draw(self, n: int) -> Tensor:
        """Draws the given channels of n of the training samples that were kept: (n, K, ...)."""
        filled = self.seen.clamp(max=ROWS)
        place = torch.rand(n, device=self.rows.device) * filled
        return self.rows[torch.minimum(place.long(), (filled - 1).clamp(min=0))]
