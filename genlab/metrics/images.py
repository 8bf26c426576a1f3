"""All measures of images: samples are compared with real test images in the feature space of one net.

    reference = Reference(real=test images, train=training images, net=net)      # computed once
    reference.judge(samples)                                                      # {"fid": 3.1, ...}

The values of real training images are the floor, which a sampler beats only by copying, and those of noise the ceiling:
a value is informative between the two. As training images are copies of themselves, their `memorised` is 1, which shows
that the measure detects copies.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.errors import choose
from genlab.metrics.attempts import Reasons, attempt_all
from genlab.metrics.classes import class_balance, class_shares, label_accuracy
from genlab.metrics.classifier import classifier
from genlab.metrics.features import FeatureNet, Say
from genlab.metrics.frechet import Moments, frechet_distance, moments
from genlab.metrics.inception import inception
from genlab.metrics.inception_score import inception_score
from genlab.metrics.kid import kid
from genlab.metrics.manifold import manifold
from genlab.metrics.measure import Measure
from genlab.metrics.neighbours import memorisation, nearest_distances, squared_radii

MEASURES = (
    Measure("fid", "Fréchet distance of the features' Gaussians", "min"),
    Measure("kid", "kernel distance of the features (unbiased MMD², may be negative)", "min"),
    Measure("kid_error", "one standard error of kid", "min"),
    Measure("inception_score", "exp(mutual information of sample and predicted class); 1 to the classes", "max"),
    Measure("precision", "share of samples within the manifold of the real images (k = 3)", "max"),
    Measure("recall", "share of real images within the manifold of the samples (k = 3)", "max"),
    Measure("density", "number of real balls that contain a sample, relative to real samples (k = 5)", "max"),
    Measure("coverage", "share of real images whose ball contains a sample (k = 5)", "max"),
    Measure("classes", "classes with at least a quarter of their share among real images", "max"),
    Measure("balance", "size of the smallest class over the largest, if the data has even classes", "max"),
    Measure("class_kl", "KL(classes of the samples || classes of real images)", "min", "nats"),
    Measure("label_accuracy", "share of conditional samples classified as the requested class", "max"),
    Measure("memorised", "samples whose nearest real image is a training image: 0 by chance, 1 all, -1 none", "near 0"),
    Measure("memorised_error", "one standard error of memorised", ""),
    Measure("train_distance", "median distance to the nearest training sample, relative to held-out ones", "near 1"),
    Measure("train_copies", "share of samples nearer to a training sample than 99 % of held-out ones are", "min"),
)
KS = (3, 5)  # neighbours for precision and recall, and for density and coverage
NETS = ("classifier", "inception")


def feature_net(
    name: str, data: Dataset, root: Path, device: torch.device | str = "cpu", say: Say = print
) -> FeatureNet:
    """Returns the feature net of that name, ready to use.

    Raises:
        UserError: there is no such net, or something it needs is missing.
    """
    choose("feature net", name, NETS)
    return classifier(data, root, device, say) if name == "classifier" else inception(root, device)


class Reference:
    """Everything that the measures need from the real images, computed once.

    Args:
        real: (M, C, H, W) held-out images, in [0, 1] or uint8 pixels; use as many as there will be samples.
        train: (n, C, H, W) training images likewise, for the measures of memorisation; None leaves those out.
        even: whether the classes of the data are even, so that samples should have even classes too.
    """

    def __init__(self, real: Tensor, train: Tensor | None, net: FeatureNet, even: bool = True) -> None:
        self.net, self.even = net, even
        self.real, self.logits = net(real)
        self.train = None if train is None else net(train).features

    @cached_property
    def moments(self) -> Moments:
        return moments(self.real)

    @cached_property
    def radii(self) -> Tensor:
        return squared_radii(self.real, KS)

    @cached_property
    def shares(self) -> Tensor:
        """(K,) share of the real images in each class, as the net classifies them."""
        return class_shares(self.logits)

    @cached_property
    def train_distances(self) -> Tensor | None:
        return None if self.train is None else nearest_distances(self.real, self.train)

    def judge(self, fake: Tensor, labels: Tensor | None = None, reasons: Reasons | None = None) -> dict[str, float]:
        """Returns the applicable measures of MEASURES by name, see `parts`."""
        return attempt_all(self.parts(fake, labels, reasons), reasons)

    def parts(
        self, fake: Tensor, labels: Tensor | None = None, reasons: Reasons | None = None
    ) -> dict[str, Callable[[], Mapping[str, float]]]:
        """Returns the applicable measures; those computed together form one part. A failure is recorded under its key.

        Args:
            labels: (N,) the requested classes of the samples.
            reasons: collects, by name, why a measure failed while the others go on; with None, the exception is raised.

        Raises:
            ValueError: images are not finite, or there are fewer than six.
        """
        features, logits = self.net(fake)
        parts: dict[str, Callable[[], Mapping[str, float]]] = {
            "fid": lambda: {"fid": frechet_distance(*moments(features), *self.moments)},
            "kid": lambda: dict(zip(("kid", "kid_error"), kid(features, self.real), strict=True)),
            "inception_score": lambda: {"inception_score": inception_score(logits)},
            "precision": lambda: manifold(features, self.real, *KS, real_radii=self.radii)._asdict(),
        }
        if self.net.balanced:
            parts["classes"] = lambda: class_measures(logits, self.shares)
            parts["balance"] = lambda: self.balance(logits, reasons)
            if labels is not None:
                parts["label_accuracy"] = lambda: {"label_accuracy": label_accuracy(logits, labels)}
        if self.train is not None:
            parts["memorised"] = lambda: self.memory(features)
        return parts

    def memory(self, features: Tensor) -> dict[str, float]:
        """Returns the measures of memorisation of samples with features (N, D)."""
        assert self.train is not None
        result = memorisation(features, self.train, self.real, self.train_distances)
        values = {"memorised": result.excess, "memorised_error": result.error}
        return values | {"train_distance": result.ratio, "train_copies": result.copies}

    def balance(self, logits: Tensor, reasons: Reasons | None) -> dict[str, float]:
        """Returns `balance` of samples with logits (N, K); {} and a reason if the classes of the data are not even."""
        if self.even:
            return {"balance": class_balance(logits).ratio}
        if reasons is not None:
            reasons["balance"] = "the classes of the data are not even; class_kl compares with their shares"
        return {}


def class_measures(logits: Tensor, real: Tensor) -> dict[str, float]:
    """Returns `classes` and `class_kl` of samples with logits (N, K), given the shares (K,) of real images."""
    result = class_balance(logits, real=real)
    return {"classes": float(result.covered), "class_kl": result.kl}
