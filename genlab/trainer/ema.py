"""Exponential moving average of the weights, kept as a frozen copy of the whole family.

B. T. Polyak, A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992,
https://doi.org/10.1137/0330046. For GANs: Y. Yazıcı et al., "The Unusual Effectiveness of Averaging in GAN Training",
2019, https://arxiv.org/abs/1806.04498.
"""

import copy
from typing import cast

import torch
from torch import Tensor

from genlab.models.base import Family


class EMA:
    """Keeps `model`, a copy of `family` whose weights follow the original's: w̄ <- d w̄ + (1 - d) w after each step.

    Args:
        decay: d; at step t it is at most (1 + t) / (10 + t), so that a short run does not average noise.
    """

    def __init__(self, family: Family, decay: float) -> None:
        self.decay = decay
        self.model = cast(Family, copy.deepcopy(family)).requires_grad_(False).eval()
        self._weights: tuple[list[Tensor], list[Tensor]] = (
            list(self.model.parameters()),
            [parameter.detach() for parameter in family.parameters()],
        )
        self._buffers = list(self.model.buffers()), list(family.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the copy after training step number `step` (from 0). Buffers (BatchNorm statistics) are copied."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._weights, 1 - decay)
        for twin, buffer in zip(*self._buffers, strict=True):
            twin.copy_(buffer)
