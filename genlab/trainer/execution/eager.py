"""One update of one phase in plain PyTorch: loss, gradients of the phase's own parameters, clipping, optimizer.

The other ways to execute an update (compiled, as a CUDA graph) are made of the same pieces: they differ in speed alone.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from genlab.data.base import Batch
from genlab.models.base import Phase
from genlab.trainer.execution.optimizer_steps import Fused, Gradients
from genlab.trainer.options import Options

Logs = dict[str, Tensor]
Reduce = Callable[[Sequence[Tensor]], Gradients]  # gradients -> their mean over the ranks


class Update(Protocol):
    @property
    def preparation(self) -> float:
        """Seconds that went into making graphs so far: no training."""
        ...

    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        """Run one update on the parts of a batch; return the logs, "loss" among them, and what each part carries.

        A part may be drawn only when it is asked for, and then draws from its own seed: go through them one by one.
        """
        ...


def parameters(phase: Phase) -> list[Tensor]:
    """The parameters that a phase moves, each once."""
    found = {id(p): p for module in phase.modules for p in module.parameters() if p.requires_grad}
    return list(found.values())


class Eager:
    """The update as plain PyTorch, one operation after the other.

    Args:
        reduce: of several ranks, what turns the gradients into their mean over the ranks.
    """

    def __init__(
        self, phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
    ) -> None:
        self.reduce = reduce
        self.phase, self.optimizer, self.limit = phase, optimizer, options.clip_grad_norm
        self.parameters = parameters(phase)
        self.fused = Fused(optimizer, self.parameters) if Fused.fits(optimizer, self.parameters) else None
        bf16 = options.precision == "bf16"
        self.autocast: Any = partial(torch.autocast, device.type, torch.bfloat16) if bf16 else nullcontext

    @property
    def preparation(self) -> float:
        return 0.0

    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        gradients: Gradients = ()
        logs, carries = [], []
        for batch in parts:
            new, log, carry = self.differentiate(batch)
            if gradients:
                torch._foreach_add_(gradients, new)
            gradients = gradients or new
            logs.append(log)
            carries.append(carry)
        if len(logs) > 1:
            torch._foreach_div_(gradients, len(logs))
        if self.reduce:
            gradients = self.reduce(gradients)
        log = logs[0] if len(logs) == 1 else {k: torch.stack([each[k] for each in logs]).mean() for k in logs[0]}
        self.move(gradients, log)
        return log, carries

    def differentiate(self, batch: Batch) -> tuple[Gradients, Logs, Batch]:
        """One part's gradients, of this phase's parameters and nothing else, its logs, and what it carries."""
        with self.autocast():
            out = self.phase.loss(batch)
        gradients = torch.autograd.grad(out.loss, self.parameters)
        log = {"loss": out.loss.detach()} | {key: value.detach() for key, value in out.logs.items()}
        return gradients, log, {key: value.detach() for key, value in out.carry.items()}

    def move(self, gradients: Gradients, log: Logs) -> None:
        """Clip the gradients, logging their norm; let the optimizer step; do what the phase does after that."""
        if self.limit:
            log["grad_norm"] = clip(gradients, self.limit)
        self.advance(gradients)
        if self.phase.after:
            self.phase.after()

    @torch.no_grad()
    def advance(self, gradients: Gradients) -> None:
        """One step of the optimizer."""
        # Fused optimizers go through both as they lie in memory, and a gradient may lie otherwise (of a convolution, in
        # the second derivatives of a penalty): `backward()` would lay it out anew, so do we.
        gradients = [match_strides(p, gradient) for p, gradient in zip(self.parameters, gradients, strict=True)]
        if self.fused and self.optimizer.state:
            self.fused(gradients)
            return
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def whole(self, batch: Batch) -> tuple[Logs, Batch]:
        """The update on a batch in one part, as a function that one graph can hold; its logs, and what it carries."""
        gradients, log, carry = self.differentiate(batch)
        self.move(gradients, log)
        return log, carry


def match_strides(parameter: Tensor, values: Tensor) -> Tensor:
    """Returns `values`, of the parameter's shape, with the parameter's strides; copies only if needed."""
    return values if values.stride() == parameter.stride() else torch.empty_like(parameter).copy_(values)


def clip(gradients: Gradients, limit: float) -> Tensor:
    """Scale gradients in place to a norm of at most `limit`, all taken as one vector; return the norm before: ().

    What `torch.nn.utils.clip_grad_norm_` does, for gradients that do not lie at their parameters.
    """
    norm = torch.nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm
