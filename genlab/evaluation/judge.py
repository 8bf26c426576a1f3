"""Holds samples against real ones of a data set, and real training samples and noise against the same (calibration)."""

import torch
from torch import Tensor

from genlab.data.base import Dataset, mix
from genlab.metrics.attempts import Reasons, attempt, attempt_all
from genlab.metrics.features import FeatureNet
from genlab.metrics.images import Reference
from genlab.metrics.kolmogorov_smirnov import kolmogorov_smirnov
from genlab.metrics.points import gaussian_noise, point_measures
from genlab.metrics.sharpness import sharpness
from genlab.metrics.wasserstein import sliced_w2

TRAIN = 60_000  # training images at most that samples are searched for copies of
Values = dict[str, float]


class Judge:
    """Measures of samples in data units against the first `n` real samples of a split; columns of a table standardised.

    Args:
        net: whose features images are compared by; None leaves only what needs none.
        reasons: takes in, by name, why a measure cannot be had, and the others go on; None raises.
    """

    def __init__(
        self, data: Dataset, split: str, n: int, net: FeatureNet | None, reasons: Reasons | None = None
    ) -> None:
        self.data, self.real, self.reasons = data, data.spec.standardise(data.real(split, n)), reasons
        self.split = split
        self.reference = None
        if data.spec.layout == "image" and net is not None:
            train = data.real("train", TRAIN)
            self.reference = attempt("fid", lambda: Reference(self.real, train, net, data.spec.even), reasons)

    def __call__(self, samples: Tensor, labels: Tensor | None = None) -> Values:
        """Values by name, of samples (N, *shape) in data units; draws nothing from torch's global generator.

        Args:
            labels: (N,) the classes that the samples were asked to be of.
        """
        samples = self.data.spec.standardise(samples)
        if self.data.spec.layout != "image":
            return point_measures(samples, self.real, self.data.truth, self.reasons)
        reference, n = self.reference, min(len(samples), len(self.real))
        by_features = reference and attempt("fid", lambda: reference.judge(samples, labels, self.reasons), self.reasons)
        pixels = {
            "sharpness": lambda: {"sharpness": sharpness(samples, self.real)},
            "sliced_w2": lambda: {"sliced_w2": sliced_w2(samples[:n], self.real[:n])},
        }
        return (by_features or {}) | attempt_all(pixels, self.reasons)

    def columns(self, samples: Tensor) -> Values:
        """The Kolmogorov-Smirnov statistic of each column of a table, the worst first; {} of anything else."""
        if not self.data.spec.columns:
            return {}
        n = min(len(samples), len(self.real))
        if n < 2:
            return {}
        statistics = kolmogorov_smirnov(self.data.spec.standardise(samples)[:n], self.real[:n].to(samples.device))
        found = {column.name: ks for column, ks in zip(self.data.spec.columns, statistics, strict=True)}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def calibration(self, n: int) -> tuple[Values, Values]:
        """The same of the first `n` real training samples, the floor, and of n draws of noise.

        What cannot be had of them is missing, without a reason of its own.
        """
        known, self.reasons = self.reasons, None if self.reasons is None else {}
        try:
            floor = attempt("floor", lambda: self(self.data.real("train", n)), self.reasons)
            noise = attempt("noise", lambda: self(self.noise(n)), self.reasons)
            return floor or {}, noise or {}
        finally:
            self.reasons = known

    def noise(self, n: int) -> Tensor:
        """Uniform pixels, or points of the mean and covariance of the real ones: (n, *shape)."""
        if self.data.spec.layout != "image":
            return gaussian_noise(self.data.real(self.split, n), n)
        generator = torch.Generator().manual_seed(mix(n))
        return torch.rand(n, *self.data.spec.shape, generator=generator).to(self.real)
