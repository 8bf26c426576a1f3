"""Diffusion models whose nets are exact formulas, for Gaussian data in the plane."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genlab.data.base import Spec
from genlab.models import score
from genlab.models.ddpm import DDPM
from genlab.models.score import Score
from genlab.networks.denoisers import denoiser

POINTS = Spec((2,), classes=2)


IMAGES = Spec((1, 28, 28), classes=10, range="symmetric")


MEAN, STD = torch.tensor([0.3, -0.8]).double(), torch.tensor([0.5, 1.2]).double()  # of Gaussian data in the plane


def batch(spec: Spec, n: int = 8) -> dict[str, Tensor]:
    return {"x": torch.randn(n, *spec.shape).tanh(), "y": torch.arange(n) % spec.classes, "step": torch.tensor(0)}


def small(shape: Sequence[int], classes: int) -> nn.Module:
    return denoiser(shape, classes, hidden=32, blocks=1, width=8)


class Exact(nn.Module):
    """A net that is a formula of (x, t), with one idle parameter that tells the family its device."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula, self.idle = formula, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.formula(x, t[:, None])


def best_noise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[ε | x_t] for data N(MEAN, STD²)."""
    return sigma * (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)


def levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ of the continuous diffusion."""
    b = score.log_ratio(t)
    return (-0.5 * b).exp(), (-torch.expm1(-b)).sqrt()


def best_ddpm(**options: Any) -> DDPM:
    model = DDPM(POINTS, **options)

    def formula(x: Tensor, t: Tensor) -> Tensor:
        step = (t * model.timesteps).round().long()
        return best_noise(x, model.alpha[step], model.sigma[step])

    model.net = Exact(formula)
    model = model.double()
    model.alpha, model.sigma = model.bars.sqrt(), (1 - model.bars).sqrt()  # float64, not rounded on the way
    return model


def best_score(**options: Any) -> Score:
    model = Score(POINTS, **options)
    model.net = Exact(lambda x, t: best_noise(x, *levels(t)))
    return model.double()


def log_density(x: Tensor) -> Tensor:
    return Normal(MEAN, STD).log_prob(x).sum(1)
