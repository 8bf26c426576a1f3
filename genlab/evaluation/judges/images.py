"""Judges images by the features of a net and, without a net, by their pixels."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from genlab.data.base import mix
from genlab.evaluation.judges.base import Judge, Parts
from genlab.metrics.attempts import Reasons, attempt
from genlab.metrics.features import FeatureNet
from genlab.metrics.images import Reference
from genlab.metrics.sharpness import sharpness
from genlab.metrics.spread import spread
from genlab.metrics.wasserstein import sliced_w2

TRAIN = 60_000  # most training images that are searched for copies


class ImageJudge(Judge):
    """A judge of samples (N, C, H, W) in [0, 1], see `Judge`.

    The quick form compares 1000 samples with 1000, where the Fréchet distance has a large bias: compare it within one
    run, not with the value of a report.
    """

    by_features = True
    quick_samples = 1000
    quick_parts: ClassVar = {
        "sliced_w2": (),
        "spread": (),
        "fid": (),
        "precision": ("precision", "recall"),
        "classes": ("classes",),
        "balance": (),
    }

    def prepare(self, net: FeatureNet | None) -> None:
        self.reference: Reference | None = None
        if net is not None:
            train = None if self.quick else self.data.real("train", TRAIN)
            make = partial(Reference, self.real, train, net, self.data.spec.even)
            self.reference = attempt(f"{self.prefix}fid", make, self.reasons)

    def parts(self, samples: Tensor, labels: Tensor | None, reasons: Reasons | None) -> Parts:
        reference, n = self.reference, min(len(samples), len(self.real))
        by_features: Parts | None = {}
        if reference and (samples.isfinite().all() or not self.quick):  # in training the loss reports non-finite values
            by_features = attempt(f"{self.prefix}fid", lambda: reference.parts(samples, labels, reasons), reasons)
        parts: Parts = {
            **(by_features or {}),
            "sharpness": lambda: {"sharpness": sharpness(samples, self.real)},
            "sliced_w2": lambda: {"sliced_w2": sliced_w2(samples[:n], self.real[:n])},
        }
        return parts | {"spread": lambda: {"spread": spread(samples[:n], self.real[:n])}} if self.quick else parts

    def noise(self, n: int) -> Tensor:
        """Returns images of uniform random pixels: (n, C, H, W)."""
        generator = torch.Generator().manual_seed(mix(n))
        return torch.rand(n, *self.data.spec.shape, generator=generator).to(self.real)
