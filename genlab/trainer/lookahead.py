"""Optimizer steps as differentiable functions, for losses that depend on the optimizer's next steps.

`torch.optim` changes weights in place, and its `differentiable=True` gives NaN where a second moment is 0 (the weights
of a dead ReLU). Here a step starts from the optimizer's own moments and does not change them:

    SGD          b <- μ b + (1 - τ) g              θ <- θ - η b              (with Nesterov: g + μ b)
    RMSprop      v <- α v + (1 - α) g²             θ <- θ - η g / (√v + ε)
    Adam, AdamW  m <- β₁ m + (1 - β₁) g            θ <- θ - η m̂ / (√v̂ + ε)
                 v <- β₂ v + (1 - β₂) g²           m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, https://arxiv.org/abs/1412.6980.
I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", 2019, https://arxiv.org/abs/1711.05101.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from genlab.errors import UserError
from genlab.models.base import Moments

KEYS = {SGD: ("momentum_buffer",), RMSprop: ("square_avg",), Adam: ("exp_avg", "exp_avg_sq"), AdamW: ()}
KEYS[AdamW] = KEYS[Adam]
UNSUPPORTED = {SGD: (), RMSprop: ("centered", "momentum"), Adam: ("amsgrad",), AdamW: ("amsgrad",)}


class Lookahead:
    """Computes the next steps that an optimizer would take from its current state.

    Call `read` before each update, outside of any graph. It copies the learning rate and the step count into tensors
    and looks up the moments, so that a compiled graph need not be rebuilt when they change.

    Args:
        path: the optimizer's path in the config.
        limit: largest gradient norm, as in `trainer.clip_grad_norm`; 0: no clipping.

    Raises:
        UserError: the optimizer, or one of its enabled options, is not supported.
    """

    def __init__(self, optimizer: Optimizer, path: str, limit: float = 0.0) -> None:
        kind, group = type(optimizer), optimizer.param_groups[0]
        if kind not in KEYS:
            raise UserError(
                f"{path}: model.unrolled does not support {kind.__name__}; use Adam, AdamW, RMSprop or SGD, "
                "or set model.unrolled_rate"
            )
        on = [name for name in UNSUPPORTED[kind] if group[name]]
        if on:
            raise UserError(
                f"{path}.{on[0]}: model.unrolled does not support this option; turn it off, or set model.unrolled_rate"
            )
        self.optimizer, self.kind, self.limit = optimizer, kind, limit
        first: Tensor = group["params"][0]
        self.rate = torch.zeros((), device=first.device, dtype=first.dtype)
        self.count = torch.zeros((), device=first.device, dtype=first.dtype)  # steps taken
        self._moments: Moments = []
        self._seen: object = None

    def __deepcopy__(self, memo: dict) -> "Lookahead":
        return self  # a copy of a family keeps using the optimizer of the original

    def read(self) -> None:
        """Read the optimizer's current learning rate and state."""
        group = self.optimizer.param_groups[0]
        self.rate.fill_(group["lr"])
        states = [self.optimizer.state.get(parameter, {}) for parameter in group["params"]]
        if self.kind is SGD:  # has no step count; its first step is the one without a buffer
            self.count.fill_(states[0].get("momentum_buffer") is not None)
        elif "step" in states[0]:
            self.count.copy_(states[0]["step"])
        if self._moments and states[0] is self._seen and states[0].get(KEYS[self.kind][0]) is not None:
            return
        self._seen = states[0]
        self._moments = [
            [
                moment if (moment := state.get(key)) is not None else torch.zeros_like(parameter)
                for parameter, state in zip(group["params"], states, strict=True)
            ]
            for key in KEYS[self.kind]
        ]

    def start(self) -> Moments:
        """Returns the optimizer's moments as of the last `read`, for the first step."""
        return self._moments

    def __call__(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], moments: Moments, number: int
    ) -> tuple[list[Tensor], Moments]:
        """Returns weights and moments after lookahead step `number` (from 1), differentiable in all tensors given."""
        group = self.optimizer.param_groups[0]
        if self.limit:
            norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
            factor = (self.limit / (_root(norm) + 1e-6)).clamp(max=1.0)
            gradients = [factor * gradient for gradient in gradients]
        if group["maximize"]:
            gradients = [-gradient for gradient in gradients]
        if decay := group["weight_decay"]:
            if group.get("decoupled_weight_decay", self.kind is AdamW):
                weights = [(1 - self.rate * decay) * weight for weight in weights]
            else:
                gradients = [g + decay * w for g, w in zip(gradients, weights, strict=True)]
        rule: Callable = {SGD: self._sgd, RMSprop: self._rmsprop}.get(self.kind, self._adam)
        steps, moments = rule(gradients, moments, number)
        return [w - self.rate * step for w, step in zip(weights, steps, strict=True)], moments

    def _sgd(self, gradients: Sequence[Tensor], moments: Moments, number: int) -> tuple[list[Tensor], Moments]:
        group = self.optimizer.param_groups[0]
        momentum = group["momentum"]
        if not momentum:
            return list(gradients), moments
        fresh = torch.where(self.count + number == 1, 1.0, 1.0 - group["dampening"])  # the first step is not dampened
        buffers = [momentum * b + fresh * g for b, g in zip(moments[0], gradients, strict=True)]
        if group["nesterov"]:
            return [g + momentum * b for g, b in zip(gradients, buffers, strict=True)], [buffers]
        return buffers, [buffers]

    def _rmsprop(self, gradients: Sequence[Tensor], moments: Moments, number: int) -> tuple[list[Tensor], Moments]:
        group = self.optimizer.param_groups[0]
        alpha = group["alpha"]
        squares = [alpha * v + (1 - alpha) * g.square() for v, g in zip(moments[0], gradients, strict=True)]
        return [g / (_root(v) + group["eps"]) for g, v in zip(gradients, squares, strict=True)], [squares]

    def _adam(self, gradients: Sequence[Tensor], moments: Moments, number: int) -> tuple[list[Tensor], Moments]:
        group = self.optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        t = self.count + number
        unbias1, unbias2 = (-torch.expm1(t * (math.log(b) if b else -math.inf)) for b in (beta1, beta2))  # 1 - βᵗ
        means = [beta1 * m + (1 - beta1) * g for m, g in zip(moments[0], gradients, strict=True)]
        squares = [beta2 * v + (1 - beta2) * g.square() for v, g in zip(moments[1], gradients, strict=True)]
        steps = [m / unbias1 / (_root(v) / unbias2.sqrt() + group["eps"]) for m, v in zip(means, squares, strict=True)]
        return steps, [means, squares]


def _root(values: Tensor) -> Tensor:
    """Returns √v, with derivative 0 at v = 0, where autograd would compute infinity times 0."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
