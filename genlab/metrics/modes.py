"""How well samples cover a known Gaussian mixture.

A sample is of high quality if it lies within 3σ of the nearest mode; for a perfect sampler, 1 - e^{-9/2} = 98.9 % are.
More is not better: it means that modes are drawn too narrow. So the standard deviation within modes is measured too. It
is measured only on high-quality samples, so that strays between modes do not affect it, and only if there are enough.
A mode is covered if at least a quarter of its fair share n/K of all samples are of high quality and nearest to it.
(The measures of VEEGAN, Srivastava et al. 2017, https://arxiv.org/abs/1705.07761, where one sample covers a mode.)
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

ENOUGH = 0.1  # least high_quality at which the samples within 3σ are not mostly strays
BEST = -math.expm1(-4.5)  # high_quality of a perfect sampler in the plane
WITHIN = math.sqrt(1 - 4.5 * math.exp(-4.5) / BEST)  # std of a coordinate of the samples within 3σ, in σ


class Coverage(NamedTuple):
    covered: int  # modes covered
    high_quality: float  # share of samples within 3σ of a mode
    reverse_kl: float  # KL(share of each mode among high-quality samples || uniform), nats; NaN if there are none
    mode_std: float  # std of high-quality samples within their modes over the true one; NaN if there are too few
    std_ratio: Tensor  # (K,) std of the samples nearest to each mode over the true one; NaN below two samples


def mode_coverage(x: Tensor, modes: Tensor, sigma: float) -> Coverage:
    """Compares samples x (N, 2) with K modes (K, 2) of standard deviation `sigma`, all in data units."""
    x = x.cpu().double()
    distance, nearest = torch.cdist(x, modes.double()).min(dim=1)
    good = distance <= 3 * sigma
    enough = good.double().mean() >= ENOUGH
    counts = torch.bincount(nearest[good], minlength=len(modes))
    share = counts / counts.sum().clamp(min=1)
    ratios, squares, freedom = [], 0.0, 0
    for k in range(len(modes)):
        members = x[nearest == k]
        ratios.append(members.std(dim=0).mean() / sigma if len(members) > 1 else x.new_tensor(torch.nan))
        inner = x[good & (nearest == k)]
        if len(inner) > 1:
            squares += (inner - inner.mean(0)).square().sum().item()
            freedom += 2 * (len(inner) - 1)
    return Coverage(
        covered=int((counts >= len(x) / len(modes) / 4).sum()),
        high_quality=good.double().mean().item(),
        # Without samples on any mode there are no shares: 0 would mean that they are even.
        reverse_kl=torch.xlogy(share, share * len(modes)).sum().item() if counts.any() else math.nan,
        mode_std=math.sqrt(squares / freedom) / (WITHIN * sigma) if freedom and enough else math.nan,
        std_ratio=torch.stack(ratios),
    )


def mode_measures(x: Tensor, modes: Tensor, sigma: float) -> dict[str, float]:
    """Returns `mode_coverage` as named numbers, with the smallest and the largest of `std_ratio`."""
    coverage = mode_coverage(x, modes, sigma)
    return {
        "modes": float(coverage.covered),
        "high_quality": coverage.high_quality,
        "mode_std": coverage.mode_std,
        "reverse_kl": coverage.reverse_kl,
        "std_ratio_min": coverage.std_ratio.min().item(),
        "std_ratio_max": coverage.std_ratio.max().item(),
    }
