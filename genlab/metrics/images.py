"""All measures of images at once: samples against real test images, in the feature space of one net.

    reference = Reference(real=test images, train=training images, net=net)      # computed once
    reference.judge(samples)                                                      # {"fid": 3.1, ...}

The same numbers of real training images are the floor that no sampler beats but by copying, and those of noise the
ceiling; a value says something between the two. The training images being copies of themselves, their `memorised` is
1: it shows that the measure sees copies.
"""

from pathlib import Path

import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.errors import choose
from genlab.metrics.classes import class_balance, label_accuracy
from genlab.metrics.classifier import classifier
from genlab.metrics.features import FeatureNet, Say
from genlab.metrics.frechet import frechet_distance, moments
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
    Measure("precision", "share of samples within the manifold of real images (k = 3)", "max"),
    Measure("recall", "share of real images within the manifold of the samples (k = 3)", "max"),
    Measure("density", "real balls around a sample, relative to what is expected of real ones (k = 5)", "max"),
    Measure("coverage", "share of real images with a sample in their ball (k = 5)", "max"),
    Measure("classes", "classes with a quarter or more of their fair share of samples", "max"),
    Measure("balance", "smallest class over the largest", "max"),
    Measure("class_kl", "KL(classes of the samples || uniform)", "min", "nats"),
    Measure("label_accuracy", "share of conditional samples classified as the class asked for", "max"),
    Measure("memorised", "excess of samples whose nearest real image is a training one: 0 chance, 1 all", "min"),
    Measure("train_distance", "median distance to the nearest training image, over that of test images", ""),
    Measure("train_copies", "share of samples nearer to a training image than 99 % of test images are", "min"),
)
KS = (3, 5)  # neighbours of precision and recall, of density and coverage
NETS = ("classifier", "inception")


def feature_net(
    name: str, data: Dataset, root: Path, device: torch.device | str = "cpu", say: Say = print
) -> FeatureNet:
    """The feature net of that name, ready to use.

    Raises:
        UserError: no such net, or what it needs is missing.
    """
    choose("feature net", name, NETS)
    return classifier(data, root, device, say) if name == "classifier" else inception(root, device)


class Reference:
    """What the measures need of the real side, computed once.

    Args:
        real: (M, C, H, W) held-out images, in [0, 1] or uint8 pixels; take as many as there will be samples.
        train: (n, C, H, W) training images likewise, for the measures of memorisation; None leaves them out.
    """

    def __init__(self, real: Tensor, train: Tensor | None, net: FeatureNet) -> None:
        self.net = net
        self.real = net(real).features
        self.moments = moments(self.real)
        self.radii = squared_radii(self.real, KS)
        self.train = None if train is None else net(train).features
        self.train_distances = None if self.train is None else nearest_distances(self.real, self.train)

    def judge(self, fake: Tensor, labels: Tensor | None = None) -> dict[str, float]:
        """Measures by name, those of MEASURES that fit; `labels` (N,) are the classes that the samples should be of.

        Raises:
            ValueError: images that are not finite, or too few of them (six at least).
        """
        features, logits = self.net(fake)
        distance, error = kid(features, self.real)
        values = {
            "fid": frechet_distance(*moments(features), *self.moments),
            "kid": distance,
            "kid_error": error,
            "inception_score": inception_score(logits),
            **manifold(features, self.real, *KS, real_radii=self.radii)._asdict(),
        }
        if self.net.balanced:
            balance = class_balance(logits)
            values |= {"classes": float(balance.covered), "balance": balance.ratio, "class_kl": balance.kl}
            if labels is not None:
                values["label_accuracy"] = label_accuracy(logits, labels)
        if self.train is not None:
            memory = memorisation(features, self.train, self.real, self.train_distances)
            values |= {
                "memorised": memory.excess,
                "train_distance": memory.ratio,
                "train_copies": memory.copies,
            }
        return values


def image_measures(
    fake: Tensor, real: Tensor, train: Tensor | None, net: FeatureNet, labels: Tensor | None = None
) -> dict[str, float]:
    """`Reference.judge` in one call, where only one set of samples is to be judged."""
    return Reference(real, train, net).judge(fake, labels)
