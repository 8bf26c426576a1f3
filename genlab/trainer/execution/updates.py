"""Makes the optimizers, and the updates that `trainer.execution` asks for, on behalf of the training loop."""

import inspect
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch.optim import Optimizer

from genlab.errors import UserError, brief, out_of_memory
from genlab.models.base import Phase
from genlab.trainer.execution.compiled import Compiled
from genlab.trainer.execution.cuda_graph import Graphed
from genlab.trainer.execution.eager import Eager, Reduce, Update, parameters
from genlab.trainer.options import Options

OptimizerFactory = Callable[..., Optimizer]  # parameters -> optimizer
REFUSALS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, AssertionError)
FITTING = "Adam, AdamW, RMSprop or SGD"


def make_optimizer(phase: Phase, factory: OptimizerFactory, device: torch.device) -> Optimizer:
    """Makes the phase's optimizer, with torch's fused kernel if there is one and the config does not say otherwise.

    Raises:
        UserError: the optimizer refuses its options or parameters, or cannot step with dense gradients alone.
    """
    options = {name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()}
    chosen = options.get("foreach") or options.get("differentiable")  # neither can be combined with `fused`
    if options.get("fused", False) is None and not chosen and device.type in ("cpu", "cuda"):
        factory = partial(factory, fused=True)
    try_one_step(factory, f"optimizer.{phase.name}", device)
    try:
        return factory(parameters(phase))
    except REFUSALS as error:
        if out_of_memory(error):
            raise
        hint = f"; use one such as {FITTING}" if "parameter" in str(error) else ""
        raise UserError(f"optimizer.{phase.name}: {brief(error)}{hint}") from error


def try_one_step(factory: OptimizerFactory, path: str, device: torch.device) -> None:
    """Let the optimizer update a small matrix, so that an unsuitable one fails before any training.

    Updates provide dense gradients and no closure that recomputes the loss, so LBFGS and SparseAdam cannot be used.

    Args:
        path: the optimizer's path in the config.

    Raises:
        UserError: the step fails.
    """
    matrix = torch.zeros(2, 2, device=device, requires_grad=True)
    matrix.grad = torch.ones_like(matrix)
    try:
        optimizer = factory([matrix])
    except REFUSALS:  # reported when the optimizer is made with the real parameters
        return
    try:
        with warnings.catch_warnings(action="ignore"):
            optimizer.step()
    except REFUSALS as error:
        why = "its step needs a closure" if "closure" in str(error) else brief(error)
        name = type(optimizer).__name__
        hint = "" if name in FITTING else f"; use one such as {FITTING}"
        raise UserError(f"{path}: {name} cannot be used here: {why}{hint}") from error


def make_update(
    phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
) -> Update:
    """Makes the update that `options.execution` asks for; `auto` is eager.

    Args:
        reduce: averages gradients over the ranks, if there are several; only eager updates support it.
    """
    return WAYS.get(options.execution, Eager)(phase, optimizer, options, device, reduce)


WAYS: dict[str, type[Eager]] = {"eager": Eager, "compile": Compiled, "graph": Graphed}
