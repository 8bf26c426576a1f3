"""Denoising diffusion: noise is added in T small steps, and a net learns to take each of them back.

    q(x_t|x_{t-1}) = N(√(1-β_t) x_{t-1}, β_t I)                  ᾱ_t = Π_{i<=t} (1 - β_i)                     (eq. 2)
    q(x_t|x_0)     = N(√ᾱ_t x_0, (1-ᾱ_t) I)                      α = √ᾱ_t, σ = √(1-ᾱ_t)                       (eq. 4)
    q(x_s|x_t,x_0) = N(√ᾱ_s β (1-ᾱ_t)⁻¹ x_0 + √(1-β) (1-ᾱ_s) (1-ᾱ_t)⁻¹ x_t, β̃ I)                              (eq. 6, 7)
                     β = 1 - ᾱ_t/ᾱ_s,  β̃ = β (1-ᾱ_s)/(1-ᾱ_t),  s < t (s = t-1 in the paper)

The ancestral sampler puts the net's x̂_0 into the mean of q(x_s|x_t, x_0) and adds noise of variance β̃ ("small") or β
("large"): the right one if x_0 is a single point, or if it is N(0, I). DDIM takes the same times with less noise,

    x_s = √ᾱ_s x̂_0 + √(1-ᾱ_s-η²β̃) ε̂ + η √β̃ ε                   (eq. 12 and 16 of DDIM)

η = 1 is the ancestral sampler with the small variance; η = 0 is deterministic and does with far fewer steps.

J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020, https://arxiv.org/abs/2006.11239.
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021, https://arxiv.org/abs/2010.02502.
A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, https://arxiv.org/abs/2102.09672.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import UserError, choose
from genlab.models.base import Out
from genlab.models.diffusion import Diffusion, column, mixture
from genlab.models.vae import gaussian_kl
from genlab.networks.denoisers import Denoiser, denoiser

SCHEDULES = ("linear", "cosine")
SAMPLERS = ("ddim", "ancestral")
VARIANCES = ("large", "small")
LEAST_SIGNAL = 4e-5  # ᾱ at which samples of points and codes start: what the linear schedule ends at for T = 1000
MOST_SIGNAL = 4e-4  # above, N(0, I) is not close enough to q(x_t) to start from
HALF_BIN = {"symmetric": 1 / 255, "unit": 0.5 / 255, "binary": 0.5}  # half the distance of two pixel values


def alpha_bars(schedule: str, timesteps: int) -> Tensor:
    """ᾱ_0 = 1 to ᾱ_T, (T + 1,) float64."""
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    if schedule == "linear":  # 1e-4 to 0.02 for T = 1000, and as much noise in all for any other T
        beta = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64) * (1000 / timesteps)
    else:  # eq. 17 of Nichol, Dhariwal
        f = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
        beta = 1 - f[1:] / f[:-1]
    return torch.cat([t.new_ones(1), (1 - beta.clamp(max=0.999)).cumprod(0)])


def posterior(bar_s: Tensor, bar_t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q(x_s|x_t, x_0) for s < t: the factors of x_0 and of x_t in its mean, and its variance β̃ (eq. 7)."""
    beta = 1 - bar_t / bar_s
    return (
        bar_s.sqrt() * beta / (1 - bar_t),
        (bar_t / bar_s).sqrt() * (1 - bar_s) / (1 - bar_t),
        beta * (1 - bar_s) / (1 - bar_t),
    )


def ddim(bar_s: Tensor, bar_t: Tensor, eta: float) -> tuple[Tensor, Tensor, Tensor]:
    """One step of DDIM from t to s: the factors of x̂_0 and of ε̂, and the variance η² β̃ (eq. 12 and 16 of DDIM)."""
    variance = eta**2 * posterior(bar_s, bar_t)[2]
    return bar_s.sqrt(), (1 - bar_s - variance).clamp(min=0).sqrt(), variance


def first_time(bars: Tensor) -> int:
    """The time at which samplers start: the last one at which ᾱ_t is `LEAST_SIGNAL` or more.

    q(x_t) is N(0, I) there up to √ᾱ_t. Beyond it (the cosine schedule ends at 2e-9) the clean sample is the difference
    of two nearly equal numbers over √ᾱ_t, and an error of the net is blown up. Few levels of noise may have no time at
    which ᾱ_t is small, but not too small: they start at T.
    """
    last = int((bars >= LEAST_SIGNAL).nonzero().max())
    return last if bars[last] <= MOST_SIGNAL else len(bars) - 1


