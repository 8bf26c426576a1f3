"""Flow matching: a net learns the velocity that carries noise to data along straight lines.

Time runs from noise x_0 ~ N(0, I) at t = 0 to data x_1 at t = 1. The conditional optimal-transport path is

    x_t = (1 - (1 - s) t) x_0 + t x_1                                        (eq. 22), s: the noise left at t = 1
    d x_t / dt = x_1 - (1 - s) x_0                                           (eq. 23, with x_t inserted)
    loss: E |v(x_t, t) - (x_1 - (1 - s) x_0)|²,  t ~ U(0, 1)                 (eq. 9 and 23)

Its minimiser is the mean velocity E[d x_t/dt | x_t], and dx/dt = v(x, t) then carries N(0, I) to the data (section
3.2). Solved backward with the divergence of v, it gives log p(x).

The same velocity estimates noise and data, x̂_0 = x_t - t v and x̂_1 = v + (1 - s) x̂_0, so a step from t to u may also
replace part of the noise by fresh noise, which keeps all marginals and corrects errors of earlier steps:

    x_u = u x̂_1 + √(σ_u² - η² w) x̂_0 + η √w ε,   w = σ_u²/σ_t² (σ_t² - t²/u² σ_u²),   σ_t = 1 - (1 - s) t

This is eq. 12 and 16 of DDIM with α_t = t. η = 0 is an Euler-like solver of the ODE, η = 1 replaces all noise it can.

Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le, "Flow Matching for Generative Modeling", 2023,
https://arxiv.org/abs/2210.02747.
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021, https://arxiv.org/abs/2010.02502.
N. Ma et al., "SiT: Exploring Flow and Diffusion-based Generative Models with Scalable Interpolant Transformers", 2024,
https://arxiv.org/abs/2401.08740, compare deterministic and stochastic samplers of one velocity.

The minimiser is the same for any density of t, but the density decides where a finite net and run are accurate. Times
near 0 and 1 are easy for images, whose shape emerges in between: `logit_normal` draws t = 1 / (1 + e^-u), u ~ N(0, 1).
Narrow modes of points separate near the data: `late` draws t = 1 - u², u ~ U(0, 1), which is Beta(1, 1/2).
P. Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", 2024,
https://arxiv.org/abs/2403.03206 (section 3.1), compare several.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import choose, within
from genlab.models.base import LossOutput
from genlab.models.diffusion import Clean, DenoisingModel, column
from genlab.models.ode import DIVERGENCES, SOLVERS, integrate, integrate_density
from genlab.models.samplers import SECOND_ORDER, Level, exact_step, second_order
from genlab.networks.denoisers import Denoiser, denoiser

MOST_RATIO, LEAST_RATIO = 50.0, 1e-3  # the ratios of noise to data between which dpmpp and heun step evenly in log
TIME_DENSITIES = ("uniform", "logit_normal", "late")


def path(noise: Tensor, x: Tensor, t: Tensor, sigma_min: float) -> tuple[Tensor, Tensor]:
    """Returns x_t and d x_t/dt from x_0 and x_1 (B, *shape) at t (B,): 2 x (B, *shape)."""
    t = column(t, x)
    return (1 - (1 - sigma_min) * t) * noise + t * x, x - (1 - sigma_min) * noise


def draw_times(density: str, n: int, device: torch.device | str) -> Tensor:
    """Draws n times in [0, 1] to train at: (n,)."""
    if density == "logit_normal":
        return torch.randn(n, device=device).sigmoid()
    u = torch.rand(n, device=device)
    return 1 - u.square() if density == "late" else u


def times(steps: int) -> list[float]:
    """Returns `steps` + 1 times from 0 to 1, 1 - (1 - i/steps)²: dense near the data, where v turns fastest."""
    return [1 - (1 - i / steps) ** 2 for i in range(steps + 1)]


def level(t: float, sigma_min: float) -> Level:
    """Returns the factors of the data and of the noise in x_t."""
    return t, 1 - (1 - sigma_min) * t


def clean(x: Tensor, velocity: Tensor, t: float, sigma_min: float) -> Tensor:
    """Returns x̂_1, the data that v(x_t, t) predicts from x_t: 2 x (B, *shape) -> (B, *shape)."""
    return velocity + (1 - sigma_min) * (x - t * velocity)


def even_times(count: int, sigma_min: float) -> list[float]:
    """Returns `count` times: 0, then those at which the ratio of noise to data falls geometrically."""
    top, low = math.log(MOST_RATIO), math.log(max(LEAST_RATIO, sigma_min))
    inner = [math.exp(low + (top - low) * i / max(1, count - 2)) for i in reversed(range(count - 1))]
    return [0.0, *(1 / (ratio + 1 - sigma_min) for ratio in inner)]


def stochastic_step(
    x: Tensor, velocity: Tensor, noise: Tensor, t: float, end: float, sigma_min: float, eta: float = 1.0
) -> Tensor:
    """Returns x_u at u = `end` from x_t (B, *shape), v(x_t, t) and fresh ε of the same shape, 0 <= t < u <= 1."""
    data = clean(x, velocity, t, sigma_min)
    return exact_step(x, data, level(t, sigma_min), level(end, sigma_min), eta, noise)


class FlowMatching(DenoisingModel):
    """Flow matching on the conditional optimal-transport path, with exact likelihood (Lipman et al. 2023).

    Args:
        sigma_min: s, the standard deviation of the noise left at t = 1.
        time_density: density of the training times: uniform, logit_normal or late.
        sample_steps: steps of the solver.
        solver: solver of the ODE: euler (one call of the net per step), midpoint, heun (two), rk4 (four); or one with
            fresh noise: stochastic (first order, η = 1) or dpmpp (second order), each with one call per step.
        eta: η of dpmpp, in [0, 1]; the noise at η = 1 corrects errors of a net that is not fully trained.
        likelihood_steps, likelihood_solver: steps and solver of the ODE in `log_prob`.
        divergence: divergence in `log_prob`: exact, hutchinson (an unbiased estimate), or auto: exact for points.
        conditional, drop_label, guidance: see `DenoisingModel`.
        net: builds the net from (shape, classes).
    """

    def __init__(
        self,
        spec: Spec,
        sigma_min: float = 1e-4,
        time_density: str = "uniform",
        sample_steps: int = 25,
        solver: str = "midpoint",
        eta: float = 1.0,
        likelihood_steps: int = 32,
        likelihood_solver: str = "rk4",
        divergence: str = "auto",
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec, conditional, drop_label, guidance, net)
        choose("time_density", time_density, TIME_DENSITIES)
        choose("solver", solver, (*SOLVERS, "stochastic", *SECOND_ORDER))
        choose("likelihood_solver", likelihood_solver, SOLVERS)
        choose("divergence", divergence, DIVERGENCES)
        within("sigma_min", sigma_min, 0, below=1)
        within("sample_steps", sample_steps, 1)
        within("likelihood_steps", likelihood_steps, 1)
        within("eta", eta, 0, 1)
        self.sigma_min, self.time_density = sigma_min, time_density
        self.sample_steps, self.solver, self.eta = sample_steps, solver, eta
        self.likelihood_steps, self.likelihood_solver = likelihood_steps, likelihood_solver
        self.divergence = divergence

    def loss(self, batch: Batch) -> LossOutput:
        x = self.measure(batch)
        t = draw_times(self.time_density, len(x), x.device)
        x_t, velocity = path(torch.randn_like(x), x, t, self.sigma_min)
        error = (self.answer(batch, self.keep_given(x_t, x), t) - velocity).square()
        return LossOutput(error.mean() if self.given is None else self.mean_error(error, x).mean())

    def velocity(self, x: Tensor, t: float, y: Tensor | None = None) -> Tensor:
        """Returns v(x, t) for all x (B, *shape) at one time, in the net's space."""
        return self.guided(x, torch.full((len(x),), t, dtype=x.dtype, device=x.device), y)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n samples (n, *shape). A conditional model takes the classes y (n,), or draws them as in training."""
        if self.given:
            return self.draw_given(n, y)
        y, x = self.labels(n, y), self.noise(n)
        if self.solver in SECOND_ORDER:
            return self.restore(self.second_order(x, y))
        grid = times(self.sample_steps)
        if self.solver != "stochastic":
            return self.restore(integrate(lambda x, t: self.velocity(x, t, y), x, grid, self.solver))
        for t, end in pairwise(grid):
            x = stochastic_step(x, self.velocity(x, t, y), self.noise(n), t, end, self.sigma_min)
        return self.restore(x)

    def second_order(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Runs DPM-Solver++ or Heun's method from noise x (B, *shape), in the net's space."""
        levels, denoise = self.ladder(y)
        return second_order(self.solver, denoise, x, levels, self.eta, self.head.smooth_channels)

    def ladder(self, y: Tensor | None) -> tuple[list[Level], Clean]:
        grid = even_times(self.sample_steps, self.sigma_min)

        def denoise(x_t: Tensor, i: int) -> Tensor:
            return clean(x_t, self.velocity(x_t, grid[i], y), grid[i], self.sigma_min)

        return [level(t, self.sigma_min) for t in grid], denoise

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Computes the log-density of x in nats by the ODE, exact up to the step size: (B, *shape) -> (B,).

        This is a density in the model's range; a conditional model is evaluated without a class.

        Raises:
            ValueError: the data have categories, pixels together with other fields, or given columns.
        """
        self.head.check_density()
        self.check_learnt()
        backward = times(self.likelihood_steps)[::-1]
        solver, points = self.likelihood_solver, x / self.scale
        noise, change = integrate_density(self.velocity, points, backward, solver, self.divergence)
        size = math.prod(x.shape[1:])
        log_p = -0.5 * noise.square().flatten(1).sum(1) - 0.5 * size * math.log(2 * math.pi)
        return log_p + change - self.log_scale
