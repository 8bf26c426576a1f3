"""Slots: the numbers that an autoregressive model draws one after the other, each with a distribution of its own.

    binary pixel    Bernoulli                                                     1 parameter
    pixel           mixture of M logistics, cut at the 256 values                 3 M
    category        softmax over K words                                          K
    real            mixture of M Gaussians                                        3 M

T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, "PixelCNN++", 2017, https://arxiv.org/abs/1701.05517 (the mixture of
logistics). C. M. Bishop, "Mixture Density Networks", 1994, https://publications.aston.ac.uk/id/eprint/373.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.fields import LIMITS, Range
from genlab.models.head import HALF_BIN

LEAST = -7.0  # log of the smallest scale of a component


class Slots(NamedTuple):
    """Neighbouring slots of one kind."""

    kind: str  # "binary", "pixel", "category" or "real"
    size: int  # numbers of a slot: K of a category, else 1
    count: int
    mixtures: int = 1  # M
    range: Range = "real"  # of pixels

    @property
    def outputs(self) -> int:
        """Parameters of the distribution of one slot."""
        return {"binary": 1, "category": self.size}.get(self.kind, 3 * self.mixtures)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Computes log p, in nats: parameters (..., count, outputs), numbers (..., count, size) -> (..., count)."""
        raw = raw.float()
        if self.kind == "binary":
            return -F.binary_cross_entropy_with_logits(raw[..., 0], x[..., 0], reduction="none")
        if self.kind == "category":
            return (raw.log_softmax(-1) * x).sum(-1)
        logits, mean, log_scale = self.mixture(raw)
        if self.kind == "real":
            z = (x - mean) * (-log_scale).exp()
            parts = -0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)
        else:
            parts = self._bins(x, mean, log_scale)
        return (logits.log_softmax(-1) + parts).logsumexp(-1)

    def _bins(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """log of the mass that each logistic has between the ends of a pixel's bin; the outer bins are open."""
        low, high = LIMITS[self.range]
        half = HALF_BIN[self.range]
        inverse = (-log_scale).exp()
        upper, lower = (x + half - mean) * inverse, (x - half - mean) * inverse
        # log(σ(a) - σ(b)) = log σ(a) + log σ(-b) + log(1 - e^(b - a)), which loses nothing far from the mean
        inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        inner = torch.where(x <= low + half / 2, F.logsigmoid(upper), inner)
        return torch.where(x >= high - half / 2, F.logsigmoid(-lower), inner)

    def mixture(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log scales of the components: (..., 3 M) -> 3 x (..., M)."""
        logits, mean, log_scale = raw.chunk(3, dim=-1)
        return logits, mean, log_scale.clamp(min=LEAST)

    def draw(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """Draws the numbers of one slot: (B, outputs) -> (B, size)."""
        raw = raw.float()
        if self.kind == "binary":
            return torch.bernoulli((raw / temperature).sigmoid())
        if self.kind == "category":
            k = (raw / temperature).softmax(-1).multinomial(1)
            return torch.zeros_like(raw).scatter(1, k, 1.0)
        logits, mean, log_scale = self.mixture(raw)
        k = (logits / temperature).softmax(-1).multinomial(1)
        mean, scale = mean.gather(1, k), temperature * log_scale.gather(1, k).exp()
        if self.kind == "real":
            return mean + scale * torch.randn_like(mean)
        u = torch.rand_like(mean).clamp(1e-5, 1 - 1e-5)
        x = mean + scale * (u.log() - (-u).log1p())
        low, high = LIMITS[self.range]
        step = 2 * HALF_BIN[self.range]
        return (low + ((x - low) / step).round() * step).clamp(low, high)
