"""A head that turns raw outputs into distributions: Gaussian reals, Bernoulli or Gaussian pixels, categories.

The learned scale of the Gaussians follows O. Rybkin, K. Daniilidis, S. Levine, "Simple and Effective VAE Training with
Calibrated Decoders", 2021, https://arxiv.org/abs/2006.13202.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.fields import LIMITS, Group, one_hot
from genlab.data.spec import Spec
from genlab.errors import OptionError, choose, within
from genlab.models.head import Head, gumbel, mean

LIKELIHOODS = ("auto", "bernoulli", "gaussian")


class LikelihoodHead(Head):
    """A head with a distribution p(x | raw), where raw is a decoder's output.

    Args:
        likelihood: the likelihood of pixels: bernoulli (for data in [0, 1]), gaussian, or auto: bernoulli where it
            fits. Reals are Gaussian, categories categorical.
        sigma: the Gaussians' standard deviation in the model's range; None learns one number for all.

    Raises:
        OptionError: the likelihood is unknown or does not fit the range of the data.
    """

    log_sigma: Tensor

    def __init__(self, spec: Spec, likelihood: str = "auto", sigma: float | None = None) -> None:
        super().__init__(spec)
        choose("likelihood", likelihood, LIKELIHOODS)
        if sigma is not None:
            within("sigma", sigma, above=0)
        unit = [group.range in ("unit", "binary") for group in spec.groups]
        if likelihood == "bernoulli" and not all(unit):
            raise OptionError("likelihood", f"bernoulli needs data.range unit or binary, not {spec.values}")
        self.bernoulli = likelihood != "gaussian"  # for the pixels in [0, 1]
        # A parameter if it is learned, a buffer if it is given; unused if nothing is Gaussian.
        log_sigma = torch.tensor(math.log(1.0 if sigma is None else sigma))
        if any(map(self.gaussian, spec.groups)) and sigma is None:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def gaussian(self, group: Group) -> bool:
        """Returns whether the channels of a group have a Gaussian density."""
        return group.kind == "real" or (group.kind == "pixel" and not (self.bernoulli and LIMITS[group.range][0] == 0))

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Computes log p(x | raw) in nats, fp32: 2 x (B, *shape) -> (B,)."""

        def rule(group: Group, raw: Tensor, x: Tensor) -> Tensor:
            if group.kind == "category":
                return (x * raw.log_softmax(1)).flatten(1).sum(1)
            if not self.gaussian(group):
                return -F.binary_cross_entropy_with_logits(raw, x, reduction="none").flatten(1).sum(1)
            error = (mean(group, raw) - x) * (-self.log_sigma).exp()
            return -(0.5 * error.square() + self.log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

        return self.total(rule, raw.float(), x)

    def sample(self, mean: Tensor, pixels: bool = True) -> Tensor:
        """Draws x from the distribution with this mean: (B, *shape) -> (B, *shape).

        Args:
            pixels: whether to draw pixels too, instead of taking their mean.
        """

        def rule(group: Group, m: Tensor) -> Tensor:
            if group.kind == "category":
                return one_hot(m.log() + gumbel(m))
            if group.kind == "pixel" and not pixels:
                return m
            return m + self.log_sigma.exp() * torch.randn_like(m) if self.gaussian(group) else torch.bernoulli(m)

        return self.spec.each(rule, mean)
