"""A pool of past samples: a discriminator is shown some of what the generator made earlier, not only its latest.

For each new sample in turn: while the pool is not full, store the sample and return it; after that, with probability
1/2 return it, and otherwise return a stored one, drawn uniformly, and put the new one in its place.

A. Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", 2017,
https://arxiv.org/abs/1612.07828 (section 2.3), in the form of CycleGAN (https://arxiv.org/abs/1703.10593, section 4).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PastSamples(nn.Module):
    """Up to `capacity` past samples, in buffers: they survive a resume and follow the module from device to device.

    Args:
        shape: of one sample.
        capacity: how many are kept; 0 returns every sample as it is.
    """

    stored: Tensor  # (capacity, *shape)
    count: Tensor  # () int64: how many slots are filled

    def __init__(self, shape: Sequence[int], capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("stored", torch.zeros(capacity, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Exchange new samples for what the discriminator is shown: (B, *shape) -> (B, *shape). Draws randomness."""
        if self.capacity == 0:
            return x
        slot = torch.randint(self.capacity, (len(x),), device=x.device)
        swap = torch.rand(len(x), device=x.device) < 0.5
        return self.exchange(x, slot, swap)

    def exchange(self, x: Tensor, slot: Tensor, swap: Tensor) -> Tensor:
        """What `forward` does with slots (B,) and coins (B,) that were drawn already.

        The same as going through the batch one by one, without a loop and without asking the device for the count:
        two samples of a batch may hit one slot, and then the later one gets the earlier one out of it.
        """
        order = torch.arange(len(x), device=x.device)
        fills = self.count + order < self.capacity
        slot = torch.where(fills, self.count + order, slot)
        writes = fills | swap
        hits = writes & (slot[:, None] == slot)  # (B, B): [j, i] sample i writes into the slot of sample j
        earlier = torch.where(hits & (order < order[:, None]), order, -1).amax(1)  # the last one to do so before j
        in_slot = writes & (torch.arange(self.capacity, device=x.device)[:, None] == slot)  # (capacity, B)
        last = torch.where(in_slot, order, -1).amax(1)

        everything = torch.cat([self.stored, x.to(self.stored.dtype)])
        source = torch.where(earlier < 0, slot, self.capacity + earlier)
        source = torch.where(swap & ~fills, source, self.capacity + order)
        shown = everything[source]
        kept = torch.where(last < 0, torch.arange(self.capacity, device=x.device), self.capacity + last)
        self.stored.copy_(everything[kept])
        self.count.copy_((self.count + len(x)).clamp(max=self.capacity))
        return shown
