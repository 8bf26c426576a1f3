"""The state of a training: all that a resume needs, as tensors, numbers, strings and containers of them."""

from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from genlab.data.base import Dataset
from genlab.errors import UserError, brief, out_of_memory
from genlab.models.base import Family
from genlab.tracker import Meter
from genlab.trainer.eager import lying_as
from genlab.trainer.ema import EMA
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
        "data": trainer.data.fingerprint,
        "family": trainer.family.state_dict(),
        "ema": trainer.ema.twin.state_dict() if trainer.ema else None,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()},
        "meter": trainer.meter.state_dict(),
        "best": trainer.best.found,
        "stale": trainer.best.stale,
        "monitors": trainer.monitors.state_dict(),
    }


def restore(trainer: Stateful, state: State) -> None:
    """Take up what `collect` gave.

    Raises:
        UserError: it is the state of another model, or of training on other data.
    """
    known = trainer.data.fingerprint
    if state.get("data", known) != known:
        raise UserError(
            f"the data are not those that this run began with (fingerprint {known}, then {state['data']}): "
            "put the files and the data's options back, or start a new run"
        )
    try:
        trainer.family.load_state_dict(state["family"])
        if trainer.ema:
            trainer.ema.twin.load_state_dict(state.get("ema") or state["family"])
        for name, optimizer in trainer.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            lay_out(optimizer)
        # What follows may be absent: an older genlab, or one without that monitor, wrote the file.
        trainer.meter.load_state_dict(state.get("meter", Meter().state_dict()), trainer.device)
        best = state.get("best")
        trainer.best.found = (float(best[0]), int(best[1])) if best else None
        trainer.best.stale = int(state.get("stale", 0))
        format_1 = {"posterior collapse": {"count": state.get("collapse", 0)}}
        trainer.monitors.load_state_dict(state.get("monitors", format_1))
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        if out_of_memory(error):
            raise
        raise UserError(f"the checkpoint does not fit this model: {brief(error)}") from error
    trainer.step = state["step"]


def lay_out(optimizer: Optimizer) -> None:
    """Have the state of each parameter lie in memory as the parameter does, for fused kernels go through both alike.

    The run that wrote it may have had the channels of its convolutions elsewhere.
    """
    for parameter, its in optimizer.state.items():
        for key, value in its.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                its[key] = lying_as(parameter, value)
