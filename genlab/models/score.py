"""Score models in continuous time: noise is added by a diffusion, and the net learns the gradient of log p_t.

The variance-preserving diffusion for t from 0 to 1, with β(t) = β_0 + t (β_1 - β_0):

    dx = -½ β(t) x dt + √β(t) dw          x_t = α x + σ ε,  α² = e^{-B(t)},  B(t) = ½ t² (β_1 - β_0) + t β_0   (eq. 33)
    ∇ log p_t(x_t) = -E[ε | x_t] / σ       so a net that predicts ε (or x, or v) gives the score

Its probability flow ODE (eq. 13) has the same densities p_t as the diffusion. In x̂ = x_t/α and ς = σ/α it is

    dx̂/dς = ε̂(x_t, t)                      t from ς:  B(t) = log(1 + ς²)            (eq. 14 of DDIM)

which is solved from noise to data to sample, and from data to noise, with the divergence, for log p(x). Annealed
Langevin dynamics instead follows the score at each of a series of falling ς, with h = c ς²:

    x̂ <- x̂ + ½ h ∇ log p_ς(x̂) + √h z,  z ~ N(0, I)

Y. Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", 2021,
https://arxiv.org/abs/2011.13456.
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021, https://arxiv.org/abs/2010.02502.
Y. Song, S. Ermon, "Generative Modeling by Estimating Gradients of the Data Distribution", 2019,
https://arxiv.org/abs/1907.05600 (annealed Langevin dynamics, algorithm 1).
"""

import math
from typing import TypeVar

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import choose, within
from genlab.models.base import LossOutput
from genlab.models.diffusion import Clean, Diffusion
from genlab.models.ode import DIVERGENCES, SOLVERS, integrate, integrate_density
from genlab.models.samplers import SECOND_ORDER, Level, second_order
from genlab.networks.denoisers import Denoiser, denoiser

BETA_0, BETA_1 = 0.1, 20.0  # the values of appendix C of Song et al. 2021
T_MIN = 1e-5  # below this time σ is about 0, and dividing by it would fail
SAMPLERS = ("ode", "langevin", *SECOND_ORDER)
LEAST_RATIO = 3e-3  # ς at which dpmpp and heun end: below it, errors of a net make modes narrower again
Time = TypeVar("Time", Tensor, float)


def log_ratio(t: Time) -> Time:
    """Returns B(t) = -log α²."""
    return 0.5 * t * t * (BETA_1 - BETA_0) + t * BETA_0


def noise_ratio(t: float) -> float:
    """Returns ς = σ/α at time t."""
    return math.sqrt(math.expm1(log_ratio(t)))


def time_of(ratio: float) -> float:
    """Returns the time t at which σ/α is `ratio`: the positive root of B(t) = log(1 + ς²)."""
    slope = BETA_1 - BETA_0
    # (-β_0 + √(β_0² + 2 slope B)) / slope, written without a difference of nearly equal numbers.
    b = 2 * math.log1p(ratio**2)
    return b / (BETA_0 + math.sqrt(BETA_0**2 + slope * b))


def ratios(steps: int, least: float | None = None) -> list[float]:
    """Returns `steps` + 1 values of ς in geometric progression, from t = 1 to `least` (None: ς at `T_MIN`)."""
    top, low = math.log(noise_ratio(1.0)), math.log(least or noise_ratio(T_MIN))
    return [math.exp(top + (low - top) * i / steps) for i in range(steps + 1)]


def level(ratio: float) -> Level:
    """Returns α and σ for σ/α = `ratio`."""
    alpha = 1 / math.sqrt(1 + ratio**2)
    return alpha, alpha * ratio


