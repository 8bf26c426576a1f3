"""The cheap subset of the measures that a run takes of itself while it trains, against the validation split."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.pairs import Pairs
from genlab.evaluation import abilities
from genlab.metrics import suite
from genlab.metrics.classes import class_balance
from genlab.metrics.features import FeatureNet
from genlab.metrics.frechet import frechet_distance, moments
from genlab.metrics.manifold import manifold
from genlab.metrics.translation import translation
from genlab.models.base import Family, Measured, Sampler, Translator, round_trip
from genlab.trainer import device

MEASURED = 5000  # samples, or a fifth of it for images
OWN_MEASURES = 100_000  # for what a family measures of itself


def evaluator(
    data: Dataset, where: torch.device, seed: int, net: FeatureNet | None = None
) -> Callable[[Family], dict[str, float]]:
    """The measures of a family by the name they are logged under, `eval/...`, in data units; columns of a table stay
    standardised, or the one of the largest numbers would drown the others.

    Args:
        net: whose features judge images; None leaves those measures out. With 1000 samples against 1000 the Fréchet
            distance has a large bias: compare it within a training, not with what `genlab evaluate` reports.
    """
    count = min(MEASURED // 5 if data.spec.is_image else MEASURED, len(data.splits["validation"].x))
    mixture = getattr(data, "mixture", None)
    known = (mixture.modes, mixture.sigma) if mixture else ()
    by_features = features_judge(data, count, net) if net and data.spec.is_image else None

    def decode(x: Tensor) -> Tensor:
        return data.spec.standardise(data.decode(x))

    @torch.no_grad()
    def evaluate(family: Family) -> dict[str, float]:
        device.seed(where, seed)
        if isinstance(family, Translator) and isinstance(data, Pairs):
            batch = data.head("validation", count)
            there, back = round_trip(family, batch["a"])
            truth = decode(data.transform(batch["a"])) if data.known else None
            return translation(decode(batch["a"]), decode(there), decode(back), decode(batch["b"]), truth)
        if isinstance(family, Measured):
            return {f"eval/{name}": value for name, value in family.measures(OWN_MEASURES).items()}
        if not isinstance(family, Sampler):
            return {}
        samples = decode(abilities.samples(family, count))
        values = suite.quick(samples, data.spec.standardise(data.real("validation", count)), *known)
        return values | (by_features(samples) if by_features else {})

    return evaluate


def features_judge(data: Dataset, count: int, net: FeatureNet) -> Callable[[Tensor], dict[str, float]]:
    """Fréchet distance, precision, recall and class balance of images (N, C, H, W) in [0, 1]; the real side once."""
    real = net(data.real("validation", count)).features
    known = moments(real)

    def judge(images: Tensor) -> dict[str, float]:
        if not images.isfinite().all():
            return {}  # the trainer says so of the loss
        features, logits = net(images)
        inside = manifold(features, real)
        values = {"fid": frechet_distance(*moments(features), *known)}
        values |= {"precision": inside.precision, "recall": inside.recall}
        if net.balanced:
            balance = class_balance(logits)
            values |= {"classes": float(balance.covered), "balance": balance.ratio}
        return {f"eval/{name}": value for name, value in values.items()}

    return judge
