"""The state of a training: all that a resume needs, as tensors, numbers, strings and containers of them."""

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
    """The parts of a trainer that change as it trains, and what they are checked against."""

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
    """What a checkpoint holds, the same in every execution mode and for any number of ranks."""
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
    """Take up what `collect` gave.

    Raises:
        UserError: it is the state of another model or another optimizer, or of training on other data.
    """
    check_data(state, trainer.data)
    try:
        check_optimizers(state, trainer.optimizers)
        trainer.family.load_state_dict(state["family"])
        if trainer.ema:
            trainer.ema.model.load_state_dict(state.get("ema") or state["family"])
        for name, optimizer in trainer.optimizers.items():
            load_optimizer(optimizer, state["optimizers"][name], name)
        # What follows may be absent: an older genlab, or one without that monitor, wrote the file.
        trainer.meter.load_state_dict(state.get("meter", Meter().state_dict()), trainer.device)
        trainer.best.load(state.get("best"), int(state.get("stale", 0)))
        format_1 = {"posterior collapse": {"count": state.get("collapse", 0)}}
        trainer.monitors.load_state_dict(state.get("monitors", format_1))
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        if out_of_memory(error):
            raise
        reason = brief(error).split(": ", 1)[-1] if "state_dict" in str(error) else brief(error)
        raise UserError(
            f"the checkpoint does not fit this model; put back the options of its nets that were changed ({reason})"
        ) from error
    trainer.step = state["step"]


def check_data(state: State, data: Dataset) -> None:
    """Refuse data other than those that the run of a checkpoint was trained on.

    Other rows, or the same in another order, would be judged by the old scale, and training rows taken for held-out
    ones.

    Raises:
        UserError: the fingerprints differ, or the range of the values.
    """
    known = data.fingerprint
    if state.get("data", known) != known:
        raise UserError(
            f"the data are not those that this run began with (their fingerprint is {known}, and was {state['data']}): "
            "put the files and the data's options back, or start a new run"
        )
    try:
        began = Spec.of(state["spec"])
    except (KeyError, TypeError, ValueError):  # damaged, or of no data; whoever makes a model of it says so
        return
    if began.values != data.spec.values:
        raise UserError(
            f"data.range: this run began with {began.values}, not {data.spec.values}: put it back or start a new run"
        )
    if began.meaning != data.spec.meaning:
        raise UserError(
            "the data's fields are not those that this run began with: put the files and options back, or start a new "
            "run"
        )


def check_optimizers(state: State, optimizers: Mapping[str, Optimizer]) -> None:
    """Refuse an optimizer of another class than the run's: it could do nothing with the state.

    Raises:
        UserError: one is of another class.
    """
    classes = state.get("optimizer_classes") or {}
    for name, optimizer in optimizers.items():
        before, now = classes.get(name), type(optimizer).__name__
        if before not in (None, now):
            raise UserError(f"optimizer.{name}._target_: this run began with {before}, not {now}; start a new run")


def load_optimizer(optimizer: Optimizer, state: State, name: str) -> None:
    """Take up the state of an optimizer and keep the options that it was made with: a resumed run may change them.

    Options are what the optimizer's constructor takes; what else a group holds, a counter say, is state.

    Raises:
        UserError: options that need a state which the run did not keep.
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
            f"optimizer.{name}: its options need {', '.join(sorted(lacking))}, which this run did not keep; put the "
            "options back, or start a new run"
        )
    lay_out(optimizer)


def state_keys(optimizer: Optimizer) -> set[str]:
    """What an optimizer with these options keeps of each parameter, found by a step of one like it on one number."""
    parameter = torch.nn.Parameter(torch.zeros(1, 1))
    options = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    try:
        probe = copy.copy(optimizer)
        probe.param_groups, probe.state = [], defaultdict(dict)
        probe.add_param_group({"params": [parameter], **options})
        parameter.grad = torch.ones_like(parameter)
        probe.step()
        return {key for key, value in probe.state[parameter].items() if value is not None}
    except Exception:  # one that needs more than a gradient: nothing is known, and nothing is refused
        return set()


def lay_out(optimizer: Optimizer) -> None:
    """Have the state of each parameter lie in memory as the parameter does, for fused kernels go through both alike.

    The run that wrote it may have had the channels of its convolutions elsewhere.
    """
    for parameter, its in optimizer.state.items():
        for key, value in its.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                its[key] = match_strides(parameter, value)
