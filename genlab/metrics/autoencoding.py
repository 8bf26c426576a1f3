"""Measures of autoencoders: reconstruction error, bound of the likelihood, and active units of the code.

    reconstruction_mse  E (x - x̂)², mean over samples and dimensions
    L_k                 E log 1/k Σ_i w_i <= log p(x), tighter for larger k      (Burda et al. 2016, eq. 8)
                        with w_i = p(x|z_i) p(z_i) / q(z_i|x)
    active units        #{j : Var_x(E[z_j|x]) > 0.01}                            (the same, section 5.2)

A unit of the code is active if its posterior mean depends on x. A VAE with a collapsed posterior has none.

Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders", 2016, https://arxiv.org/abs/1509.00519.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.metrics.measure import Measure

ACTIVE = 0.01  # variance of the posterior mean over the data, where the prior has variance 1


def reconstruction_mse(x: Tensor, reconstruction: Tensor) -> float:
    """Returns the mean squared error per dimension of (N, *shape) against (N, *shape), in the square of their unit.

    Raises:
        ValueError: the shapes differ.
    """
    if x.shape != reconstruction.shape:
        raise ValueError(f"shapes differ: {tuple(x.shape)} and {tuple(reconstruction.shape)}")
    return (x.double() - reconstruction.double()).square().mean().item()


def active_units(means: Tensor, threshold: float = ACTIVE) -> int:
    """Returns how many of z units are active, from the posterior means (N, z) of N samples of the data.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(means) < 2:
        raise ValueError("a variance over the data needs at least two samples")
    return int((means.double().var(dim=0) > threshold).sum())


@torch.no_grad()
def bound(elbo: Callable[[Tensor, int], Tensor], x: Tensor, k: int = 1, chunk: int = 100) -> Tensor:
    """Computes the bound of log p(x) from k samples each, in nats, `chunk` samples at a time: (N, *shape) -> (N,).

    k = 1 gives the ELBO; the negative mean for a large k (usually 5000) is reported as the NLL. Draws from torch's
    global generator.

    Args:
        elbo: the family's method, (B, *shape) and k -> (B,); it limits its own memory when k is large.
    """
    return torch.cat([elbo(part, k).double() for part in x.split(chunk)])


MEASURES = (
    Measure("reconstruction_mse", "mean squared error of reconstructions, per dimension", "min"),
    Measure("active_units", "units of the code whose posterior mean depends on the sample", ""),
    Measure("kl", "KL of the posterior from the prior: how much the code tells about the sample", "", "nats"),
)
