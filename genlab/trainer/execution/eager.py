"""Runs one update of a phase in plain PyTorch: loss, gradients of the phase's own parameters, clipping, optimizer.

The other ways to run an update (compiled, as a CUDA graph) use the same methods and differ only in speed and rounding.
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
        """Seconds spent so far on making graphs, which do not count as training."""
        ...

    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        """Run one update on the parts of a batch; returns the logs, including "loss", and what each part carries.

        `parts` may seed the generator each time it yields, so process each part before taking the next one.
        """
        ...


def parameters(phase: Phase) -> list[Tensor]:
    """Returns the parameters that a phase trains, each once."""
    unique = {id(p): p for module in phase.modules for p in module.parameters() if p.requires_grad}
    return list(unique.values())


class Eager:
    """An update in plain PyTorch, one operation after the other.

    Args:
        reduce: averages gradients over the ranks, if there are several.
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
        log = logs[0] if len(logs) == 1 else {k: torch.stack([part[k] for part in logs]).mean() for k in logs[0]}
        self.move(gradients, log)
        return log, carries

    def differentiate(self, batch: Batch) -> tuple[Gradients, Logs, Batch]:
        """Returns the gradients of this phase's parameters for one part, its logs, and what it carries."""
        with self.autocast():
            out = self.phase.loss(batch)
        gradients = torch.autograd.grad(out.loss, self.parameters)
        log = {"loss": out.loss.detach()} | {key: value.detach() for key, value in out.logs.items()}
        return gradients, log, {key: value.detach() for key, value in out.carry.items()}

    def move(self, gradients: Gradients, log: Logs) -> None:
        """Clip the gradients and log their norm, step the optimizer, then call the phase's `after`."""
        if self.limit:
            log["grad_norm"] = clip(gradients, self.limit)
        self.advance(gradients)
        if self.phase.after:
            self.phase.after()

    @torch.no_grad()
    def advance(self, gradients: Gradients) -> None:
        """Take one step of the optimizer."""
        # Fused optimizers walk through parameters and gradients in memory order, and a gradient's strides may differ
        # (of a convolution, in the second derivatives of a penalty). `backward()` would also copy it into the right
        # strides.
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
        """Run the update on a batch in one part, as a function that can be captured in one graph."""
        gradients, log, carry = self.differentiate(batch)
        self.move(gradients, log)
        return log, carry


def match_strides(parameter: Tensor, values: Tensor) -> Tensor:
    """Returns `values`, of the parameter's shape, with the parameter's strides; copies only if needed."""
    return values if values.stride() == parameter.stride() else torch.empty_like(parameter).copy_(values)


def clip(gradients: Gradients, limit: float) -> Tensor:
    """Scale gradients in place so that their joint norm is at most `limit`; returns the norm before scaling, ().

    Like `torch.nn.utils.clip_grad_norm_`, but for gradients that are not stored in their parameters.
    """
    norm = torch.nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm
