"""Precision and recall, density and coverage: separate measures of quality and variety, by balls around samples.

The ball of a sample reaches to its k-th nearest neighbour in its own set:

    precision   share of fakes inside the ball of any real sample
    recall      share of real samples inside the ball of any fake
    density     mean number of real balls that contain a fake, divided by k: real samples have 1, more is possible
    coverage    share of real samples with a fake inside their ball: about 1 - 2^-k for real samples

Balls are closed: a point on the boundary is inside. The code of Naeem et al. uses open balls for density and coverage,
which makes a difference for equal distances: if a set is compared with itself, each point is on a boundary, and density
is 1.2 here (k = 5) but 1 there.

T. Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
https://arxiv.org/abs/1904.06991 (precision, recall; k = 3).
M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020,
https://arxiv.org/abs/2002.09797 (density, coverage; k = 5).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from genlab.metrics.neighbours import CHUNK, squared_distances, squared_radii


class Manifold(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def manifold(
    fake: Tensor,
    real: Tensor,
    k: int = 3,
    density_k: int = 5,
    real_radii: Tensor | None = None,
    chunk: int = CHUNK,
) -> Manifold:
    """Computes all four measures in one pass over the distances between fake (N, D) and real (M, D).

    Args:
        k: number of neighbours for precision and recall.
        density_k: number of neighbours for density and coverage.
        real_radii: `squared_radii(real, (k, density_k))`, if computed already.

    Raises:
        ValueError: one side has no more than k samples.
    """
    if real_radii is None:
        real_radii = squared_radii(real, (k, density_k), chunk)
    fake_radii = squared_radii(fake, (k,), chunk)[0]
    centre = real.mean(dim=0)
    fake, real = fake - centre, real - centre
    precise, inside = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    for part, radii in zip(fake.split(chunk), fake_radii.split(chunk), strict=True):
        distance = squared_distances(part, real)
        precise += (distance <= real_radii[0]).any(dim=1).sum()
        recalled |= (distance <= radii[:, None]).any(dim=0)
        within = distance <= real_radii[1]
        inside += within.sum()
        covered |= within.any(dim=0)
    return Manifold(
        precision=float(precise) / len(fake),
        recall=recalled.double().mean().item(),
        density=float(inside) / (density_k * len(fake)),
        coverage=covered.double().mean().item(),
    )
