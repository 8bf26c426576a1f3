"""The training state: everything that a resume needs, as tensors, numbers, strings and containers of them."""

import copy
import inspect
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from genlab.data.base import Dataset
from genlab.data.spec import Spec
from genlab.errors import UserError, brief, out_of_memory
from genlab.models.base import Family
from genlab.runs.tracker import Meter
from genlab.trainer.ema import EMA
from genlab.trainer.execution.eager import match_strides
from genlab.trainer.monitors import Monitors
from genlab.trainer.validate import Best

State = dict[str, Any]


class Stateful(Protocol):
    """The parts of a trainer that change during training, and what they are checked against."""

    step: int
    seed: int
    device: torch.device
    family: Family
    data: Dataset
    ema: EMA | None
    optimizers: dict[str, Optimizer]
    meter: Meter
    best: Best
    monitors: Monitors


def collect(trainer: Stateful) -> State:
    """Returns the content of a checkpoint, the same in every execution mode and for any number of ranks."""
    return {
        "step": trainer.step,
        "seed": trainer.seed,
        "spec": trainer.data.spec.state(),
        "counts": list(trainer.data.spec.counts),
        "data": trainer.data.fingerprint,
        "family": trainer.family.state_dict(),
        "ema": trainer.ema.model.state_dict() if trainer.ema else None,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()},
        "optimizer_classes": {name: type(optimizer).__name__ for name, optimizer in trainer.optimizers.items()},
        "meter": trainer.meter.state_dict(),
        "best": trainer.best.found,
        "stale": trainer.best.stale,
        "monitors": trainer.monitors.state_dict(),
    }


def restore(trainer: Stateful, state: State) -> None:
    """Restore a state returned by `collect`.

    Raises:
        UserError: the state belongs to another model or optimizer, or to training on other data.
    """
    check_data(state, trainer.data)
    try:
        check_optimizers(state, trainer.optimizers)
        trainer.family.load_state_dict(state["family"])
        if trainer.ema:
            trainer.ema.model.load_state_dict(state.get("ema") or state["family"])
        for name, optimizer in trainer.optimizers.items():
            load_optimizer(optimizer, state["optimizers"][name], name)
        # These may be absent: the file may come from an older genlab, or one without that monitor.
        trainer.meter.load_state_dict(state.get("meter", Meter().state_dict()), trainer.device)
        trainer.best.load(state.get("best"), int(state.get("stale", 0)))
        format_1 = {"posterior collapse": {"count": state.get("collapse", 0)}}
        trainer.monitors.load_state_dict(state.get("monitors", format_1))
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        if out_of_memory(error):
            raise
        reason = brief(error).split(": ", 1)[-1] if "state_dict" in str(error) else brief(error)
        raise UserError(
            f"the checkpoint does not fit this model; restore the net options that were changed ({reason})"
        ) from error
    trainer.step = state["step"]


def check_data(state: State, data: Dataset) -> None:
    """Refuse data other than those that the checkpoint's run was trained on.

    Other rows, or the same rows in another order, would be evaluated with the wrong scale, and training rows would be
    used as held-out ones.

    Raises:
        UserError: the fingerprint, the range of the values or the meaning of the fields differs.
    """
    known = data.fingerprint
    if state.get("data", known) != known:
        raise UserError(
            f"the data differ from those this run was trained on (fingerprint {known}, was {state['data']}): "
            "restore the files and the data options, or start a new run"
        )
    try:
        began = Spec.of(state["spec"])
    except (KeyError, TypeError, ValueError):  # damaged or absent: building the model from it reports that
        return
    if began.values != data.spec.values:
        raise UserError(
            f"data.range: this run began with {began.values}, not {data.spec.values}: restore it, or start a new run"
        )
    if began.meaning != data.spec.meaning:
        raise UserError(
            "the data's fields differ from those this run was trained on: restore the files and options, or start a "
            "new run"
        )


def check_optimizers(state: State, optimizers: Mapping[str, Optimizer]) -> None:
    """Refuse an optimizer of another class than the run's, which could not use the state.

    Raises:
        UserError: the class of an optimizer has changed.
    """
    classes = state.get("optimizer_classes") or {}
    for name, optimizer in optimizers.items():
        before, now = classes.get(name), type(optimizer).__name__
        if before not in (None, now):
            raise UserError(f"optimizer.{name}._target_: this run began with {before}, not {now}; start a new run")


def load_optimizer(optimizer: Optimizer, state: State, name: str) -> None:
    """Load the state of an optimizer but keep its current options, which a resumed run may have changed.

    Options are the arguments of the optimizer's constructor; anything else in a group, such as a counter, is state.

    Raises:
        UserError: the options need state that the run did not store.
        ValueError, KeyError and others: the state does not fit.
    """
    named = inspect.signature(type(optimizer)).parameters.keys() - {"params"}
    options = [{key: value for key, value in group.items() if key in named} for group in optimizer.param_groups]
    needed = state_keys(optimizer)
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)
    kept = set().union(*optimizer.state.values()) if optimizer.state else needed
    if lacking := needed - kept:
        raise UserError(
            f"optimizer.{name}: its options need {', '.join(sorted(lacking))}, which this run did not store; restore "
            "the options, or start a new run"
        )
    lay_out(optimizer)


def state_keys(optimizer: Optimizer) -> set[str]:
    """Returns the keys of an optimizer's state per parameter, found by a step of a copy on a dummy parameter."""
    parameter = torch.nn.Parameter(torch.zeros(1, 1))
    options = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    try:
        probe = copy.copy(optimizer)
        probe.param_groups, probe.state = [], defaultdict(dict)
        probe.add_param_group({"params": [parameter], **options})
        parameter.grad = torch.ones_like(parameter)
        probe.step()
        return {key for key, value in probe.state[parameter].items() if value is not None}
    except Exception:  # it needs more than a gradient: the keys stay unknown, so nothing is refused
        return set()


def lay_out(optimizer: Optimizer) -> None:
    """Give the state of each parameter the parameter's strides, since fused kernels walk through both in memory order.

    The run that wrote the state may have used another memory layout for convolutions.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[key] = match_strides(parameter, value)
