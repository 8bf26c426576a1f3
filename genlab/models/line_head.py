"""A head that turns samples into continuous numbers and back, for families that learn a density.

Pixels k in {0, ..., 255} are discrete: with noise u in [0, 1) the point v = (k + u) / 256 lies in the unit cube, and a
density p on the cube bounds the probability of the image,

    log P(k) >= E_q(u|k) [log p(v) - log q(u|k)] - D log 256                             (Flow++, section 3.1)

with q uniform (log q = 0) or learned (variational). The density is learned on the line of y = logit(s), where
s = α/2 + (1 - α) v: α keeps y finite, and log |∂y/∂v| = log(1 - α) - log s - log(1 - s) enters log p(v).

Categories k of K likewise: v is a draw from N(0, I) in K dimensions given that its largest entry is at k, that is, any
draw with its largest entry swapped to k. Then q(v|k) = K N(v; 0, I), and log P(k) >= E_q [log p(v) - log q(v|k)].

J. Ho et al., "Flow++: Improving Flow-Based Generative Models with Variational Dequantization and Architecture Design",
2019, https://arxiv.org/abs/1902.00275.
E. Hoogeboom, D. Nielsen, P. Jaini, P. Forré, M. Welling, "Argmax Flows and Multinomial Diffusion: Learning Categorical
Distributions", 2021, https://arxiv.org/abs/2102.05379.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.fields import Group, one_hot
from genlab.data.spec import Spec
from genlab.models.head import Head

Learned = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # ε, pixels in [0, 1] -> u, log q(u|x)
WithLog = tuple[Tensor, Tensor]  # samples (B, *shape) and a logarithm (B,) in nats


class LineHead(Head):
    """A head that converts between samples and the continuous numbers whose density is learned.

    Args:
        alpha: α of the logit of pixels, in [0, 1); 0 leaves them in the unit cube.
    """

    def __init__(self, spec: Spec, alpha: float) -> None:
        super().__init__(spec)
        self.alpha = alpha

    def both(self, rule: Callable[..., WithLog], *xs: Tensor) -> WithLog:
        """Applies `rule`(group, its channels of each x) to each group; joins the channels and sums the logarithms."""
        groups = self.spec.groups
        if len(groups) == 1:
            return rule(groups[0], *xs)
        parts = [rule(group, *map(group.of, xs)) for group in groups]
        return torch.cat([x for x, _ in parts], dim=1), torch.stack([log for _, log in parts]).sum(0)

    def dequantize(self, x: Tensor, noise: Tensor, learned: Learned | None = None) -> WithLog:
        """Returns continuous v for x, pixels in the unit cube, and log q(v|x): 2 x (B, *shape) -> (B, *shape), (B,).

        Args:
            noise: ε ~ N(0, I).
            learned: the learned q(u|x) of pixels; None: uniform.
        """

        def rule(group: Group, x: Tensor, noise: Tensor) -> WithLog:
            if group.kind == "real":
                return x, x.new_zeros(len(x))
            if group.kind == "category":
                v = swapped(noise, x.argmax(1, keepdim=True))
                places = math.prod(v.shape[2:])
                return v, normal_log_prob(v) + places * math.log(v.shape[1])
            pixels = x.add(1).div(2) if group.range == "symmetric" else x
            # The normal distribution function of normal noise is uniform.
            u, log_q = learned(noise, pixels) if learned else (torch.special.ndtr(noise), x.new_zeros(len(x)))
            if len(self.spec.groups) > 1:  # pixels alone get a density in the unit cube
                log_q = log_q + math.prod(x.shape[1:]) * math.log(256)
            return (255 * pixels + u) / 256, log_q

        return self.both(rule, x, noise)

    def quantize(self, v: Tensor) -> Tensor:
        """Returns samples for v; pixels go from the unit cube to k / 255, in the model's range: (B, *shape)."""

        def rule(group: Group, v: Tensor) -> Tensor:
            if group.kind == "real":
                return v
            if group.kind == "category":
                return one_hot(v)
            pixels = (256 * v).floor().clamp(0, 255) / 255
            return 2 * pixels - 1 if group.range == "symmetric" else pixels

        return self.spec.each(rule, v)

    def to_line(self, v: Tensor) -> WithLog:
        """Returns y for v, with pixels in the unit cube, and log |∂y/∂v|: (B, *shape) -> (B, *shape), (B,)."""

        def rule(group: Group, v: Tensor) -> WithLog:
            if group.kind != "pixel" or not self.alpha:
                return v, v.new_zeros(len(v))
            # Compute 1 - s from 1 - v, because near v = 1 it would lose the digits of s.
            log_s, log_rest = (torch.stack([v, 1 - v]) * (1 - self.alpha) + 0.5 * self.alpha).log()
            return log_s - log_rest, (math.log1p(-self.alpha) - log_s - log_rest).flatten(1).sum(1)

        return self.both(rule, v)

    def from_line(self, y: Tensor) -> WithLog:
        """Returns v for y, and log |∂y/∂v|: (B, *shape) -> (B, *shape), (B,)."""

        def rule(group: Group, y: Tensor) -> WithLog:
            if group.kind != "pixel" or not self.alpha:
                return y, y.new_zeros(len(y))
            log_s, log_rest = F.logsigmoid(y), F.logsigmoid(-y)
            change = (math.log1p(-self.alpha) - log_s - log_rest).flatten(1).sum(1)
            return (y.sigmoid() - 0.5 * self.alpha) / (1 - self.alpha), change

        return self.both(rule, y)


def swapped(noise: Tensor, k: Tensor) -> Tensor:
    """Returns noise (B, K, ...) with its largest entry swapped to channel k (B, 1, ...)."""
    j = noise.argmax(1, keepdim=True)
    return noise.scatter(1, j, noise.gather(1, k)).scatter(1, k, noise.gather(1, j))


def normal_log_prob(z: Tensor) -> Tensor:
    """Computes log N(z; 0, I) in nats: (B, ...) -> (B,)."""
    z = z.flatten(1)
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))
