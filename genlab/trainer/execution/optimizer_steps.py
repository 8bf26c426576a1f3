"""Steps of fused Adam as a function of the gradients, with the lists of its state built only once.

At each call, `Optimizer.step` looks up its state, groups tensors by device and dtype and calls profiler hooks. On a
small net that is about a twentieth of the update: without this module, 2-D WGAN-GP takes 1.07 times as long, a VAE on
points 1.06, a DDPM 1.03 (`python scripts/benchmarks/tricks.py fused_optimizer`, AMD EPYC, one thread, torch 2.14). The
state stays in the optimizer, so a checkpoint does not depend on how a step was taken.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

Gradients = tuple[Tensor, ...] | list[Tensor]

KEYS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")  # in the state of a parameter
OPTIONS = ("amsgrad", "weight_decay", "eps", "maximize")


class Fused:
    """Calls torch's fused kernel for all parameters of an Adam or AdamW with one parameter group."""

    def __init__(self, optimizer: Optimizer, parameters: list[Tensor]) -> None:
        self.optimizer, self.parameters = optimizer, parameters
        self.state: list[list[Tensor]] = []  # by key; empty for a key that parameters do not have
        self._seen: Any = None
        decoupled = optimizer.param_groups[0].get("decoupled_weight_decay", isinstance(optimizer, AdamW))
        self.kernel: Callable[..., None] = torch._fused_adamw_ if decoupled else torch._fused_adam_

    @staticmethod
    def fits(optimizer: Optimizer, parameters: list[Tensor]) -> bool:
        """Returns whether the optimizer itself would call that kernel once: parameters of one kind, and `fused` on."""
        kinds = {(p.device, p.dtype) for p in parameters}
        groups = optimizer.param_groups
        return type(optimizer) in (Adam, AdamW) and len(groups) == len(kinds) == 1 and bool(groups[0].get("fused"))

    def find_state(self) -> None:
        """Look up the state again if it was reloaded. The first `Optimizer.step` creates it."""
        first = self.optimizer.state[self.parameters[0]]
        if first is self._seen:
            return
        self._seen = first
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        self.state = [[state[key] for state in states if state.get(key) is not None] for key in KEYS]

    def __call__(self, gradients: Gradients) -> None:
        self.find_state()
        *moments, steps = self.state
        torch._foreach_add_(steps, 1)
        group = self.optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        options = {key: group[key] for key in OPTIONS}
        self.kernel(self.parameters, gradients, *moments, steps, lr=group["lr"], beta1=beta1, beta2=beta2, **options)
