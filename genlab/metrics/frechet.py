"""Fréchet distance between the Gaussians with the means and covariances of two sets of features.

With means m₁, m₂ and covariances C₁, C₂:

    d² = |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)

C₁ C₂ has the same eigenvalues as C₁^½ C₂ C₁^½, which is symmetric and positive semidefinite: so the trace of the root
needs only symmetric eigenvalues, is real, and works for singular covariances (fewer samples than features).

The unit of d² is that of the features squared, and its upward bias falls with the number of samples: only compare
values of the same net and the same numbers of samples (Chong, Forsyth 2020).

M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017,
https://arxiv.org/abs/1706.08500. D. C. Dowson, B. V. Landau, "The Fréchet Distance between Multivariate Normal
Distributions", 1982, https://doi.org/10.1016/0047-259X(82)90077-X. M. J. Chong, D. Forsyth, "Effectively Unbiased FID
and Inception Score and where to find them", 2020, https://arxiv.org/abs/1911.07023.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    mean: Tensor  # (D,) float64
    covariance: Tensor  # (D, D) float64, unbiased


def moments(features: Tensor) -> Moments:
    """Returns the mean and unbiased covariance of features (N, D), in float64 on the CPU.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(features) < 2:
        raise ValueError("a covariance needs at least two samples")
    x = features.cpu().double()
    mean = x.mean(dim=0)
    centred = x - mean
    return Moments(mean, centred.T @ centred / (len(x) - 1))


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """Returns d² of two Gaussians from means (D,) and covariances (D, D); the literature calls this square "FID"."""
    mean_a, cov_a, mean_b, cov_b = (t.cpu().double() for t in (mean_a, cov_a, mean_b, cov_b))
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # Rounding leaves eigenvalues of about 1e-16 on either side of 0.
    trace = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * trace
    return max(distance.item(), 0.0)
