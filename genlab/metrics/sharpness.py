"""How sharp images are, by the spread of their second differences.

    s(x) = Var_places (∇²x),    sharpness = mean s(samples) / mean s(real images)

with the discrete Laplacian ∇²x of gray images, in units of the real ones: below 1 samples are blurred, above 1 they
have speckle or edges harder than real ones.

I. Tolstikhin, O. Bousquet, S. Gelly, B. Schölkopf, "Wasserstein Auto-Encoders", 2018, https://arxiv.org/abs/1711.01558
(section 4), which quotes s itself.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.metrics.measure import Measure

MEASURES = (
    Measure("sharpness", "edges of the samples over those of real images: less is blurred, more rough", "near 1"),
)


def sharpness(fake: Tensor, real: Tensor) -> float:
    """Of images (N, C, H, W) and (M, C, H, W) in the same units; NaN where the real ones have no edges."""
    return (edges(fake) / edges(real)).item()


def edges(x: Tensor) -> Tensor:
    """The mean over images of the variance of ∇²x over the places that have four neighbours: (N, C, H, W) -> ()."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).to(x)
    return F.conv2d(x.mean(1, keepdim=True), kernel[None, None]).flatten(1).var(1).mean()
