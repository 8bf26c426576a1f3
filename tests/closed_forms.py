"""Diffusion models whose nets are exact formulas, for Gaussian data in the plane."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genlab.data.base import Spec
from genlab.data.gaussian2d import Mixture
from genlab.models import score
from genlab.models.ddpm import DDPM
from genlab.models.flow_matching import FlowMatching
from genlab.models.score import Score
from genlab.networks.denoisers import denoiser

POINTS = Spec((2,), classes=2)


IMAGES = Spec((1, 28, 28), classes=10, fields="symmetric")


MEAN, STD = torch.tensor([0.3, -0.8]).double(), torch.tensor([0.5, 1.2]).double()  # of Gaussian data in the plane


def batch(spec: Spec, n: int = 8) -> dict[str, Tensor]:
    return {"x": torch.randn(n, *spec.shape).tanh(), "y": torch.arange(n) % spec.classes, "step": torch.tensor(0)}


def small(shape: Sequence[int], classes: int) -> nn.Module:
    return denoiser(shape, classes, hidden=32, blocks=1, width=8)


class Exact(nn.Module):
    """A net given by a formula of (x, t); its one unused parameter tells the family its device."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula, self.idle = formula, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.formula(x, t[:, None])


def best_noise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Returns E[ε | x_t] for data N(MEAN, STD²)."""
    return sigma * (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)


def levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """Returns α and σ of the continuous diffusion at t."""
    b = score.log_ratio(t)
    return (-0.5 * b).exp(), (-torch.expm1(-b)).sqrt()


def best_ddpm(**options: Any) -> DDPM:
    model = DDPM(POINTS, **options)

    def formula(x: Tensor, t: Tensor) -> Tensor:
        step = (t * model.timesteps).round().long()
        return best_noise(x, model.alpha[step], model.sigma[step])

    model.net = Exact(formula)
    model = model.double()
    model.alpha, model.sigma = model.bars.sqrt(), (1 - model.bars).sqrt()  # float64, never rounded to float32
    return model


def best_score(**options: Any) -> Score:
    model = Score(POINTS, **options)
    model.net = Exact(lambda x, t: best_noise(x, *levels(t)))
    return model.double()


def log_density(x: Tensor) -> Tensor:
    return Normal(MEAN, STD).log_prob(x).sum(1)


def scale_of(mixture: Mixture) -> float:
    """Returns the root mean square of one coordinate of the mixture's points."""
    return (mixture.modes.double().square().mean() + mixture.sigma**2).sqrt().item()


def clean(mixture: Mixture, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Returns E[x_0 | x_t = x] for a mixture scaled to 1: x (B, 2), α and σ (B, 1) -> (B, 2)."""
    modes, width = mixture.modes.double() / scale_of(mixture), mixture.sigma / scale_of(mixture)
    variance = alpha**2 * width**2 + sigma**2  # of x_t around α m
    distance = (x[:, None] - alpha[..., None] * modes).square().sum(-1)
    mean = torch.softmax(-distance / (2 * variance), dim=1) @ modes
    return mean + alpha * width**2 / variance * (x - alpha * mean)


def exact(model: Any, mixture: Mixture, levels: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Any:
    """Returns the model in float64 with a mixture's optimal net for x_0; `levels` maps t (B, 1) to α and σ."""
    model.net = Exact(lambda x, t: clean(mixture, x, *levels(t)))
    model = model.double()
    model.mean_square.fill_(scale_of(mixture) ** 2)
    return model


def mixture_ddpm(mixture: Mixture, **options: Any) -> DDPM:
    model = DDPM(POINTS, prediction="x0", **options)
    bars = model.bars[:, None]

    def levels(t: Tensor) -> tuple[Tensor, Tensor]:
        bar = bars[(t[:, 0] * model.timesteps).round().long()]
        return bar.sqrt(), (1 - bar).sqrt()

    model = exact(model, mixture, levels)
    model.alpha, model.sigma = model.bars.sqrt(), (1 - model.bars).sqrt()
    return model


def mixture_score(mixture: Mixture, **options: Any) -> Score:
    return exact(Score(POINTS, prediction="x0", **options), mixture, levels)


def mixture_flow_matching(mixture: Mixture, **options: Any) -> FlowMatching:
    model = exact(FlowMatching(POINTS, sigma_min=0.0, **options), mixture, lambda t: (t, 1 - t))
    # v = E[x_1 - x_0 | x_t] = (E[x_1 | x_t] - x_t) / (1 - t); at t = 1, x_t = x_1 and E[x_0] = 0, so v = x.
    data = model.net.formula
    model.net.formula = lambda x, t: torch.where(t < 1, (data(x, t) - x) / (1 - t).clamp(min=1e-12), x)
    return model
