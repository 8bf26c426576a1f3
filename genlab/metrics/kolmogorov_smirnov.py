"""The Kolmogorov-Smirnov statistic of each dimension: how far apart two marginal distribution functions are.

    D = max_t |F_x(t) - F_y(t)|,  F the share of samples up to t

It lies between 0 and 1 and has no unit. Each axis is compared on its own: two clouds may differ although D is 0 on all
axes. For two sets of n samples of one distribution, D is about 0.87 √(2/n) (the mean of Kolmogorov's distribution).

F. J. Massey, "The Kolmogorov-Smirnov Test for Goodness of Fit", 1951, https://doi.org/10.1080/01621459.1951.10500769.
"""

from typing import Any

import numpy as np
from torch import Tensor


def kolmogorov_smirnov(x: Tensor, y: Tensor) -> list[float]:
    """Returns the statistic of every dimension between x (N, D) and y (M, D).

    Raises:
        ValueError: the samples differ in dimension, or there are none.
    """
    from scipy.stats import ks_2samp

    if x.shape[1:] != y.shape[1:] or x.dim() != 2 or not (len(x) and len(y)):
        raise ValueError(f"not points of the same dimension: {tuple(x.shape)} and {tuple(y.shape)}")

    def statistic(a: np.ndarray, b: np.ndarray) -> float:
        result: Any = ks_2samp(a, b, method="asymp")  # skips the exact p-value, which is not used
        return float(result.statistic)

    return [statistic(a, b) for a, b in zip(x.cpu().numpy().T, y.cpu().numpy().T, strict=True)]
