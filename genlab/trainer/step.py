"""One update of one phase: loss, gradients of the phase's own parameters, clipping, optimizer.

An `Update` takes the parts of a batch and returns what was logged. Ways to execute it (eager here) differ in speed
alone; the loop never knows which one runs.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from genlab.data.base import Batch
from genlab.errors import UserError, brief
from genlab.models.base import Phase
from genlab.trainer.options import Options

OptimizerFactory = Callable[..., Optimizer]  # from the parameters
Logs = dict[str, Tensor]
Reduce = Callable[[Sequence[Tensor]], Sequence[Tensor]]  # gradients -> their mean over the ranks


class Update(Protocol):
    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        """Run one update on the parts of a batch; return the logs, "loss" among them, and what each part carries.

        A part may be drawn only when it is asked for, and then draws from its own seed: go through them one by one.
        """
        ...


def parameters(phase: Phase) -> list[Tensor]:
    """The parameters that a phase moves, each once."""
    found = {id(p): p for module in phase.modules for p in module.parameters() if p.requires_grad}
    return list(found.values())


def make_optimizer(phase: Phase, factory: OptimizerFactory, device: torch.device) -> Optimizer:
    """The phase's optimizer, fused into one kernel where torch has that and the config does not say otherwise.

    Raises:
        UserError: the optimizer refuses its options.
    """
    fused = inspect.signature(factory).parameters.get("fused")
    if fused is not None and fused.default is None and device.type in ("cpu", "cuda"):
        factory = partial(factory, fused=True)
    try:
        return factory(parameters(phase))
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer.{phase.name}: {brief(error)}") from error


class Eager:
    """The update as plain PyTorch, one operation after the other."""

    def __init__(
        self, phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
    ) -> None:
        self.reduce = reduce
        self.phase, self.optimizer, self.clip = phase, optimizer, options.clip_grad_norm
        self.parameters = parameters(phase)
        self.autocast: Any = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")

    def __call__(self, parts: Iterable[Batch]) -> tuple[Logs, list[Batch]]:
        gradients: Sequence[Tensor] = ()
        logs, carries = [], []
        for batch in parts:
            with self.autocast:
                out = self.phase.loss(batch)
            # Gradients of this phase's parameters and of nothing else: all other modules are frozen here.
            new = torch.autograd.grad(out.loss, self.parameters)
            if gradients:
                torch._foreach_add_(gradients, new)
            gradients = gradients or new
            logs.append({"loss": out.loss.detach()} | {key: value.detach() for key, value in out.logs.items()})
            carries.append({key: value.detach() for key, value in out.carry.items()})
        if len(logs) > 1:
            torch._foreach_div_(gradients, len(logs))
        if self.reduce:
            gradients = self.reduce(gradients)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        log = logs[0] if len(logs) == 1 else {k: torch.stack([each[k] for each in logs]).mean() for k in logs[0]}
        if self.clip:
            log["grad_norm"] = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.phase.after:
            self.phase.after()
        return log, carries


def make_update(
    phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
) -> Update:
    """The way to run a phase that `options.execution` asks for; `auto` is eager."""
    return Eager(phase, optimizer, options, device, reduce)
