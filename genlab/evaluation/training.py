"""Which measures fit a family and a data set: asks the family for what it can do, hands tensors to the measures."""

from collections.abc import Callable

import torch

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.metrics import suite
from genlab.metrics.translation import translation
from genlab.models.base import Family, Measured, Sampler, Translator, round_trip
from genlab.trainer import device

MEASURED = 5000  # samples for the measures of the training loop; a fifth of it for images
OWN_MEASURES = 100_000  # for what a family measures of itself


def evaluator(data: Dataset, where: torch.device, seed: int) -> Callable[[Family], dict[str, float]]:
    """The measures of the training loop: of samples against the validation split, in data units."""
    count = min(MEASURED // 5 if data.spec.is_image else MEASURED, len(data.splits["validation"].x))
    mixture = getattr(data, "mixture", None)
    known = (mixture.modes, mixture.sigma) if mixture else ()

    @torch.no_grad()
    def evaluate(family: Family) -> dict[str, float]:
        device.seed(where, seed)
        if isinstance(family, Translator) and isinstance(data, Pairs):
            batch = data.head("validation", count)
            there, back = round_trip(family, batch["a"])
            truth = data.decode(data.transform(batch["a"])) if data.known else None
            a, b = data.decode(batch["a"]), data.decode(batch["b"])
            return translation(a, data.decode(there), data.decode(back), b, truth)
        if isinstance(family, Measured):
            return {f"eval/{name}": value for name, value in family.measures(OWN_MEASURES).items()}
        if not isinstance(family, Sampler):
            return {}
        return suite.quick(data.decode(family.sample(count)), data.real("validation", count), *known)

    return evaluate
