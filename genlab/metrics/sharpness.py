"""Sharpness of images: the variance of their second differences, relative to real images.

    s(x) = Var_places (∇²x),    sharpness = mean s(samples) / mean s(real images)

∇²x is the discrete Laplacian of gray images. Below 1 the samples are blurred; above 1 they have speckle or harder
edges than real images.

I. Tolstikhin, O. Bousquet, S. Gelly, B. Schölkopf, "Wasserstein Auto-Encoders", 2018, https://arxiv.org/abs/1711.01558
(section 4), which reports s itself.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.metrics.measure import Measure

MEASURES = (
    Measure("sharpness", "edges of the samples relative to real images: below 1 blurred, above 1 rough", "near 1"),
)


def sharpness(fake: Tensor, real: Tensor) -> float:
    """Returns the sharpness of images (N, C, H, W) relative to (M, C, H, W); NaN if the real ones have no edges."""
    return (edges(fake) / edges(real)).item()


def edges(x: Tensor) -> Tensor:
    """Returns the variance of ∇²x over the pixels with four neighbours, averaged over images: (N, C, H, W) -> ()."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).to(x)
    return F.conv2d(x.mean(1, keepdim=True), kernel[None, None]).flatten(1).var(1).mean()
