"""Kernel distance between two sets of features: the squared maximum mean discrepancy (MMD²) of a cubic kernel.

    k(x, y) = (x·y / D + 1)³
    MMD²    = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{i,j} k(x_i, y_j)

The estimate is unbiased, so it may fall below 0 for two sets of the same distribution; unlike FID, its mean does not
depend on the number of samples, only its spread does. In the literature, "KID" is this with Inception's features.

M. Bińkowski et al., "Demystifying MMD GANs", 2018, https://arxiv.org/abs/1801.01401.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    value: float
    error: float  # one standard error


def mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Returns the unbiased MMD² of x (m, D) and y (n, D) with the cubic kernel: (), float64."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1).pow(3).double()

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()


def kid(fake: Tensor, real: Tensor, subsets: int = 100, size: int = 1000, seed: int = 0) -> Estimate:
    """Computes the mean MMD² over random subsets of fake (N, D) and real (M, D), and its standard error.

    Subsets hold at most half of the smaller set, otherwise their spread would say nothing about the error. They depend
    only on `seed`; torch's global generator is not used.

    Raises:
        ValueError: fewer than four samples on one side.
    """
    least = min(len(fake), len(real))
    if least < 4:
        raise ValueError("KID needs at least four samples on each side")
    size = min(size, least // 2)
    generator = torch.Generator().manual_seed(seed)

    def draw(features: Tensor) -> Tensor:
        return features[torch.randperm(len(features), generator=generator)[:size].to(features.device)]

    values = torch.stack([mmd2(draw(fake), draw(real)) for _ in range(subsets)])
    # Subsets of m, drawn from n without replacement, have the variance c/m - c/n, which gives the variance c/n of an
    # estimate from all n; the mean over finitely many subsets adds to it. If both distributions are the same, the
    # variance falls faster, and this is about twice too much.
    spread = values.std().item() if subsets > 1 else math.nan
    return Estimate(values.mean().item(), spread * math.sqrt(1 / subsets + size / (least - size)))
