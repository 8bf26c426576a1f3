"""A pool of past samples, which shows a discriminator some older fakes and not only the latest.

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
        shape: the shape of one sample.
        capacity: the number of samples kept; 0 returns every sample unchanged.
        labelled: whether to keep each sample's label.
    """

    stored: Tensor  # (capacity, *shape)
    labels: Tensor  # (capacity,) int64, if labelled
    count: Tensor  # () int64, the number of filled slots

    def __init__(self, shape: Sequence[int], capacity: int, labelled: bool = False) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("stored", torch.zeros(capacity, *shape))
        if labelled:
            self.register_buffer("labels", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Exchanges new samples for those to show the discriminator, at random.

        Samples (B, *shape) and, in a labelled pool, labels (B,) -> the same shapes; without labels, None.
        """
        if self.capacity == 0:
            return x, y
        slot = torch.randint(self.capacity, (len(x),), device=x.device)
        swap = torch.rand(len(x), device=x.device) < 0.5
        return self.exchange(x, y, slot, swap)

    def exchange(self, x: Tensor, y: Tensor | None, slot: Tensor, swap: Tensor) -> tuple[Tensor, Tensor | None]:
        """Exchanges samples as `forward` does, with slots (B,) and coin flips (B,) already drawn.

        The result is that of going through the batch one by one, without a loop or a host sync for the count: if two
        samples of a batch hit the same slot, the later one gets the earlier one out of it.
        """
        order = torch.arange(len(x), device=x.device)
        fills = self.count + order < self.capacity
        slot = torch.where(fills, self.count + order, slot)
        hits = (fills | swap) & (slot[:, None] == slot)  # (B, B): [j, i] sample i writes into the slot of sample j
        earlier = torch.where(hits & (order < order[:, None]), order, -1).amax(1)  # the last i < j that does so
        last = torch.where(hits, order, -1).amax(1)  # the last i of all, whose sample the slot keeps
        draws = swap & ~fills

        def through(pool: Tensor, new: Tensor) -> Tensor:
            def or_old(source: Tensor) -> Tensor:
                """Returns the new samples that `source` points at; where it is -1, the old content of the slot."""
                old = (source < 0).view(-1, *[1] * (new.dim() - 1))
                return torch.where(old, pool[slot], new[source.clamp(min=0)])

            shown = torch.where(draws.view(-1, *[1] * (new.dim() - 1)), or_old(earlier), new)
            pool[slot] = or_old(last)  # samples of one slot all write the same values, in any order
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
