"""Optimal-transport distances between clouds of samples.

    W2(p, q)² = min over couplings of p and q of E |x - y|²

Between two clouds of n points each, the best coupling is a pairing, and finding it is an assignment problem: exact, at
a cost of about n³. The sliced distance is the mean over directions of the same distance in one dimension, where sorting
finds the pairing.

G. Peyré, M. Cuturi, "Computational Optimal Transport", 2019, https://arxiv.org/abs/1803.00567, sections 2.2 and 2.3.
N. Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015,
https://doi.org/10.1007/s10851-014-0506-3.
"""

import torch
from torch import Tensor


def sliced_w2(x: Tensor, y: Tensor, projections: int = 128, seed: int = 0) -> float:
    """Returns the sliced Wasserstein-2 distance between x (N, *shape) and y (N, *shape), in data units.

    This is the root of the mean, over random unit directions, of the squared distance between the sorted projections.
    The directions depend only on `seed`, so that values are comparable over time. For two finite clouds of the same
    distribution it is not 0: compare it with the distance between two sets of real samples.

    Raises:
        ValueError: the clouds differ in size.
    """
    if x.shape != y.shape:
        raise ValueError(f"clouds have different shapes: {tuple(x.shape)} and {tuple(y.shape)}")
    a, b = x.flatten(1).float(), y.flatten(1).float()
    directions = torch.randn(a.shape[1], projections, generator=torch.Generator().manual_seed(seed)).to(a)
    directions = directions / directions.norm(dim=0)
    gap = (a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values
    return gap.square().mean().sqrt().item()


def w2(x: Tensor, y: Tensor, limit: int = 2000, seed: int = 0) -> float:
    """Returns the exact Wasserstein-2 distance between x (N, *shape) and y (M, *shape), in data units.

    The same number of points is used from both, that of the smaller cloud but at most `limit`, drawn by `seed`. The
    distance of two finite clouds of one distribution falls slowly with their size: only compare it with the floor at
    the same size.

    Raises:
        ValueError: the samples differ in shape, or there are none.
    """
    from scipy.optimize import linear_sum_assignment

    if x.shape[1:] != y.shape[1:] or not (len(x) and len(y)):
        raise ValueError(f"clouds are empty or differ in shape: {tuple(x.shape)} and {tuple(y.shape)}")
    n = min(len(x), len(y), limit)
    a, b = (subset(cloud, n, seed + i).flatten(1).cpu().double() for i, cloud in enumerate((x, y)))
    cost = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    rows, columns = linear_sum_assignment(cost.numpy())
    return cost[rows, columns].mean().sqrt().item()


def subset(x: Tensor, n: int, seed: int) -> Tensor:
    """Returns `n` of the samples x (N, *shape), drawn without replacement by `seed`; all if n >= N."""
    if n >= len(x):
        return x
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n].to(x.device)]
