"""A step of a torch optimizer as a function of the gradients, on lists of its state that are made once.

`Optimizer.step` looks its state up, sorts tensors by device and type and speaks to profilers, at each call. On a small
net that takes longer than the arithmetic: a seventh of an update of 2-D WGAN-GP. The state stays where the optimizer
keeps it, so a checkpoint is the same whichever way a step was taken.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer, RMSprop
from torch.optim.rmsprop import rmsprop

Gradients = tuple[Tensor, ...] | list[Tensor]

_ADAM = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"), ("amsgrad", "weight_decay", "eps", "maximize")


class OptimizerStep:
    """The state and options of an optimizer with one group, as its step takes them.

    Args:
        keys: of the state of a parameter; what it does not have gives an empty list.
        options: of the group.
    """

    def __init__(
        self, optimizer: Optimizer, parameters: list[Tensor], keys: tuple[str, ...], options: tuple[str, ...]
    ) -> None:
        self.optimizer, self.parameters, self.keys, self.options = optimizer, parameters, keys, options
        self.state: list[list[Tensor]] = []
        self._seen: Any = None

    def find_state(self) -> bool:
        """Take up the state where it was loaded anew; return whether it was. The first `Optimizer.step` makes it."""
        first = self.optimizer.state[self.parameters[0]]
        if first is self._seen:
            return False
        self._seen = first
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        self.state = [[state[key] for state in states if state.get(key) is not None] for key in self.keys]
        return True

    def constants(self) -> dict[str, Any]:
        """The options as they are now, but for the rate."""
        group = self.optimizer.param_groups[0]
        constants = {key: group[key] for key in self.options}
        if "betas" in group:
            constants["beta1"], constants["beta2"] = group["betas"]
        return constants


class Fused(OptimizerStep):
    """The one kernel that torch has for all parameters of Adam or AdamW."""

    def __init__(self, optimizer: Optimizer, parameters: list[Tensor]) -> None:
        super().__init__(optimizer, parameters, *_ADAM)
        decoupled = optimizer.param_groups[0].get("decoupled_weight_decay", isinstance(optimizer, AdamW))
        self.kernel: Callable[..., None] = torch._fused_adamw_ if decoupled else torch._fused_adam_

    @staticmethod
    def fits(optimizer: Optimizer, parameters: list[Tensor]) -> bool:
        """Whether the optimizer would call that kernel, once: parameters of one kind, and `fused` on."""
        kinds = {(p.device, p.dtype) for p in parameters}
        groups = optimizer.param_groups
        return type(optimizer) in (Adam, AdamW) and len(groups) == len(kinds) == 1 and bool(groups[0].get("fused"))

    def __call__(self, gradients: Gradients) -> None:
        self.find_state()
        *moments, steps = self.state
        torch._foreach_add_(steps, 1)
        rate = self.optimizer.param_groups[0]["lr"]
        self.kernel(self.parameters, gradients, *moments, steps, lr=rate, **self.constants())


class InGraph(OptimizerStep):
    """A step that a compiled graph can hold. The rate is a tensor, so that a schedule needs no new graph."""

    keys_and_options: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]]

    def __init__(self, optimizer: Optimizer, parameters: list[Tensor], device: torch.device) -> None:
        super().__init__(optimizer, parameters, *self.keys_and_options)
        self.fixed: dict[str, Any] = {}
        self.rate = torch.zeros((), device=device)

    def read(self) -> bool:
        """Before each step, outside of the graph: take up the rate, and the state where it was loaded anew.

        Returns:
            Whether other options came with the state: they are constants of the graph.
        """
        self.rate.fill_(self.optimizer.param_groups[0]["lr"])
        if not self.find_state():
            return False
        before, self.fixed = self.fixed, self.constants()
        return self.fixed != before

    def __call__(self, gradients: Gradients) -> None:
        raise NotImplementedError


class RMSpropInGraph(InGraph):
    keys_and_options = (
        ("square_avg", "grad_avg", "momentum_buffer", "step"),
        ("alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    )

    def __call__(self, gradients: Gradients) -> None:
        rmsprop(self.parameters, list(gradients), *self.state, foreach=False, lr=self.rate, **self.fixed)


class AdamInGraph(InGraph):
    """Adam and AdamW. torch's own function has the compiler raise β to the power t anew for every few weights.

    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, https://arxiv.org/abs/1412.6980.
    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019, https://arxiv.org/abs/1711.05101.
    AMSGrad: S. J. Reddi et al., "On the Convergence of Adam and Beyond", 2018, https://arxiv.org/abs/1904.09237.
    """

    keys_and_options = _ADAM[0], (*_ADAM[1], "decoupled_weight_decay")

    def __init__(self, optimizer: Optimizer, parameters: list[Tensor], device: torch.device) -> None:
        super().__init__(optimizer, parameters, device)
        self.count = 0  # t, here on the host
        self.size, self.root = torch.zeros((), device=device), torch.zeros((), device=device)

    def find_state(self) -> bool:
        found = super().find_state()
        if found:
            self.count = int(self.state[-1][0])
        return found

    def read(self) -> bool:
        other = super().read()
        self.count += 1
        beta1, beta2 = self.fixed["beta1"], self.fixed["beta2"]
        self.size.fill_(self.optimizer.param_groups[0]["lr"] / (1 - beta1**self.count))  # α / (1 - β₁ᵗ)
        self.root.fill_(math.sqrt(1 - beta2**self.count))
        return other

    def __call__(self, gradients: Gradients) -> None:
        fixed, (means, squares, maxima, steps) = self.fixed, self.state
        for i, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            gradient = -gradient if fixed["maximize"] else gradient
            if fixed["weight_decay"] and fixed["decoupled_weight_decay"]:
                parameter.mul_(1 - self.rate * fixed["weight_decay"])
            elif fixed["weight_decay"]:
                gradient = gradient + fixed["weight_decay"] * parameter
            means[i].lerp_(gradient, 1 - fixed["beta1"])
            squares[i].mul_(fixed["beta2"]).addcmul_(gradient, gradient, value=1 - fixed["beta2"])
            if fixed["amsgrad"]:
                maxima[i].copy_(torch.maximum(maxima[i], squares[i]))
            second = maxima[i] if fixed["amsgrad"] else squares[i]
            parameter.sub_(self.size * means[i] / (second.sqrt() / self.root + fixed["eps"]))
            steps[i].add_(1)


IN_GRAPH: dict[type[Optimizer], type[InGraph]] = {Adam: AdamInGraph, AdamW: AdamInGraph, RMSprop: RMSpropInGraph}
