"""A pool of past samples: a discriminator is shown some of what the generator made earlier, not only its latest.

For each new sample in turn: while the pool is not full, store the sample and return it; after that, with probability
1/2 return it, and otherwise return a stored one, drawn uniformly, and put the new one in its place.

A. Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", 2017,
https://arxiv.org/abs/1612.07828 (section 2.3), in the form of CycleGAN (https://arxiv.org/abs/1703.10593, section 4).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class PastSamples(nn.Module):
    """Up to `capacity` past samples, in buffers: they survive a resume and follow the module from device to device.

    Args:
        shape: of one sample.
        capacity: how many are kept; 0 returns every sample as it is.
        labelled: whether each sample is kept with its label.
    """

    stored: Tensor  # (capacity, *shape)
    labels: Tensor  # (capacity,) int64, of a labelled pool
    count: Tensor  # () int64: how many slots are filled

    def __init__(self, shape: Sequence[int], capacity: int, labelled: bool = False) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("stored", torch.zeros(capacity, *shape))
        if labelled:
            self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Exchange new samples for what the discriminator is shown. Draws randomness.

        Samples (B, *shape) and, of a labelled pool, labels (B,) -> the same shapes; without labels, None.
        """
        if self.capacity == 0:
            return x, y
        slot = torch.randint(self.capacity, (len(x),), device=x.device)
        swap = torch.rand(len(x), device=x.device) < 0.5
        return self.exchange(x, y, slot, swap)

    def exchange(self, x: Tensor, y: Tensor | None, slot: Tensor, swap: Tensor) -> tuple[Tensor, Tensor | None]:
        """Exchange samples as `forward` does, with slots (B,) and coins (B,) that were drawn already.

        The result is that of going through the batch one by one, without a loop and without asking the device for the
        count: two samples of a batch may hit one slot, and then the later one gets the earlier one out of it.
        """
        order = torch.arange(len(x), device=x.device)
        fills = self.count + order < self.capacity
        slot = torch.where(fills, self.count + order, slot)
        hits = (fills | swap) & (slot[:, None] == slot)  # (B, B): [j, i] sample i writes into the slot of sample j
        earlier = torch.where(hits & (order < order[:, None]), order, -1).amax(1)  # the last one to do so before j
        last = torch.where(hits, order, -1).amax(1)  # the last one of all: its sample is what the slot keeps
        draws = swap & ~fills

        def through(pool: Tensor, new: Tensor) -> Tensor:
            def or_old(source: Tensor) -> Tensor:
                """The new samples `source` points at; where it is -1, what was in the slot."""
                old = (source < 0).view(-1, *[1] * (new.dim() - 1))
                return torch.where(old, pool[slot], new[source.clamp(min=0)])

            shown = torch.where(draws.view(-1, *[1] * (new.dim() - 1)), or_old(earlier), new)
            pool[slot] = or_old(last)  # samples of one slot all write the same values, so their order does not matter
            return shown

        shown = through(self.stored, x.to(self.stored.dtype))
        labels = through(self.labels, y) if y is not None else None
        self.count.copy_((self.count + len(x)).clamp(max=self.capacity))
        return shown, labels

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Reads the pools of older checkpoints too, in which GANs called these buffers x and y."""
        for old, new in (("x", "stored"), ("y", "labels")):
            if prefix + old in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
        super()._load_from_state_dict(state_dict, prefix, *rest)
