"""Judges images: by the features of a net, and by what their pixels tell without one."""

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

TRAIN = 60_000  # training images at most that samples are searched for copies of


class ImageJudge(Judge):
    """Judges samples (N, C, H, W) in [0, 1], see `Judge`.

    With 1000 samples against 1000, as in the quick form, the Fréchet distance has a large bias: compare it within a
    training, not with a report's.
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
        if reference and (samples.isfinite().all() or not self.quick):  # while it trains the loss says so
            by_features = attempt(f"{self.prefix}fid", lambda: reference.parts(samples, labels, reasons), reasons)
        parts: Parts = {
            **(by_features or {}),
            "sharpness": lambda: {"sharpness": sharpness(samples, self.real)},
            "sliced_w2": lambda: {"sliced_w2": sliced_w2(samples[:n], self.real[:n])},
        }
        return parts | {"spread": lambda: {"spread": spread(samples[:n], self.real[:n])}} if self.quick else parts

    def noise(self, n: int) -> Tensor:
        """Uniform pixels: (n, C, H, W)."""
        generator = torch.Generator().manual_seed(mix(n))
        return torch.rand(n, *self.data.spec.shape, generator=generator).to(self.real)
