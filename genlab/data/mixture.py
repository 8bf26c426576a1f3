"""Mixtures of K equally weighted Gaussians with a known density: p(x) = 1/K Σ_k N(x; m_k, σ² I)."""

import math

import numpy as np
import torch
from torch import Tensor


class Mixture:
    """Equal-weight mixture of isotropic Gaussians in the plane.

    Args:
        modes: (K, 2) the mean of each mode.
        sigma: the standard deviation of every mode, in data units.
    """

    def __init__(self, modes: Tensor, sigma: float) -> None:
        self.modes, self.sigma = modes, sigma

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws points (n, 2) and returns them with the index (n,) of the mode of each."""
        y = torch.randint(len(self.modes), (n,), generator=generator)
        return self.modes[y] + self.sigma * torch.randn(n, 2, generator=generator), y

    def log_prob(self, x: Tensor) -> Tensor:
        """Computes the exact log-density in nats: (B, 2) -> (B,)."""
        distance = (x[:, None] - self.modes.to(x)).square().sum(-1)  # (B, K)
        constant = math.log(len(self.modes)) + math.log(2 * math.pi * self.sigma**2)
        return torch.logsumexp(-distance / (2 * self.sigma**2), dim=1) - constant

    def entropy(self) -> float:
        """Computes -E[log p(x)] in nats by Gauss-Hermite quadrature over each mode (64 x 64 nodes, float64)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        grid = torch.tensor(np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2))
        weight = torch.tensor(np.outer(weights, weights).reshape(-1) / (2 * math.pi))
        means = [(weight * self.log_prob(m.double() + self.sigma * grid)).sum().item() for m in self.modes]
        return -sum(means) / len(means)
