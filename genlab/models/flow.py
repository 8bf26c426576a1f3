"""Normalizing flows: an invertible net z = f(x) turns data into noise, and so has an exact density.

    log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|                                              (RealNVP, eq. 3)
    x = f⁻¹(T z),  z ~ N(0, I)                                                                   T: temperature

Pixels k in {0, ..., 255} are no continuous numbers: with noise u in [0, 1) the point v = (k + u) / 256 lies in the
unit cube, and a density p on the cube bounds the probability of the image,

    log P(k) >= E_q(u|k) [log p(v) - log q(u|k)] - D log 256                             (Flow++, section 3.1)
    bits/dim = -log P(k) / (D log 2), with the bound in place of log P(k)

with q uniform (log q = 0) or learned (variational). A uniform p has 8 bits/dim. On the cube the flow works on
y = logit(s), s = α/2 + (1 - α) v: α keeps y finite, and log |∂y/∂v| = log(1 - α) - log s - log(1 - s) is counted.

L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803.
D. P. Kingma, P. Dhariwal, "Glow", 2018, https://arxiv.org/abs/1807.03039.
J. Ho et al., "Flow++", 2019, https://arxiv.org/abs/1902.00275.
C. Durkan et al., "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, UserError, choose, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.networks.coupling import Affine, Invertible, Spline
from genlab.networks.dcgan import levels as halvings
from genlab.networks.glow import Dequantizer, glow, realnvp

ARCHITECTURES = ("auto", "realnvp", "glow")
COUPLINGS = ("affine", "spline")
DEQUANTIZATIONS = ("uniform", "variational")


class Weighted(NamedTuple):
    """Samples of a flow with importance weights for another density."""

    x: Tensor  # (n, *shape)
    log_weights: Tensor  # (n,) log p̃(x) - log q(x), p̃ the other density, normalised or not

    @property
    def effective_sample_size(self) -> Tensor:
        return effective_sample_size(self.log_weights)


class Flow(Family):
    """Normalizing flow: RealNVP for points, multiscale Glow for images; affine or spline couplings (Dinh et al. 2017).

    Args:
        architecture: realnvp (flattened samples), glow (images whose sides can be halved), or auto.
        coupling: affine (scales bounded by e² a layer) or spline (rational-quadratic, identity outside ±`bound`).
        couplings, hidden, activation: of realnvp: how many, and the MLP in each.
        octaves: of sines and cosines of each coordinate that these MLPs see beside it, 0 for none.
        levels, steps, width: of glow: scales (0: as many as the side allows, three at most), steps at each, channels.
        bins, bound: of a spline.
        dequantization: of images: uniform or variational.
        alpha: α of the logit, in [0, 1); 0 works on the unit cube without logit. RealNVP has 0.05 (and a one-sided α);
            on MNIST 1e-5 reached fewer bits/dim in runs of a minute.
        temperature: T of `sample`; the density always has T = 1.

    Raises:
        UserError: an unknown word, binary pixels, or an image that cannot be squeezed.
    """

    prefers = "unit"

    def __init__(
        self,
        spec: Spec,
        architecture: str = "auto",
        coupling: str = "affine",
        couplings: int = 8,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        octaves: int = 0,
        levels: int = 0,
        steps: int = 8,
        width: int = 64,
        bins: int = 16,
        bound: float = 4.0,
        dequantization: str = "uniform",
        alpha: float = 1e-5,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(spec)
        choose("architecture", architecture, ARCHITECTURES)
        choose("coupling", coupling, COUPLINGS)
        choose("dequantization", dequantization, DEQUANTIZATIONS)
        if spec.range == "binary":
            raise UserError("data.range: a flow is a density, binary pixels have none; allowed: unit, symmetric")
        within("alpha", alpha, 0, below=1)
        most = min(halvings(side)[0] for side in spec.shape[1:]) if spec.is_image else 0
        if architecture == "auto":
            architecture = "glow" if most else "realnvp"
        if architecture == "glow" and not (most and levels <= most):
            what = f"glow cannot halve {spec.shape} {max(levels, 1)} times; use realnvp"
            raise OptionError("architecture", what)
        if dequantization == "variational" and not most:
            raise OptionError("dequantization", "variational needs images with even sides; use uniform")
        self.alpha, self.temperature = alpha, temperature
        transform = Spline(bins, bound) if coupling == "spline" else Affine()
        self.flow: Invertible
        if architecture == "glow":
            self.flow = glow(spec.shape, transform, levels or min(most, 3), steps, width)
        else:
            self.flow = realnvp(spec.shape, transform, couplings, hidden, activation, octaves)
        self.dequantizer = Dequantizer(spec.shape) if dequantization == "variational" else None

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self,), self.loss),)

    @torch.no_grad()
    def initialise(self, batch: Batch) -> None:
        """Let each ActNorm take its mean and deviation: those of a part of a batch would be poor."""
        self.log_prob(batch["x"])

    def loss(self, batch: Batch) -> LossOutput:
        """-log p(x) in nats, for images of the dequantized point (see `log_prob`)."""
        nats = -self.log_prob(batch["x"]).mean()
        return LossOutput(nats, {"bits_per_dim": self.to_bits(nats)} if self.spec.is_image else {"nll": nats})

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: (B, *shape) -> (B,). Exact for points.

        Images: log p(v) - log q(u|x), the density of v = (255 x + u) / 256 in the unit cube, with one fresh u. Its
        mean over u, less D log 256, is a lower bound of the log-probability of the pixels.
        """
        if not self.spec.is_image:
            return self.log_density(x)
        v, log_q = self.dequantize(x, torch.randn_like(x))
        return self.log_density(v) - log_q

    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """Bound of -log2 P(x) / D for 8-bit images, from k draws of u (k > 1: the tighter bound of IWAE): (B,)."""
        draws = torch.stack([self.log_prob(x) for _ in range(k)])
        return self.to_bits(math.log(k) - draws.logsumexp(0))

    def to_bits(self, nats: Tensor) -> Tensor:
        """-log p on the unit cube in nats -> bits/dim of 8-bit pixels: (nats + D log 256) / (D log 2)."""
        return nats / (math.prod(self.spec.shape) * math.log(2)) + 8

    def dequantize(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Images in the model's range and noise ~ N(0, I) -> v in the unit cube (B, *shape), log q(u|x) (B,)."""
        pixels = x.add(1).div(2) if self.spec.range == "symmetric" else x
        if self.dequantizer is None:
            u, log_q = torch.special.ndtr(noise), x.new_zeros(len(x))  # the normal's quantile: uniform
        else:
            u, log_q = self.dequantizer(noise, pixels)
        return (255 * pixels + u) / 256, log_q

    def log_density(self, x: Tensor) -> Tensor:
        """log p of points, or of v in the unit cube, in nats: (B, *shape) -> (B,)."""
        inner = x.new_zeros(len(x))
        if self.spec.is_image and self.alpha:
            # 1 - s from 1 - v: near v = 1 the digits of s would not do.
            log_s, log_rest = (torch.stack([x, 1 - x]) * (1 - self.alpha) + 0.5 * self.alpha).log()
            x = log_s - log_rest
            inner = (math.log1p(-self.alpha) - log_s - log_rest).flatten(1).sum(1)
        z, log_det = self.flow(x)
        return normal_log_prob(z) + inner + log_det

    def draw(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f⁻¹: noise z (B, D) -> x (B, *shape), continuous, and its log p(x) in nats (B,) as `log_density` has it."""
        x, log_det = self.flow.inverse(z)
        log_p = normal_log_prob(z) - log_det
        if self.spec.is_image and self.alpha:
            log_s, log_rest = F.logsigmoid(x), F.logsigmoid(-x)
            log_p = log_p + (math.log1p(-self.alpha) - log_s - log_rest).flatten(1).sum(1)
            x = (x.sigmoid() - 0.5 * self.alpha) / (1 - self.alpha)
        return x, log_p

    def noise(self, n: int) -> Tensor:
        """z ~ N(0, I), (n, D), in the precision of the weights."""
        weight = next(self.parameters())
        return torch.randn(n, math.prod(self.spec.shape), dtype=weight.dtype, device=weight.device)

    def sample(self, n: int, y: Tensor | None = None, temperature: float | None = None) -> Tensor:
        """Draw f⁻¹(T z), z ~ N(0, I), images as whole pixel values k / 255 in the model's range: (n, *shape)."""
        scale = self.temperature if temperature is None else temperature
        x, _ = self.draw(scale * self.noise(n))
        if not self.spec.is_image:
            return x
        pixels = (256 * x).floor().clamp(0, 255) / 255
        return 2 * pixels - 1 if self.spec.range == "symmetric" else pixels

    def importance_sample(self, n: int, log_target: Callable[[Tensor], Tensor]) -> Weighted:
        """Draw n points with weights p̃(x) / q(x): E_p h = Σ w h / Σ w, q the flow.

        Args:
            log_target: log p̃ in nats, normalised or not: (B, *shape) -> (B,).
        """
        x, log_q = self.draw(self.noise(n))
        return Weighted(x, log_target(x) - log_q)


def normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats: (B, D) -> (B,)."""
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(Σ w)² / Σ w², between 1 and n: how many equally weighted samples these (n,) are worth.

    A. Kong, J. S. Liu, W. H. Wong, "Sequential Imputations and Bayesian Missing Data Problems", 1994,
    https://doi.org/10.1080/01621459.1994.10476469.
    """
    return 1 / log_weights.softmax(0).square().sum()
