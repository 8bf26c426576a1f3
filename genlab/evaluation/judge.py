"""Holds samples against real ones of a data set, and real training samples and noise against the same (calibration)."""

import torch
from torch import Tensor

from genlab.data.base import Dataset, mix
from genlab.metrics.features import FeatureNet
from genlab.metrics.images import Reference
from genlab.metrics.points import gaussian_noise, point_measures
from genlab.metrics.sharpness import sharpness
from genlab.metrics.wasserstein import sliced_w2

TRAIN = 60_000  # training images at most that samples are searched for copies of
Values = dict[str, float]


class Judge:
    """Measures of samples in data units against the first `n` real samples of a split; columns of a table standardised.

    Args:
        net: whose features images are compared by; None leaves only what needs none.
    """

    def __init__(self, data: Dataset, split: str, n: int, net: FeatureNet | None) -> None:
        self.data, self.real = data, data.spec.standardise(data.real(split, n))
        self.split, self.mixture = split, getattr(data, "mixture", None)
        self.reference = None
        if data.spec.is_image and net is not None:
            self.reference = Reference(self.real, data.real("train", TRAIN), net)

    def __call__(self, samples: Tensor, labels: Tensor | None = None) -> Values:
        """Values by name, of samples (N, *shape) in data units; draws nothing from torch's global generator.

        Args:
            labels: (N,) the classes that the samples were asked to be of.
        """
        samples = self.data.spec.standardise(samples)
        if not self.data.spec.is_image:
            return point_measures(samples, self.real, self.mixture)
        n = min(len(samples), len(self.real))
        values = {"sharpness": sharpness(samples, self.real), "sliced_w2": sliced_w2(samples[:n], self.real[:n])}
        return (self.reference.judge(samples, labels) if self.reference else {}) | values

    def calibration(self, n: int) -> tuple[Values, Values]:
        """The same of the first `n` real training samples, the floor, and of n draws of noise."""
        return self(self.data.real("train", n)), self(self.noise(n))

    def noise(self, n: int) -> Tensor:
        """Uniform pixels, or points of the mean and covariance of the real ones: (n, *shape)."""
        if not self.data.spec.is_image:
            return gaussian_noise(self.data.real(self.split, n), n)
        generator = torch.Generator().manual_seed(mix(n))
        return torch.rand(n, *self.data.spec.shape, generator=generator).to(self.real)
