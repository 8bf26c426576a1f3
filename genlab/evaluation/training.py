"""The cheap subset of the measures that a run takes of itself while it trains, against the validation split."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.evaluation import abilities
from genlab.metrics import suite
from genlab.metrics.attempts import Reasons, attempt, attempt_all
from genlab.metrics.classes import class_balance, class_shares
from genlab.metrics.features import FeatureNet
from genlab.metrics.frechet import frechet_distance, moments
from genlab.metrics.manifold import manifold
from genlab.metrics.translation import translation
from genlab.models.base import Family, Measured, Sampler, Translator, round_trip
from genlab.trainer import device

MEASURED = 5000  # samples, or a fifth of it for images
OWN_MEASURES = 100_000  # for what a family measures of itself


def evaluator(
    data: Dataset, where: torch.device, seed: int, net: FeatureNet | None = None, reasons: Reasons | None = None
) -> Callable[[Family], dict[str, float]]:
    """The measures of a family by the name they are logged under, `eval/...`, in data units; columns of a table stay
    standardised, or the one of the largest numbers would drown the others.

    Args:
        net: whose features judge images; None leaves those measures out. With 1000 samples against 1000 the Fréchet
            distance has a large bias: compare it within a training, not with what `genlab evaluate` reports.
        reasons: takes in, by name, why a measure cannot be had, and the others go on; None raises.
    """
    count = min(MEASURED // 5 if data.spec.layout == "image" else MEASURED, len(data.splits["validation"].x))
    known = (data.truth.modes, data.truth.sigma) if data.truth else (None, 1.0)
    judge = None
    if net and data.spec.layout == "image":
        judge = attempt("eval/fid", lambda: features_judge(data, count, net, reasons), reasons)

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
        samples = attempt("eval/samples", lambda: standardised(data, abilities.samples(family, count, labels)), reasons)
        if samples is None:
            return {}
        real = data.spec.standardise(data.real("validation", count))
        values = suite.quick(samples, real, *known, reasons)
        if judge is not None:
            by_features = partial(judge, samples)
            values |= attempt("eval/fid", by_features, reasons) or {}
        return values

    return evaluate


def standardised(data: Dataset, x: Tensor) -> Tensor:
    """The model's range -> units in which distances make sense."""
    return data.spec.standardise(data.decode(x))


def of_translations(family: Translator, data: Pairs, count: int) -> dict[str, float]:
    """The measures of `count` validation samples that are translated and translated back."""

    decode = partial(standardised, data)
    batch = data.head("validation", count)
    there, back = round_trip(family, batch["a"])
    truth = decode(data.transform(batch["a"])) if data.known else None
    return translation(decode(batch["a"]), decode(there), decode(back), decode(batch["b"]), truth)


def features_judge(
    data: Dataset, count: int, net: FeatureNet, reasons: Reasons | None = None
) -> Callable[[Tensor], dict[str, float]]:
    """Fréchet distance, precision, recall and class balance of images (N, C, H, W) in [0, 1]; the real side once."""
    real, logits = net(data.real("validation", count))
    shares = class_shares(logits) if net.balanced else None

    def of_classes(logits: Tensor) -> dict[str, float]:
        balance = class_balance(logits, real=shares)
        values = {"eval/classes": float(balance.covered)}
        return values | {"eval/balance": balance.ratio} if data.spec.even else values

    def of_manifold(features: Tensor) -> dict[str, float]:
        inside = manifold(features, real)
        return {"eval/precision": inside.precision, "eval/recall": inside.recall}

    def of_moments(features: Tensor) -> dict[str, float]:
        assert known is not None
        return {"eval/fid": frechet_distance(*moments(features), *known)}

    known = attempt("eval/fid", lambda: moments(real), reasons)

    def judge(images: Tensor) -> dict[str, float]:
        if not images.isfinite().all():
            return {}  # the trainer says so of the loss
        features, logits = net(images)
        parts: dict[str, Callable[[], dict[str, float]]] = {
            "eval/precision": lambda: of_manifold(features),
        }
        if known is not None:
            parts = {"eval/fid": lambda: of_moments(features)} | parts
        if net.balanced:
            parts["eval/classes"] = lambda: of_classes(logits)
        return attempt_all(parts, reasons)

    return judge
