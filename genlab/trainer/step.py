"""The hook between the loop and the ways to execute an update: optimizers, and updates by `trainer.execution`."""

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch.optim import Optimizer

from genlab.errors import UserError, brief
from genlab.models.base import Phase
from genlab.trainer.compiled import Compiled
from genlab.trainer.eager import Eager, Reduce, Update, parameters
from genlab.trainer.graph import Graphed
from genlab.trainer.options import Options

OptimizerFactory = Callable[..., Optimizer]  # from the parameters


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
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        raise UserError(f"optimizer.{phase.name}: {brief(error)}") from error


def make_update(
    phase: Phase, optimizer: Optimizer, options: Options, device: torch.device, reduce: Reduce | None = None
) -> Update:
    """The way to run a phase that `options.execution` asks for; `auto` is eager.

    Args:
        reduce: of several ranks, what turns gradients into their mean over the ranks; only eager updates take it.
    """
    return WAYS.get(options.execution, Eager)(phase, optimizer, options, device, reduce)


WAYS: dict[str, type[Eager]] = {"eager": Eager, "compile": Compiled, "graph": Graphed}
