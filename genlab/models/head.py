"""The head of a model: how to interpret the raw output of a net, and what samples are valid, for each kind of field.

    kind      mean of a raw output   p(x | raw)                     as continuous numbers
    real      itself                 Gaussian, one learned σ        itself
    pixel     tanh or sigmoid        Bernoulli, or Gaussian         dequantized, in the unit cube, then its logit
    category  softmax                its probabilities              Gaussian noise, largest at the category

Every family has one: `Head`, or `LikelihoodHead` if a decoder outputs the parameters of a distribution, or `LineHead`
if the family learns a density of continuous numbers.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genlab.data.fields import LIMITS, Group, one_hot
from genlab.data.spec import Spec

# Words as one-hot channels of size 1 drown in noise of variance 1 until the last steps of a sampler. At 4, half as many
# steps of training gave Adult's words a total variation of 0.049 and not 0.077: scripts/results/searches/table_ddpm.md.
CATEGORY = 4.0
HALF_BIN = {"symmetric": 1 / 255, "unit": 0.5 / 255, "binary": 0.5}  # half the distance between two pixel values


class Head(nn.Module):
    """How a model interprets raw outputs and samples, by the kinds of their fields.

    Args:
        spec: the data's spec.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.smooth = spec.only("real")  # whether the data have a density of their own
        self.size = sum(group.stop - group.start for group in spec.groups if group.kind == "real")
        self.size *= math.prod(spec.shape[1:])  # the number of reals in a sample
        self.centred = all(group.range == "symmetric" for group in spec.groups)  # whether pixels are centred on 0

    def total(self, rule: Callable[..., Tensor], *xs: Tensor) -> Tensor:
        """Sums `rule`(group, its channels of each x), of shape (B,), over the groups."""
        groups = self.spec.groups
        if len(groups) == 1 and not self.spec.nodes:
            return rule(groups[0], *xs)
        return torch.stack([rule(group, *map(group.of, xs)) for group in groups]).sum(0)

    @property
    def smooth_channels(self) -> bool | Tensor:
        """Which channels have a density: all (True), none (False), or a mask (C, 1, ...) if fields differ."""
        if self.smooth or not self.size:
            return self.smooth
        real = [group.kind == "real" for group in self.spec.groups for _ in range(group.stop - group.start)]
        return torch.tensor(real).view(-1, *[1] * (len(self.spec.shape) - 1))

    def reals(self, x: Tensor) -> Tensor | None:
        """Returns the channels of x (B, *shape) that are real, or None if there are none."""
        if self.smooth:
            return x
        parts = [group.back(group.of(x)) for group in self.spec.groups if group.kind == "real"]
        return torch.cat(parts, dim=1) if parts else None

    def scale(self, real: Tensor) -> Tensor:
        """Returns each channel's scale, `real` () for reals and 1 for pixels: (), or (C, 1, ...) if channels differ.

        Categories have 1 / CATEGORY: the net sees CATEGORY times the one-hot channels.
        """
        kinds = {group.kind for group in self.spec.groups}
        if kinds <= {"real"} or kinds <= {"pixel"}:
            return real
        one = torch.ones_like(real)
        scales = {"real": real, "pixel": one, "present": one, "category": one / CATEGORY}
        parts = [scales[group.kind].expand(group.stop - group.start) for group in self.spec.groups]
        return torch.cat(parts).view(-1, *[1] * (len(self.spec.shape) - 1))

    def mean(self, raw: Tensor) -> Tensor:
        """Maps a net's raw output to the range of the data: (B, *shape) -> (B, *shape)."""
        return self.spec.each(mean, raw)

    def relaxed(self, raw: Tensor, temperature: float) -> Tensor:
        """Maps raw output to the range of the data like `mean`, but draws categories: (B, *shape) -> (B, *shape).

        softmax((raw + g) / temperature) with Gumbel noise g is near one-hot and has a gradient: the Gumbel-softmax (E.
        Jang, S. Gu, B. Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017,
        https://arxiv.org/abs/1611.01144). A temperature of 0 draws nothing: the softmax of `mean`.
        """

        def rule(group: Group, raw: Tensor) -> Tensor:
            if group.kind != "category" or not temperature:
                return mean(group, raw)
            raw = raw.float()
            return ((raw + gumbel(raw)) / temperature).softmax(1)

        return self.spec.each(rule, raw)

    def project(self, x: Tensor) -> Tensor:
        """Clips the pixels that a sampler has drawn to their range, and rounds categories to one-hot: (B, *shape)."""
        return self.spec.each(project, x)

    def check_density(self) -> None:
        """Checks that an ODE can give a density: the data are reals, or only pixels, which can be dequantized.

        Raises:
            ValueError: there are categories, or pixels together with other fields.
        """
        if not (self.smooth or self.spec.only("pixel")):
            raise ValueError("categories, and pixels together with other fields, have no density")

    def log_interval(self, x: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
        """Computes log p(x) in nats under N(mean, σ²): (B, *shape) x 2, () -> (B,).

        Reals have a density; pixels have the probability of their bin, and the outermost bins are open (eq. 13 of Ho et
        al. 2020, https://arxiv.org/abs/2006.11239). A category's probability is its share of all categories' densities.
        """

        def rule(group: Group, x: Tensor, mean: Tensor) -> Tensor:
            if group.kind == "real":
                log_p = -0.5 * ((x - mean) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)
                return log_p.flatten(1).sum(1)
            if group.kind == "category":  # -½ |c e_k - m|² / σ² = c m_k / σ² + terms that are the same for all k
                size = x.amax(1, keepdim=True)  # c
                mean = mean * size
                x = x / size
                return (x * (mean / sigma.square()).log_softmax(1)).flatten(1).sum(1)
            half, low = HALF_BIN[group.range], LIMITS[group.range][0]
            above = torch.where(x > 1 - half, math.inf, (x - mean + half) / sigma)
            below = torch.where(x < low + half, -math.inf, (x - mean - half) / sigma)
            return log_interval(below, above).flatten(1).sum(1)

        return self.total(rule, x, mean)


def mean(group: Group, raw: Tensor) -> Tensor:
    """Returns the mean that a net's raw output (B, C, ...) stands for."""
    if group.kind == "category":
        return raw.softmax(1)
    if group.kind in ("real", "present"):
        return raw
    return raw.tanh() if group.range == "symmetric" else raw.sigmoid()


def project(group: Group, x: Tensor) -> Tensor:
    """Returns the valid value nearest to x (B, C, ...)."""
    if group.kind == "category":
        return one_hot(x)
    return x if group.kind in ("real", "present") else x.clamp(*LIMITS[group.range])


def log_interval(a: Tensor, b: Tensor) -> Tensor:
    """Computes log(Φ(b) - Φ(a)) for a < b, Φ the normal distribution function, accurately even far in the tails."""
    # Mirror intervals right of 0 to the left, where log Φ is accurate.
    mirror = a > 0
    a, b = torch.where(mirror, -b, a), torch.where(mirror, -a, b)
    high, low = torch.special.log_ndtr(b), torch.special.log_ndtr(a)
    return high + torch.log1p(-(low - high).exp().clamp(max=1 - 1e-7))


def gumbel(like: Tensor) -> Tensor:
    """Draws g from the Gumbel distribution: the largest entry of log p + g is at k with probability p_k."""
    return -torch.empty_like(like).exponential_().log()
