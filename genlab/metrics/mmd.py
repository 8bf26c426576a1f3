"""Maximum mean discrepancy: how far the mean features of two clouds are apart, in the feature space of a kernel.

    MMD²(p, q) = E k(x, x') - 2 E k(x, y) + E k(y, y')              (lemma 6)
    k(x, y)    = exp(-|x - y|² / (2 h²))

Estimated without bias, by leaving out the pairs of a sample with itself (eq. 3): samples of p = q scatter around 0, so
that the estimate may be negative. The bandwidth h is the median distance between two different *real* samples: the
usual heuristic takes the median of both clouds together, but then every model is judged by a kernel of its own. At
that width the kernel sees how mass is spread over the modes, and hardly their inner shape where they are narrow. Where
more than half of the pairs are equal (a table of flags, or mostly zeros) the median is taken over the others.

A. Gretton et al., "A Kernel Two-Sample Test", 2012, https://jmlr.org/papers/v13/gretton12a.html.
"""

import torch
from torch import Tensor

from genlab.metrics.wasserstein import subset


def mmd(fake: Tensor, real: Tensor, bandwidth: float | None = None, limit: int = 2000, seed: int = 0) -> float:
    """The unbiased estimate of MMD² between fake (N, *shape) and real (M, *shape) samples; it has no unit.

    Args:
        bandwidth: h in data units; None: `median_distance` of the real samples.
        limit: samples used of each cloud, drawn by `seed` from larger ones.

    Raises:
        ValueError: fewer than two samples on one side, or a bandwidth that is not positive.
    """
    x, y = (subset(cloud, limit, seed + i).flatten(1).double() for i, cloud in enumerate((fake, real)))
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"MMD needs two samples on each side, there are {n} and {m}")
    h = median_distance(y) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"MMD needs a positive bandwidth, not {h}: are all samples the same?")
    kxx, kxy, kyy = (torch.exp(squared_distance(a, b) / (-2 * h**2)) for a, b in ((x, x), (x, y), (y, y)))
    within_x = (kxx.sum() - n) / (n * (n - 1))  # the diagonal is 1 each
    within_y = (kyy.sum() - m) / (m * (m - 1))
    return (within_x - 2 * kxy.mean() + within_y).item()


def median_distance(x: Tensor) -> float:
    """The median of the distances between two samples of x (N, D), N >= 2.

    Where that is 0, the median of those that are not; 0 where all are.
    """
    distances = torch.pdist(x)
    median = distances.median()
    if median == 0 and (positive := distances[distances > 0]).numel():
        median = positive.median()
    return median.item()


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|²: (N, D), (M, D) -> (N, M). Not by |x|² - 2xy + |y|², whose diagonal would not be 0."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
