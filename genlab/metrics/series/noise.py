"""Series that have each channel's own mean and autocovariance, and nothing else of the data."""

import torch
from torch import Tensor

from genlab.metrics.points import gaussian_noise


def gaussian_series(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """Draws Gaussian series with the mean and the (T, T) covariance of each channel of x (N, C, T): (n, C, T).

    The channels are independent of one another. A model has learnt more than the second moments of single channels only
    if it does better.

    Raises:
        ValueError: fewer than two series.
    """
    drawn = [gaussian_noise(x[:, channel], n, seed + channel) for channel in range(x.shape[1])]
    return torch.stack(drawn, dim=1)


def shuffled(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """Draws n of the series x (N, C, T), with replacement."""
    index = torch.randint(len(x), (n,), generator=torch.Generator().manual_seed(seed))
    return x[index.to(x.device)]
