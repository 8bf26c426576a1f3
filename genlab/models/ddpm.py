"""Denoising diffusion: noise is added in T small steps, and a net learns to reverse each of them.

    q(x_t|x_{t-1}) = N(√(1-β_t) x_{t-1}, β_t I)                  ᾱ_t = Π_{i<=t} (1 - β_i)                     (eq. 2)
    q(x_t|x_0)     = N(√ᾱ_t x_0, (1-ᾱ_t) I)                      α = √ᾱ_t, σ = √(1-ᾱ_t)                       (eq. 4)
    q(x_s|x_t,x_0) = N(√ᾱ_s β (1-ᾱ_t)⁻¹ x_0 + √(1-β) (1-ᾱ_s) (1-ᾱ_t)⁻¹ x_t, β̃ I)                              (eq. 6, 7)
                     β = 1 - ᾱ_t/ᾱ_s,  β̃ = β (1-ᾱ_s)/(1-ᾱ_t),  s < t (s = t-1 in the paper)

The ancestral sampler puts the net's x̂_0 into the mean of q(x_s|x_t, x_0) and adds noise of variance β̃ ("small", exact
if x_0 is a single point) or β ("large", exact if x_0 ~ N(0, I)). DDIM takes the same steps with less noise,

    x_s = √ᾱ_s x̂_0 + √(1-ᾱ_s-η²β̃) ε̂ + η √β̃ ε                   (eq. 12 and 16 of DDIM; `samplers.noises`)

η = 1 is the ancestral sampler with the small variance; η = 0 is deterministic and needs far fewer steps. Both make
narrow modes of points too narrow (see `samplers`), so DPM-Solver++ is the default for points.

J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239.
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021, https://arxiv.org/abs/2010.02502.
A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, https://arxiv.org/abs/2102.09672.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, choose, within
from genlab.models.base import LossOutput
from genlab.models.diffusion import Clean, Diffusion, column, mixture
from genlab.models.samplers import SECOND_ORDER, Level, noises, second_order
from genlab.models.schedules import SCHEDULES, alpha_bars, check_sample_steps, first_time, sample_times
from genlab.models.vae import gaussian_kl
from genlab.networks.denoisers import Denoiser, denoiser

SAMPLERS = ("ddim", "ancestral", *SECOND_ORDER)
VARIANCES = ("large", "small")


def posterior(bar_s: Tensor, bar_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the factors of x_0 and x_t in the mean of q(x_s|x_t, x_0), s < t, and its variance β̃ (eq. 7)."""
    beta = 1 - bar_t / bar_s
    return (
        bar_s.sqrt() * beta / (1 - bar_t),
        (bar_t / bar_s).sqrt() * (1 - bar_s) / (1 - bar_t),
        beta * (1 - bar_s) / (1 - bar_t),
    )


