"""Normalizing flows: an invertible net z = f(x) maps data to noise, which gives an exact density.

    log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|                                              (RealNVP, eq. 3)
    x = f⁻¹(T z),  z ~ N(0, I)                                                                   T: temperature

Pixels and categories are not continuous, so `line_head` turns them into continuous numbers v, whose density bounds
their probability. For images, bits/dim = -log P / (D log 2), with the bound in place of log P; a uniform p has 8.

L. Dinh, J. Sohl-Dickstein, S. Bengio, "Density estimation using Real NVP", 2017, https://arxiv.org/abs/1605.08803.
D. P. Kingma, P. Dhariwal, "Glow", 2018, https://arxiv.org/abs/1807.03039.
C. Durkan et al., "Neural Spline Flows", 2019, https://arxiv.org/abs/1906.04032.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, UserError, choose, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.line_head import LineHead, normal_log_prob
from genlab.networks.coupling import Affine, Invertible, Spline
from genlab.networks.dcgan import levels as halvings
from genlab.networks.glow import Dequantizer, glow, realnvp
from genlab.networks.series_flow import realnvp1d
from genlab.networks.table import pick

COUPLINGS = ("affine", "spline")
DEQUANTIZATIONS = ("uniform", "variational")


class Weighted(NamedTuple):
    """Samples of a flow with importance weights for another density."""

    x: Tensor  # (n, *shape)
    log_weights: Tensor  # (n,) log p̃(x) - log q(x), where p̃ is the other density, normalised or not

    @property
    def effective_sample_size(self) -> Tensor:
        return effective_sample_size(self.log_weights)


class Flow(Family):
    """Normalizing flow: RealNVP for points and series, Glow for images; affine or spline couplings (Dinh et al. 2017).

    Args:
        architecture: realnvp (flattened samples), realnvp1d (series), glow (images whose sides can be halved), or auto.
        coupling: affine (scales bounded by e² per layer) or spline (rational-quadratic, identity outside ±`bound`).
        couplings, hidden, activation: for realnvp: the number of couplings, and the layers of the MLP in each; hidden
            does not apply to realnvp1d.
        octaves: octaves of sines and cosines of each coordinate that these MLPs see besides it, 0 for none.
        levels, steps, width: for glow: scales (0: as many as the side allows, at most three), steps of each, channels.
            The width is also that of realnvp1d.
        bins, bound: pieces and range of a spline.
        dequantization: noise added to images: uniform or variational.
        alpha: α of the logit, in [0, 1); 0 works on the unit cube without a logit. The RealNVP paper has 0.05 (and a
            one-sided α); on MNIST 1e-5 gave fewer bits/dim in runs of a minute.
        temperature: T of `sample`; the density always has T = 1.

    Raises:
        UserError: an option is unknown or out of its range, pixels are binary, or an image cannot be squeezed.
    """

    prefers = "unit"
    takes_given = True
    head: LineHead

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
        choose("coupling", coupling, COUPLINGS)
        choose("dequantization", dequantization, DEQUANTIZATIONS)
        if any(group.range == "binary" for group in spec.groups):
            raise UserError("data.range: a flow is a density, and binary pixels have none; use unit or symmetric")
        within("alpha", alpha, 0, below=1)
        self.head = LineHead(spec.learnt, alpha)
        most = min((halvings(side)[0] for side in spec.shape[1:]), default=0)
        architecture = pick("flow", architecture, spec.shape, "architecture")
        if architecture == "realnvp1d" and spec.given:  # its couplings have no second input
            architecture = "realnvp"
        if architecture == "glow" and not (len(spec.shape) == 3 and most and levels <= most):
            message = f"glow cannot halve {spec.shape} {max(levels, 1)} times; use realnvp"
            raise OptionError("architecture", message)
        if dequantization == "variational" and not (most and spec.only("pixel")):
            raise OptionError("dequantization", "variational needs images with even sides; use uniform")
        self.temperature = temperature
        transform = Spline(bins, bound) if coupling == "spline" else Affine()
        self.flow: Invertible
        if architecture == "glow":
            self.flow = glow(spec.shape, transform, levels or min(most, 3), steps, width)
        elif architecture == "realnvp1d":
            self.flow = realnvp1d(spec.shape, transform, couplings, width, activation)
        else:
            shape, context = spec.learnt.shape, spec.context
            self.flow = realnvp(shape, transform, couplings, hidden, activation, octaves, context)
        self.dequantizer = Dequantizer(spec.shape) if dequantization == "variational" else None

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self,), self.loss),)

    @torch.no_grad()
    def initialise(self, batch: Batch) -> None:
        """Sets the mean and deviation of each ActNorm; part of a batch would give poor ones."""
        self.log_prob(batch["x"])

    def loss(self, batch: Batch) -> LossOutput:
        """Computes -log p(x) in nats; for images, of the dequantized point (see `log_prob`)."""
        if self.given and self.training:
            self.given.remember(batch["x"])
        nats = -self.log_prob(batch["x"]).mean()
        return LossOutput(nats, {"bits_per_dim": self.to_bits(nats)} if self.spec.only("pixel") else {"nll": nats})

    def log_prob(self, x: Tensor) -> Tensor:
        """Computes log p(x) in nats, of the learnt channels given the others: (B, *shape) -> (B,). Exact for reals.

        For pixels and categories, returns log p(v) - log q(v|x) for one fresh v, whose mean over v is a lower bound of
        log p(x). Pixels alone get a density in the unit cube: subtract D log 256 to bound their log-probability.
        """
        given = None
        if self.given:
            x, given = self.given.split(x)
            given = given.flatten(1)
        if self.head.smooth:
            return self.log_density(x, given)
        v, log_q = self.head.dequantize(x, torch.randn_like(x), self.dequantizer)
        return self.log_density(v, given) - log_q

    def bits_per_dim(self, x: Tensor, k: int = 1) -> Tensor:
        """Bounds -log2 P(x) / D of 8-bit images from k draws of u (k > 1: the tighter bound of IWAE): (B,)."""
        draws = torch.stack([self.log_prob(x) for _ in range(k)])
        return self.to_bits(math.log(k) - draws.logsumexp(0))

    def to_bits(self, nats: Tensor) -> Tensor:
        """Converts -log p on the unit cube from nats to bits/dim of 8-bit pixels: (nats + D log 256) / (D log 2)."""
        return nats / (math.prod(self.spec.shape) * math.log(2)) + 8

    def log_density(self, v: Tensor, given: Tensor | None = None) -> Tensor:
        """Computes log p of reals, or of dequantized pixels and categories, in nats: (B, *shape) -> (B,)."""
        y, head_log_det = self.head.to_line(v)
        z, log_det = self.flow(y, given)
        return normal_log_prob(z) + head_log_det + log_det

    def draw(self, z: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps noise z (B, D) to continuous v (B, *shape) by f⁻¹; also returns log p(v) in nats (B,)."""
        y, log_det = self.flow.inverse(z, given)
        v, head_log_det = self.head.from_line(y)
        return v, normal_log_prob(z) - log_det + head_log_det

    def noise(self, n: int) -> Tensor:
        """Draws z ~ N(0, I), (n, D), in the precision of the weights."""
        weight = next(self.parameters())
        return torch.randn(n, math.prod(self.head.spec.shape), dtype=weight.dtype, device=weight.device)

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float | None = None, given: Tensor | None = None
    ) -> Tensor:
        """Draws f⁻¹(T z), z ~ N(0, I): (n, *shape). Pixels are rounded to k / 255, in the model's range.

        Args:
            given: (n, K) given channels; None: those of training rows.
        """
        scale = self.temperature if temperature is None else temperature
        if self.given is None:
            return self.head.quantize(self.draw(scale * self.noise(n))[0])
        given = self.given.draw(n) if given is None else given
        return self.given.join(self.head.quantize(self.draw(scale * self.noise(n), given.flatten(1))[0]), given)

    def importance_sample(self, n: int, log_target: Callable[[Tensor], Tensor]) -> Weighted:
        """Draws n points x from the flow q with weights w = p̃(x) / q(x), so that E_p h = Σ w h / Σ w.

        Args:
            log_target: log p̃ in nats, normalised or not: (B, *shape) -> (B,).
        """
        x, log_q = self.draw(self.noise(n))
        return Weighted(x, log_target(x) - log_q)


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """Computes (Σ w)² / Σ w²: how many equally weighted samples these (n,) are worth, between 1 and n.

    A. Kong, J. S. Liu, W. H. Wong, "Sequential Imputations and Bayesian Missing Data Problems", 1994,
    https://doi.org/10.1080/01621459.1994.10476469.
    """
    return 1 / log_weights.softmax(0).square().sum()
