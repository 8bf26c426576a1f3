"""Computes losses on held-out data and tracks the best state of the model."""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.errors import UserError
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.measure import cost
from genlab.models.base import Family

BATCHES = 20  # at most, per validation loss
# Measures computed together with another one; if they fail, they are left out under its name.
TAKEN_WITH = {
    "recall": "precision",
    "balance": "classes",
    **dict.fromkeys(("high_quality", "mode_std", "reverse_kl", "std_ratio_min", "std_ratio_max"), "modes"),
    **dict.fromkeys(("cycle_error", "identity_error"), "translation_error"),
}
BY_FEATURES = ("fid", "precision", "recall", "classes", "balance")  # all left out if there is no judge
ANNEALED = 2**31 - 1  # the step given to validation losses: after all annealing, to make values comparable over time


@torch.no_grad()
def validation_losses(model: Family, data: Dataset, size: int) -> dict[str, float]:
    """Returns the mean validation losses and the values they log; draws from torch's global generator.

    Batches have `size` samples. Keys are eval/<key> for a family of one phase, else eval/<phase>/<key>.
    """
    phases = model.phases()
    length = len(data.splits["validation"].x)
    step = torch.full((), ANNEALED, dtype=torch.int64, device=model.device)
    totals: dict[str, Tensor] = {}
    seen = 0
    for index in torch.arange(length, device=model.device).split(size)[:BATCHES]:
        batch = data.batch("validation", index) | {"step": step}
        seen += len(index)
        for phase in phases:
            out = phase.loss(batch)
            batch |= out.carry
            prefix = "eval" if len(phases) == 1 else f"eval/{phase.name}"
            for key, value in (("loss", out.loss), *out.logs.items()):
                name = f"{prefix}/{key}"
                totals[name] = totals.get(name, torch.zeros_like(value)) + len(index) * value
    return {name: (total / seen).item() for name, total in totals.items()}


def covering(measure: str) -> set[str]:
    """Returns the names under which a measure can be left out: its own, and those of what it is computed with."""
    name = measure.rsplit("/", 1)[-1]
    own = {measure, f"eval/{TAKEN_WITH.get(name, name)}"}
    # A name that is not a measure of samples is a loss, or a value that a loss logs.
    own |= {"eval/fid"} if name in BY_FEATURES else {"eval/loss", "eval/measures"}
    return own | {"eval/samples", "measures"}


class Best:
    """Tracks the best value of the monitored measure, which decides best.pt.

    Args:
        monitor: the measure's name; "auto": for a family of one phase the validation loss, which is a bound or an error
            and falls as the model improves. The losses of a game do not, so with several phases it is the sliced
            Wasserstein distance, where that is measured.
        mode: min or max, which is better; auto: what the catalogue of measures says ("near 1": the nearer to 1, the
            better), or min for a measure it does not list.
        phases: the number of phases of the family.

    Raises:
        UserError: mode is auto, but neither direction is better for this measure.
    """

    def __init__(self, monitor: str, mode: str, phases: int) -> None:
        self.required = monitor != "auto"
        self.monitor = monitor if self.required else "eval/loss" if phases == 1 else "eval/sliced_w2"
        if mode == "auto":
            known = MEASURES.get(self.monitor.rsplit("/", 1)[-1])
            mode = known.better if known else "min"
            if not mode:
                raise UserError(f"trainer.mode: must be min or max for trainer.monitor={self.monitor}")
        self.better = mode
        self.found: tuple[float, int] | None = None  # the value, always finite, and its step
        self.stale = 0  # evaluations since then

    def update(
        self, step: int, measures: dict[str, float], partial: bool = False, left_out: Collection[str] = ()
    ) -> bool:
        """Returns whether the monitored value is the best so far; a value that is not finite never is.

        Args:
            partial: the evaluation at the end of a run falls between two intervals; it does not count towards
                `patience`, because a resumed run would not have made it.
            left_out: names of measures that could not be computed; of those computed together, the first.

        Raises:
            UserError: the chosen measure is neither in `measures` nor in `left_out`.
        """
        if self.monitor not in measures:
            if self.required and not (covering(self.monitor) & set(left_out)):
                raise UserError(f"trainer.monitor: '{self.monitor}' is none of {', '.join(measures)}")
            return False
        value = measures[self.monitor]
        if not math.isfinite(value) or not self._gains(value):
            self.stale += not partial
            return False
        self.found, self.stale = (value, step), 0
        return True

    def _gains(self, value: float) -> bool:
        return not self.found or cost(value, self.better) < cost(self.found[0], self.better)

    def load(self, found: Sequence[float] | None, stale: int) -> None:
        """Restore the best value from a checkpoint. Drops a NaN, which older runs could store as their first value."""
        self.found = (float(found[0]), int(found[1])) if found and math.isfinite(found[0]) else None
        self.stale = stale
