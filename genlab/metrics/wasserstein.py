"""Distances between sample clouds by optimal transport.

N. Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015,
https://doi.org/10.1007/s10851-014-0506-3.
"""

import torch
from torch import Tensor


def sliced_w2(x: Tensor, y: Tensor, projections: int = 128, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance between x (N, *shape) and y (N, *shape), in data units.

    The root of the mean, over random unit directions, of the squared distance between the sorted projections. The
    directions depend on `seed` alone, so that values compare over time. Two finite clouds of the same distribution
    are not at 0: compare with the distance between two sets of real samples.

    Raises:
        ValueError: the clouds differ in size.
    """
    if x.shape != y.shape:
        raise ValueError(f"clouds of different shapes {tuple(x.shape)} and {tuple(y.shape)}")
    a, b = x.flatten(1).float(), y.flatten(1).float()
    directions = torch.randn(a.shape[1], projections, generator=torch.Generator().manual_seed(seed)).to(a)
    directions = directions / directions.norm(dim=0)
    gap = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gap.square().mean().sqrt().item()