class DDPM(Diffusion):
    """Denoising diffusion with DDIM, ancestral sampling and DPM-Solver++, class guidance (Ho, Jain, Abbeel 2020).

    Args:
        prediction: what the net predicts: epsilon, x0 or v.
        schedule: schedule of β: linear or cosine.
        timesteps: T.
        sampler: ddim, ancestral, dpmpp, heun (two calls of the net per step), or auto: ddim for images, else dpmpp.
        sample_steps: steps of the sampler, at most T; each calls the net once, or twice with heun.
        eta: η of ddim and dpmpp, in [0, 1]; the noise at η = 1 corrects errors of a net that is not fully trained.
        variance: variance of the ancestral sampler's steps: large (β) or small (β̃).
        bound_variance: variance of the model's steps in `elbo`: large, small, or auto: large for reals, else small.
            Small gives the better bound for narrow data, large for wide data: by 0.9 nats with the optimal net on a 2-D
            Gaussian of deviations 0.5 and 1.2.
        conditional, drop_label, guidance: see `DenoisingModel`.
        net: builds the net from (shape, classes).

    Raises:
        UserError: an option is out of its range.
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(
        self,
        spec: Spec,
        prediction: str = "epsilon",
        schedule: str = "linear",
        timesteps: int = 1000,
        sampler: str = "auto",
        sample_steps: int = 50,
        eta: float = 1.0,
        variance: str = "large",
        bound_variance: str = "auto",
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec, prediction, conditional, drop_label, guidance, net)
        choose("schedule", schedule, SCHEDULES)
        choose("sampler", sampler, ("auto", *SAMPLERS))
        if sampler == "auto":
            sampler = "ddim" if spec.only("pixel") else "dpmpp"
        choose("variance", variance, VARIANCES)
        choose("bound_variance", bound_variance, ("auto", *VARIANCES))
        if bound_variance == "auto":
            bound_variance = "large" if spec.only("real") else "small"
        least = 20 if schedule == "linear" else 2  # with fewer steps the linear schedule's β would reach 1
        if timesteps < least:
            raise OptionError("timesteps", f"must be >= {least} with schedule {schedule}, got {timesteps}")
        check_sample_steps(sample_steps, timesteps)
        within("eta", eta, 0, 1)
        self.timesteps, self.variance, self.bound_variance = timesteps, variance, bound_variance
        self.sampler, self.sample_steps, self.eta = sampler, sample_steps, eta
        self.bars = alpha_bars(schedule, timesteps)  # float64 on the CPU, because samplers read single values from it
        self.register_buffer("alpha", self.bars.sqrt().float(), persistent=False)
        self.register_buffer("sigma", (1 - self.bars).sqrt().float(), persistent=False)

    def loss(self, batch: Batch) -> LossOutput:
        x = self.measure(batch)
        t = torch.randint(1, self.timesteps + 1, (len(x),), device=x.device)
        return self.simple_loss(batch, x, t / self.timesteps, self.alpha[t], self.sigma[t])

    def predict(self, x_t: Tensor, t: Tensor, y: Tensor | None = None, sampling: bool = False) -> tuple[Tensor, Tensor]:
        """Returns x̂_0 and ε̂ at steps t (B,) in 1..T: (B, *shape) -> 2 x (B, *shape), in the net's space."""
        alpha, sigma = column(self.alpha[t], x_t), column(self.sigma[t], x_t)
        return self.denoise(x_t, (t / self.timesteps).to(x_t), alpha, sigma, y, sampling)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n samples (n, *shape). A conditional model takes the classes y (n,), or draws them as in training."""
        if self.given:
            return self.draw_given(n, y)
        x, y = self.noise(n), self.labels(n, y)
        if self.sampler in SECOND_ORDER:
            levels, clean = self.ladder(y)
            return self.restore(second_order(self.sampler, clean, x, levels, self.eta, self.head.smooth_channels))
        for t, s in pairwise(self.times()):
            x = self.reverse(x, t, s, y)
        return self.restore(x)

    def times(self) -> list[int]:
        """Returns the steps that samplers visit, from the noisiest to 0."""
        start = first_time(self.bars) if self.bounded else self.timesteps
        return sample_times(start, min(self.sample_steps, start))

    def ladder(self, y: Tensor | None) -> tuple[list[Level], Clean]:
        times = self.times()[:-1]
        return [self.level(t) for t in times], lambda x_t, i: self.at(x_t, times[i], y)[0]

    def level(self, t: int) -> Level:
        """Returns α and σ at step t."""
        return self.bars[t].sqrt().item(), (1 - self.bars[t]).sqrt().item()

    def at(self, x_t: Tensor, t: int, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns x̂_0 and ε̂ for sampling, at the same step t for all samples: (B, *shape) -> 2 x (B, *shape)."""
        return self.predict(x_t, torch.full((len(x_t),), t, device=x_t.device), y, sampling=True)

    def reverse(self, x_t: Tensor, t: int, s: int, y: Tensor | None = None) -> Tensor:
        """Draws x_s given x_t, s < t; for s = 0, x_s is the net's x̂_0 itself: (B, *shape) -> (B, *shape)."""
        x, noise = self.at(x_t, t, y)
        if self.sampler == "ancestral":
            from_x, from_x_t, variance = posterior(self.bars[s], self.bars[t])
            mean = from_x.item() * x + from_x_t.item() * x_t
            if self.variance == "large" and s > 0:
                variance = 1 - self.bars[t] / self.bars[s]
            fresh = variance.sqrt().item()
        else:
            old, fresh = noises(self.level(t), self.level(s), self.eta)
            mean = self.level(s)[0] * x + old * noise
        return mean + fresh * torch.randn_like(x_t) if fresh else mean

    @torch.no_grad()
    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates the variational bound of log p(x) in nats, without bias: (B, *shape) -> (B,).

        log p(x) >= log p(x_0|x_1) - KL(q(x_T|x_0) || N(0, I)) - Σ_{t=2}^T KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t))
        (eq. 5), with the variance of p fixed to β_t or β̃_t, and to β_1 at t = 1. The sum is estimated from k of its
        terms: t is drawn with probability proportional to 1/t, roughly how the terms fall, from k equal strata, each of
        which the samples of a batch cover evenly; k >= T - 1 takes every term once. (Nichol, Dhariwal draw t during
        training by the size of the terms, section 3.3.) Pixels count as discrete values (eq. 13), so the result divided
        by -D log 2 is in bits/dim. A conditional model is evaluated without a class.

        Raises:
            ValueError: the model is given columns, so that it has no bound of all of them.
        """
        self.check_learnt()
        size, x = len(x), x / self.scale
        times = torch.arange(2, self.timesteps + 1, device=x.device)
        share = (1 / times) / (1 / times).sum()
        upper = share.cumsum(0)
        bound = self.decoder(x) - self.prior_kl(x)
        if k >= len(times):
            for t in times:
                bound = bound - self.step_kl(x, t.expand(size), torch.randn_like(x))
        else:
            # Offsets are evenly spaced in [0, 1), in random order: each is uniform, and together they cover the sum.
            offset = (torch.rand((), device=x.device) + torch.randperm(size, device=x.device) / size) % 1
            for i in range(k):
                index = torch.searchsorted(upper, (i + offset) / k, right=True).clamp(max=len(times) - 1)
                bound = bound - self.step_kl(x, times[index], torch.randn_like(x)) / (k * share[index])
        return bound - self.log_scale

    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates the bound in bits/dim of 8-bit images from k of its terms: (B, *shape) -> (B,)."""
        return -self.elbo(x, k) / (math.prod(x.shape[1:]) * math.log(2))

    def prior_kl(self, x: Tensor) -> Tensor:
        """Computes L_T = KL(q(x_T|x_0) || N(0, I)) in nats: (B, *shape) -> (B,)."""
        mean = (self.alpha[-1] * x).flatten(1)
        return gaussian_kl(mean, (2 * self.sigma[-1].log()).expand_as(mean))

    def step_kl(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Computes L_{t-1}, a KL of Gaussians of variances β̃ and ς², in nats at steps t (B,) >= 2: (B, *shape) -> (B,).

        ½ |μ̃ - μ|² / ς² + ½ D (β̃/ς² - 1 - log β̃/ς²);  the second term is 0 for the small variance (eq. 8).
        """
        bars = self.bars[t.cpu() - 1], self.bars[t.cpu()]
        from_x, _, variance = posterior(*bars)
        model = 1 - bars[1] / bars[0] if self.bound_variance == "large" else variance
        ratio = variance / model
        constant = 0.5 * math.prod(x.shape[1:]) * (ratio - 1 - ratio.log())
        guess, _ = self.predict(mixture(x, noise, column(self.alpha[t], x), column(self.sigma[t], x)), t)
        weight = (0.5 * from_x.square() / model).to(x)
        return weight * (x - guess).square().flatten(1).sum(1) + constant.to(x)

    def decoder(self, x: Tensor) -> Tensor:
        """Computes log p(x_0|x_1) in nats at one x_1 ~ q(x_1|x_0): of pixel bins (eq. 13), or the density of points."""
        first_step = torch.ones(len(x), dtype=torch.long, device=x.device)
        mean, _ = self.predict(mixture(x, torch.randn_like(x), self.alpha[1], self.sigma[1]), first_step)
        return self.head.log_interval(x, mean, self.sigma[1])  # √β_1
