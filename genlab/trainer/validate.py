"""Losses on held-out data, and which state of the model was the best."""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.errors import UserError
from genlab.metrics.catalogue import MEASURES
from genlab.metrics.measure import cost
from genlab.models.base import Family

BATCHES = 20  # at most, for one validation loss
# Measures that come with another one, and are left out under its name.
TAKEN_WITH = {
    "recall": "precision",
    "balance": "classes",
    **dict.fromkeys(("high_quality", "mode_std", "reverse_kl", "std_ratio_min", "std_ratio_max"), "modes"),
    **dict.fromkeys(("cycle_error", "identity_error"), "translation_error"),
}
BY_FEATURES = ("fid", "precision", "recall", "classes", "balance")  # all left out where the judge cannot be made
ANNEALED = 2**31 - 1  # the step that validation losses see: after all annealing, so that they compare over time


@torch.no_grad()
def validation_losses(model: Family, data: Dataset, size: int) -> dict[str, float]:
    """Means over validation batches of `size` of the losses and what they log; draws from torch's global generator.

    Named eval/<key> for a family of one phase, else eval/<phase>/<key>.
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
    """The names under which a measure of training is left out: its own, and those of what it is taken with."""
    name = measure.rsplit("/", 1)[-1]
    own = {measure, f"eval/{TAKEN_WITH.get(name, name)}"}
    # What is no measure of samples is a loss, or what one logs.
    own |= {"eval/fid"} if name in BY_FEATURES else {"eval/loss", "eval/measures"}
    return own | {"eval/samples", "measures"}


class Best:
    """The best value so far of the measure that best.pt follows.

    Args:
        monitor: the measure's name; "auto": the validation loss of a family of one phase, which is a bound or an error
            and falls as the model gets better. The losses of a game do not: there it is the sliced Wasserstein
            distance, where that is measured.
        mode: min or max, what is better; auto: what the catalogue of measures says ("near 1": the nearer to 1), min for
            one that it does not know.
        phases: of the family.

    Raises:
        UserError: auto, but neither less nor more of this measure is better.
    """

    def __init__(self, monitor: str, mode: str, phases: int) -> None:
        self.required = monitor != "auto"
        self.monitor = monitor if self.required else "eval/loss" if phases == 1 else "eval/sliced_w2"
        if mode == "auto":
            known = MEASURES.get(self.monitor.rsplit("/", 1)[-1])
            mode = known.better if known else "min"
            if not mode:
                raise UserError(f"trainer.mode: for trainer.monitor={self.monitor} it must be given, min or max")
        self.better = mode
        self.found: tuple[float, int] | None = None  # the value, always a finite one, and its step
        self.stale = 0  # evaluations since then

    def update(
        self, step: int, measures: dict[str, float], partial: bool = False, left_out: Collection[str] = ()
    ) -> bool:
        """Whether the measures of this step are better than all before. A value that is not finite never is.

        Args:
            partial: an evaluation between two intervals, at the end of a run; it does not count as one without a
                better value, because a resumed run would not have had it.
            left_out: names of measures that could not be had; of those that are taken together, the first.

        Raises:
            UserError: the chosen measure is neither among them nor among those that could not be had.
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
        """Take up what a checkpoint holds. Older runs could follow a first value that was NaN: it is dropped."""
        self.found = (float(found[0]), int(found[1])) if found and math.isfinite(found[0]) else None
        self.stale = stale
