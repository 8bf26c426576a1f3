"""A head whose raw output stands for a distribution: Gaussian reals, Bernoulli or Gaussian pixels, categories.

The learned scale of the Gaussians: O. Rybkin, K. Daniilidis, S. Levine, "Simple and Effective VAE Training with
Calibrated Decoders", 2021, https://arxiv.org/abs/2006.13202.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.fields import LIMITS, Group, one_hot
from genlab.data.spec import Spec
from genlab.errors import OptionError, choose, within
from genlab.models.head import Head, mean

LIKELIHOODS = ("auto", "bernoulli", "gaussian")


class LikelihoodHead(Head):
    """A head with a distribution p(x | raw), which a decoder's raw output stands for.

    Args:
        likelihood: of pixels: bernoulli (of data in [0, 1]), gaussian, or auto: bernoulli where it fits. Reals are
            Gaussian, categories have their probabilities.
        sigma: the Gaussians' standard deviation in the model's range; None learns one number for all.

    Raises:
        OptionError: an unknown likelihood, or one that the range of the data forbids.
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
        self.bernoulli = likelihood != "gaussian"  # of the pixels in [0, 1]
        # A parameter when it is learned, a buffer when it is given; unused where nothing is Gaussian.
        log_sigma = torch.tensor(math.log(1.0 if sigma is None else sigma))
        if any(map(self.gaussian, spec.groups)) and sigma is None:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def gaussian(self, group: Group) -> bool:
        """Whether the channels of a group have a Gaussian density."""
        return group.kind == "real" or (group.kind == "pixel" and not (self.bernoulli and LIMITS[group.range][0] == 0))

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """log p(x | raw) in nats, fp32: 2 x (B, *shape) -> (B,)."""

        def rule(group: Group, raw: Tensor, x: Tensor) -> Tensor:
            if group.kind == "category":
                return (x * raw.log_softmax(1)).flatten(1).sum(1)
            if not self.gaussian(group):
                return -F.binary_cross_entropy_with_logits(raw, x, reduction="none").flatten(1).sum(1)
            error = (mean(group, raw) - x) * (-self.log_sigma).exp()
            return -(0.5 * error.square() + self.log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

        return self.total(rule, raw.float(), x)

    def sample(self, mean: Tensor, pixels: bool = True) -> Tensor:
        """Draw x of the distribution with this mean: (B, *shape) -> (B, *shape).

        Args:
            pixels: draw pixels too; False: take their mean.
        """

        def rule(group: Group, m: Tensor) -> Tensor:
            if group.kind == "category":
                return one_hot(m.log() + gumbel(m))
            if group.kind == "pixel" and not pixels:
                return m
            return m + self.log_sigma.exp() * torch.randn_like(m) if self.gaussian(group) else torch.bernoulli(m)

        return self.spec.each(rule, mean)


def gumbel(like: Tensor) -> Tensor:
    """Draws of the Gumbel distribution: the largest of log p + g is k with probability p_k."""
    return -torch.empty_like(like).exponential_().log()
