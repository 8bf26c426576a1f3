"""Maximum mean discrepancy: how far apart the mean features of two clouds are, in the feature space of a kernel.

    MMD²(p, q) = E k(x, x') - 2 E k(x, y) + E k(y, y')              (lemma 6)
    k(x, y)    = exp(-|x - y|² / (2 h²))

The estimate is unbiased, as pairs of a sample with itself are left out (eq. 3): for p = q it scatters around 0 and may
be negative. The bandwidth h is the median distance between two different *real* samples; the usual heuristic takes the
median of both clouds together, but then every model is judged by a different kernel. At this width the kernel sees how
mass is spread over the modes, but hardly the inner shape of narrow modes. If more than half of the pairs are equal (a
table of flags, or mostly zeros), the median is taken over the other pairs.

A. Gretton et al., "A Kernel Two-Sample Test", 2012, https://jmlr.org/papers/v13/gretton12a.html.
"""

import torch
from torch import Tensor

from genlab.metrics.wasserstein import subset


def mmd(fake: Tensor, real: Tensor, bandwidth: float | None = None, limit: int = 2000, seed: int = 0) -> float:
    """Returns the unbiased estimate of MMD² between fake (N, *shape) and real (M, *shape) samples; it has no unit.

    Args:
        bandwidth: h in data units; None: `median_distance` of the real samples.
        limit: most samples used from each cloud; from larger clouds they are drawn by `seed`.

    Raises:
        ValueError: fewer than two samples on one side, or a bandwidth that is not positive.
    """
    x, y = (subset(cloud, limit, seed + i).flatten(1).double() for i, cloud in enumerate((fake, real)))
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"MMD needs at least two samples on each side; there are {n} and {m}")
    h = median_distance(y) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"MMD needs a positive bandwidth, got {h}: are all samples the same?")
    kxx, kxy, kyy = (torch.exp(squared_distance(a, b) / (-2 * h**2)) for a, b in ((x, x), (x, y), (y, y)))
    within_x = (kxx.sum() - n) / (n * (n - 1))  # the diagonal is all 1
    within_y = (kyy.sum() - m) / (m * (m - 1))
    return (within_x - 2 * kxy.mean() + within_y).item()


def median_distance(x: Tensor) -> float:
    """Returns the median distance between two samples of x (N, D), N >= 2.

    If it is 0, returns the median of the distances above 0, or 0 if there are none.
    """
    distances = torch.pdist(x)
    median = distances.median()
    if median == 0 and (positive := distances[distances > 0]).numel():
        median = positive.median()
    return median.item()


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Computes |x_i - y_j|²: (N, D), (M, D) -> (N, M). By |x|² - 2xy + |y|², equal points would not be at 0."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