def sample_times(timesteps: int, steps: int) -> list[int]:
    """`steps` + 1 times from T down to 0, T (i/steps)²: dense near 0, where details arise; all times for steps = T."""
    times = [0]
    for i in range(1, steps + 1):
        times.append(max(times[-1] + 1, round(timesteps * (i / steps) ** 2)))
    return times[::-1]


class DDPM(Diffusion):
    """Denoising diffusion with DDIM and ancestral sampling, class guidance (Ho, Jain, Abbeel 2020).

    Args:
        prediction: what the net predicts: epsilon, x0 or v.
        schedule: of β: linear or cosine.
        timesteps: T.
        sampler: ddim or ancestral.
        sample_steps: of the sampler, at most T.
        eta: η of ddim, in [0, 1]; the noise of 1 makes up for errors of a net that is not trained to the end.
        variance: of the ancestral sampler's steps, and of the model that `elbo` bounds: large (β) or small (β̃).
        conditional, drop_label, guidance: see `Timed`.
        net: makes the net, from (shape, classes).

    Raises:
        UserError: an option out of its range.
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(
        self,
        spec: Spec,
        prediction: str = "epsilon",
        schedule: str = "linear",
        timesteps: int = 1000,
        sampler: str = "ddim",
        sample_steps: int = 50,
        eta: float = 1.0,
        variance: str = "large",
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        super().__init__(spec, prediction, conditional, drop_label, guidance, net)
        choose("model.schedule", schedule, SCHEDULES)
        choose("model.sampler", sampler, SAMPLERS)
        choose("model.variance", variance, VARIANCES)
        least = 20 if schedule == "linear" else 2  # below, the linear schedule's β would reach 1
        if timesteps < least:
            raise UserError(f"model.timesteps: {timesteps} is less than {least}, the least of schedule {schedule}")
        if not 1 <= sample_steps <= timesteps:
            raise UserError(f"model.sample_steps: {sample_steps} is not between 1 and timesteps ({timesteps})")
        if not 0 <= eta <= 1:
            raise UserError(f"model.eta: {eta} is not in [0, 1]")
        self.timesteps, self.variance = timesteps, variance
        self.sampler, self.sample_steps, self.eta = sampler, sample_steps, eta
        self.bars = alpha_bars(schedule, timesteps)  # float64, on the CPU: samplers read numbers from it
        self.register_buffer("alpha", self.bars.sqrt().float(), persistent=False)
        self.register_buffer("sigma", (1 - self.bars).sqrt().float(), persistent=False)

    def loss(self, batch: Batch) -> Out:
        x = self.measure(batch)
        t = torch.randint(1, self.timesteps + 1, (len(x),), device=x.device)
        return self.simple_loss(batch, x, t / self.timesteps, self.alpha[t], self.sigma[t])

    def predict(self, x_t: Tensor, t: Tensor, y: Tensor | None = None, sampling: bool = False) -> tuple[Tensor, Tensor]:
        """x̂_0 and ε̂ at steps t (B,) in 1..T: (B, *shape) -> 2 x (B, *shape), in the net's space."""
        alpha, sigma = column(self.alpha[t], x_t), column(self.sigma[t], x_t)
        return self.denoise(x_t, (t / self.timesteps).to(x_t), alpha, sigma, y, sampling)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw n samples (n, *shape), of the classes y (n,), or of a conditional model of classes as in training."""
        x, y = self.noise(n), self.labels(n, y)
        start = first_time(self.bars) if self.bounded else self.timesteps
        times = sample_times(start, min(self.sample_steps, start))
        for t, s in pairwise(times):
            x = self.reverse(x, t, s, y)
        return self.restore(x)

    def reverse(self, x_t: Tensor, t: int, s: int, y: Tensor | None = None) -> Tensor:
        """Draw x_s given x_t, s < t; at s = 0 the net's x̂_0 itself: (B, *shape) -> (B, *shape)."""
        x, noise = self.predict(x_t, torch.full((len(x_t),), t, device=x_t.device), y, sampling=True)
        if self.sampler == "ancestral":
            from_x, from_x_t, variance = posterior(self.bars[s], self.bars[t])
            mean = from_x.item() * x + from_x_t.item() * x_t
            if self.variance == "large" and s > 0:
                variance = 1 - self.bars[t] / self.bars[s]
        else:
            from_x, from_noise, variance = ddim(self.bars[s], self.bars[t], self.eta)
            mean = from_x.item() * x + from_noise.item() * noise
        return mean + variance.sqrt().item() * torch.randn_like(x_t) if variance > 0 else mean

    @torch.no_grad()
    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Unbiased estimate of the variational bound of log p(x), in nats: (B, *shape) -> (B,).

        log p(x) >= log p(x_0|x_1) - KL(q(x_T|x_0) || N(0, I)) - Σ_{t=2}^T KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t))
        (eq. 5), with the variance of p fixed to β_t or β̃_t, and to β_1 at t = 1. The sum is estimated from k of its
        terms, spread evenly over t and over the batch; k >= T - 1 takes every term once. Pixels are counted as
        discrete values (eq. 13): the result over -D log 2 is in bits/dim. A conditional model is asked without class.
        """
        terms, size, x = self.timesteps - 1, len(x), x / self.scale
        k = min(k, terms)
        bound = self.decoder(x) - self.prior_kl(x)
        # Offsets of a batch lie evenly in [0, 1), in random order: each is uniform, and their terms cover the sum.
        offset = (torch.rand((), device=x.device) + torch.randperm(size, device=x.device) / size) % 1
        for i in range(k):
            place = (i + offset) * terms / k if k < terms else torch.full_like(offset, i)
            t = 2 + place.long().clamp(max=terms - 1)
            bound = bound - terms / k * self.step_kl(x, t, torch.randn_like(x))
        return bound - math.prod(x.shape[1:]) * self.scale.log()

    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """The bound in bits/dim of 8-bit images, from k of its terms: (B, *shape) -> (B,)."""
        return -self.elbo(x, k) / (math.prod(x.shape[1:]) * math.log(2))

    def prior_kl(self, x: Tensor) -> Tensor:
        """L_T = KL(q(x_T|x_0) || N(0, I)) in nats: (B, *shape) -> (B,)."""
        mean = (self.alpha[-1] * x).flatten(1)
        return gaussian_kl(mean, (2 * self.sigma[-1].log()).expand_as(mean))

    def step_kl(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """L_{t-1}, the KL of two Gaussians of variances β̃ and ς², in nats at steps t (B,) >= 2: (B, *shape) -> (B,).

        ½ |μ̃ - μ|² / ς² + ½ D (β̃/ς² - 1 - log β̃/ς²);  the second term is 0 for the small variance (eq. 8).
        """
        bars = self.bars[t.cpu() - 1], self.bars[t.cpu()]
        from_x, _, variance = posterior(*bars)
        model = 1 - bars[1] / bars[0] if self.variance == "large" else variance
        ratio = variance / model
        constant = 0.5 * math.prod(x.shape[1:]) * (ratio - 1 - ratio.log())
        guess, _ = self.predict(mixture(x, noise, column(self.alpha[t], x), column(self.sigma[t], x)), t)
        weight = (0.5 * from_x.square() / model).to(x)
        return weight * (x - guess).square().flatten(1).sum(1) + constant.to(x)

    def decoder(self, x: Tensor) -> Tensor:
        """log p(x_0|x_1) in nats at one x_1 ~ q(x_1|x_0): of the pixel's bin (eq. 13), or the density of points."""
        one = torch.ones(len(x), dtype=torch.long, device=x.device)
        mean, _ = self.predict(mixture(x, torch.randn_like(x), self.alpha[1], self.sigma[1]), one)
        sigma = self.sigma[1]  # √β_1
        if self.spec.range == "real":
            log_p = -0.5 * ((x - mean) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)
            return log_p.flatten(1).sum(1)
        half, low = HALF_BIN[self.spec.range], -1.0 if self.spec.range == "symmetric" else 0.0
        above = torch.where(x > 1 - half, math.inf, (x - mean + half) / sigma)  # the outermost bins are open
        below = torch.where(x < low + half, -math.inf, (x - mean - half) / sigma)
        return log_interval(below, above).flatten(1).sum(1)


def log_interval(a: Tensor, b: Tensor) -> Tensor:
    """log(Φ(b) - Φ(a)) for a < b with Φ the normal distribution function, exact far out in the tails as well."""
    # Mirror intervals right of 0 to the left, where log Φ is exact.
    mirror = a > 0
    a, b = torch.where(mirror, -b, a), torch.where(mirror, -a, b)
    high, low = torch.special.log_ndtr(b), torch.special.log_ndtr(a)
    return high + torch.log1p(-(low - high).exp().clamp(max=1 - 1e-7))
