"""Takes the cheap subset of the measures during training, against the validation split."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.evaluation import abilities
from genlab.evaluation.judges import quick_judge_of
from genlab.metrics.attempts import Reasons, attempt
from genlab.metrics.features import FeatureNet
from genlab.metrics.translation import translation
from genlab.models.base import Family, Measured, Sampler, Translator, round_trip
from genlab.trainer import device

OWN_MEASURES = 100_000  # samples for the measures that a family takes itself


def evaluator(
    data: Dataset, where: torch.device, seed: int, net: FeatureNet | None = None, reasons: Reasons | None = None
) -> Callable[[Family], dict[str, float]]:
    """Returns a function that measures a family, with values under the names they are logged under, `eval/...`.

    Values are in data units; columns of a table stay standardised, or the one with the largest numbers would dominate.

    Args:
        net: feature net that judges images; None leaves those measures out.
        reasons: collects, by name, why a measure failed while the others go on; with None, the exception is raised.
    """
    judge = quick_judge_of(data, net, reasons)
    count = len(judge.real)

    @torch.no_grad()
    def evaluate(family: Family) -> dict[str, float]:
        device.seed(where, seed)
        if isinstance(family, Translator) and isinstance(data, Pairs):
            return attempt("eval/translation_error", partial(of_translations, family, data, count), reasons) or {}
        if isinstance(family, Measured):
            own = attempt("eval/measures", lambda: family.measures(OWN_MEASURES), reasons) or {}
            return {f"eval/{name}": value for name, value in own.items()}
        if not isinstance(family, Sampler):
            return {}
        labels = data.labels("validation", count) if family.conditional else None
        samples = attempt("eval/samples", lambda: abilities.samples_in_units(family, count, labels), reasons)
        return {} if samples is None else judge(samples)

    return evaluate


def of_translations(family: Translator, data: Pairs, count: int) -> dict[str, float]:
    """Returns the measures of `count` validation samples that are translated and translated back."""

    def decode(x: Tensor) -> Tensor:
        return data.spec.standardise(data.decode(x))

    batch = data.head("validation", count)
    translated, restored = round_trip(family, batch["a"])
    truth = decode(data.transform(batch["a"])) if data.known else None
    return translation(decode(batch["a"]), decode(translated), decode(restored), decode(batch["b"]), truth)