class Score(Diffusion):
    """Score model: probability-flow ODE with exact likelihood, annealed Langevin (Song et al. 2021).

    Args:
        prediction: what the net predicts: epsilon, x0 or v.
        sampler: ode, langevin, dpmpp or heun.
        sample_steps: steps of the ODE, of dpmpp (one call of the net per step) or of heun (two).
        solver: solver of the ODE: euler (this is DDIM; one call of the net per step), midpoint (two), rk4 (four).
        eta: η of dpmpp, in [0, 1]; the noise at η = 1 corrects errors of a net that is not fully trained.
        langevin_levels: number of noise levels of Langevin dynamics, in geometric progression.
        langevin_steps: steps at each level.
        langevin_size: c, the step size h divided by ς².
        likelihood_steps, likelihood_solver: for the ODE in `log_prob`. On mixtures of narrow Gaussians, with the exact
            score, 64 steps of rk4 (256 calls of the net) are 0.001 nats off, 100 of midpoint (200 calls) 0.02.
        divergence: divergence in `log_prob`: exact, hutchinson (an unbiased estimate), or auto: exact for points.
        conditional, drop_label, guidance: see `DenoisingModel`.
        net: builds the net from (shape, classes).
    """

    def __init__(
        self,
        spec: Spec,
        prediction: str = "epsilon",
        sampler: str = "ode",
        sample_steps: int = 25,
        solver: str = "midpoint",
        eta: float = 1.0,
        langevin_levels: int = 100,
        langevin_steps: int = 10,
        langevin_size: float = 0.5,
        likelihood_steps: int = 64,
        likelihood_solver: str = "rk4",
        divergence: str = "auto",
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec, prediction, conditional, drop_label, guidance, net)
        choose("sampler", sampler, SAMPLERS)
        choose("solver", solver, SOLVERS)
        choose("likelihood_solver", likelihood_solver, SOLVERS)
        choose("divergence", divergence, DIVERGENCES)
        for name, value in (
            ("sample_steps", sample_steps),
            ("langevin_levels", langevin_levels),
            ("langevin_steps", langevin_steps),
            ("langevin_size", langevin_size),
            ("likelihood_steps", likelihood_steps),
        ):
            within(name, value, above=0)
        within("eta", eta, 0, 1)
        self.sampler, self.sample_steps, self.solver, self.eta = sampler, sample_steps, solver, eta
        self.langevin_levels, self.langevin_steps, self.langevin_size = langevin_levels, langevin_steps, langevin_size
        self.likelihood_steps, self.likelihood_solver = likelihood_steps, likelihood_solver
        self.divergence = divergence

    def loss(self, batch: Batch) -> LossOutput:
        """Computes E |ε - ε̂|², which is score matching with weight σ² (eq. 7), at t ~ U(T_MIN, 1)."""
        x = self.measure(batch)
        t = T_MIN + (1 - T_MIN) * torch.rand(len(x), device=x.device)
        b = log_ratio(t)
        return self.simple_loss(batch, x, t, (-0.5 * b).exp(), (-torch.expm1(-b)).sqrt())

    def noise_at(self, x: Tensor, ratio: float, y: Tensor | None = None, sampling: bool = False) -> Tensor:
        """Returns ε̂ at x̂ (B, *shape) = x_t/α with σ/α = `ratio`: the velocity dx̂/dς, and -ς times the score."""
        return self.denoise_at(level(ratio)[0] * x, ratio, y, sampling)[1]

    def denoise_at(
        self, x_t: Tensor, ratio: float, y: Tensor | None = None, sampling: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Returns x̂_0 and ε̂ of x_t with σ/α = `ratio` for all samples: (B, *shape) -> 2 x (B, *shape)."""
        t = torch.full((len(x_t),), time_of(ratio), dtype=x_t.dtype, device=x_t.device)
        return self.denoise(x_t, t, *level(ratio), y, sampling)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n samples (n, *shape). A conditional model takes the classes y (n,), or draws them as in training."""
        if self.given:
            return self.draw_given(n, y)
        y = self.labels(n, y)
        if self.sampler in SECOND_ORDER:
            return self.restore(self.second_order(self.noise(n), y))
        levels = ratios(self.sample_steps if self.sampler == "ode" else self.langevin_levels)
        x = self.noise(n) * math.sqrt(1 + levels[0] ** 2)  # x_1 ~ N(0, I), divided by α
        if self.sampler == "ode":
            x = integrate(lambda points, ratio: self.noise_at(points, ratio, y, sampling=True), x, levels, self.solver)
        else:
            x = self.langevin(x, levels, y)
        return self.restore(x)

    def second_order(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Runs DPM-Solver++ or Heun's method from noise x (B, *shape), in the net's space."""
        levels, clean = self.ladder(y)
        return second_order(self.sampler, clean, x, levels, self.eta, self.head.smooth_channels)

    def ladder(self, y: Tensor | None) -> tuple[list[Level], Clean]:
        steps = ratios(max(1, self.sample_steps - 1), LEAST_RATIO)
        return [level(ratio) for ratio in steps], lambda x_t, i: self.denoise_at(x_t, steps[i], y, sampling=True)[0]

    def langevin(self, x: Tensor, levels: list[float], y: Tensor | None = None) -> Tensor:
        """Runs annealed Langevin dynamics of x̂ (B, *shape) through the noise levels ς, then one denoising step."""
        for ratio in levels:
            h = self.langevin_size * ratio**2
            for _ in range(self.langevin_steps):
                score = -self.noise_at(x, ratio, y, sampling=True) / ratio
                x = x + 0.5 * h * score + math.sqrt(h) * torch.randn_like(x)
        # E[x|x̂]: A. Jolicoeur-Martineau et al., 2020, https://arxiv.org/abs/2009.05475.
        return x - levels[-1] * self.noise_at(x, levels[-1], y, sampling=True)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Computes the log-density of x in nats by the ODE, exact up to the step size: (B, *shape) -> (B,).

        This is the density of x with the noise of `T_MIN`, in the model's range; a conditional model is evaluated
        without a class.

        Raises:
            ValueError: the data have categories, pixels together with other fields, or given columns.
        """
        self.head.check_density()
        self.check_learnt()
        levels = ratios(self.likelihood_steps)
        solver, points = self.likelihood_solver, x / self.scale
        end, change = integrate_density(self.noise_at, points, levels[::-1], solver, self.divergence)
        log_alpha, size = -0.5 * log_ratio(1.0), math.prod(x.shape[1:])
        # x_1 = α x̂_1 ~ N(0, I).
        log_p = -0.5 * (end * math.exp(log_alpha)).square().flatten(1).sum(1)
        log_p = log_p + size * (log_alpha - 0.5 * math.log(2 * math.pi))
        return log_p + change - self.log_scale
