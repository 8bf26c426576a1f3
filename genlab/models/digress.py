"""DiGress: diffusion of graphs whose nodes and edges always have one of their categories.

    q(x_t|x_0) = Cat(ᾱ_t x_0 + (1-ᾱ_t) m)        for each node and pair, m the shares of their categories in training
    loss       = -E Σ x_0 log p(x_0|x_t), averaged over nodes, + λ times that of the edges                    (eq. 4)
    p(x_s|x_t) = Σ_{x_0} q(x_s|x_t,x_0) p(x_0|x_t)                                                            (eq. 3)

A noisy graph is then a graph with as many edges of each kind as the data have (section 4.1), not a dense tangle as with
uniform noise, and the net can count its cycles. How many nodes a graph has is drawn first. m is the mean over the first
steps of training.

    log P(x_0) >= -KL(q(x_T|x_0) || m) - Σ_{t=1}^T E KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t))                 `elbo`

C. Vignac, I. Krawczuk, A. Siraudin, B. Wang, V. Cevher, P. Frossard, "DiGress: Discrete Denoising Diffusion for Graph
Generation", 2023, https://arxiv.org/abs/2209.14734.
"""

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.data.fields import Group
from genlab.errors import UserError, choose, within
from genlab.models.base import LossOutput
from genlab.models.diffusion import SCALE_STEPS, DenoisingModel, column
from genlab.models.head import gumbel
from genlab.models.multinomial import backward, blurred, divergence, draw, mixed
from genlab.models.schedules import SCHEDULES, alpha_bars, check_sample_steps, sample_times
from genlab.networks.denoisers import Denoiser, denoiser

structural = partial(denoiser, structure=True)


class DiGress(DenoisingModel):
    """Discrete diffusion of graphs with categories of nodes and edges (Vignac et al. 2023). Graphs only.

    Args:
        schedule: schedule of ᾱ_t: cosine or linear.
        timesteps: T.
        sample_steps: steps of the sampler, at most T; each calls the net once.
        edge_weight: λ, the weight of the edges' loss.
        conditional, drop_label, guidance: see `DenoisingModel`.
        net: builds the net from (shape, classes).

    Raises:
        UserError: the data are no graphs of categories, or an option is out of its range.
    """

    completes_any = False
    inpaints = False
    counts: Tensor
    bars: Tensor

    def __init__(
        self,
        spec: Spec,
        schedule: str = "cosine",
        timesteps: int = 500,
        sample_steps: int = 100,
        edge_weight: float = 5.0,
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = structural,
    ) -> None:
        if not spec.nodes:
            raise UserError("model: digress takes graphs only; for samples of other kinds use ddpm or flow_matching")
        if not spec.learnt.only("category"):
            raise UserError(f"model: digress takes categories only, not graphs of {spec.values}; use flow_matching")
        super().__init__(spec, conditional, drop_label, guidance, net)
        choose("schedule", schedule, SCHEDULES)
        within("edge_weight", edge_weight, above=0)
        within("timesteps", timesteps, 20)
        check_sample_steps(sample_steps, timesteps)
        self.timesteps, self.sample_steps, self.edge_weight = timesteps, sample_steps, edge_weight
        self.kinds = [group for group in spec.groups if group.kind == "category"]
        self.parts = [field.part for field in spec.fields if field.kind == "category"]
        self.sizes = [field.size for field in spec.fields if field.kind == "category"]
        # How often a graph has each category, on average.
        self.register_buffer("counts", torch.ones(sum(self.sizes)))
        self.register_buffer("bars", alpha_bars(schedule, timesteps).float(), persistent=False)

    def shares(self) -> dict[Group, Tensor]:
        """Returns m for the categories of each group, which broadcasts against its channels: (1, K) or (1, K, 1)."""
        parts = zip(self.kinds, self.counts.split(self.sizes), strict=True)
        return {group: (counts / counts.sum()).view(1, -1, *[1] * (group.places > 1)) for group, counts in parts}

    def loss(self, batch: Batch) -> LossOutput:
        x = batch["x"]
        if self.training:
            self.count(batch)
        t = torch.randint(1, self.timesteps + 1, (len(x),), device=x.device)
        x_t = self.noised(x, gumbel(x), self.bars[t])
        f = self.answer(batch, x_t, t / self.timesteps).float()
        here = self.here(x)
        losses = {"node": x.new_zeros(()), "edge": x.new_zeros(())}
        for group, part in zip(self.kinds, self.parts, strict=True):
            code_length = -(group.of(x) * group.of(f).log_softmax(1)).sum()  # nothing is 1 where nothing is there
            losses[part] = losses[part] + code_length / group.of(here)[:, :1].sum().clamp(min=1)
        loss = losses["node"] + self.edge_weight * losses["edge"]
        return LossOutput(loss, {"nodes": losses["node"], "edges": losses["edge"]})

    @torch.no_grad()
    def count(self, batch: Batch) -> None:
        """Takes a training batch into account: which nodes are there, and how often there are which categories."""
        x, step = batch["x"], batch["step"].float()
        assert self.given is not None
        self.given.remember(x)
        kinds = zip(self.kinds, self.sizes, strict=True)
        found = torch.cat([group.of(x).float().mean(0).view(size, -1).sum(1) for group, size in kinds])
        # The mean of all steps so far. No category has a share of 0, since 0 cannot be divided by.
        rate = torch.where(step < SCALE_STEPS, 1 / (1 + step), 0.0)
        self.counts.lerp_(found.clamp(min=1e-6), rate)

    def here(self, x: Tensor) -> Tensor:
        """Returns 1 for what is there: (B, P) -> (B, P)."""
        here = self.spec.presence(x)
        assert here is not None
        return here

    def noised(self, x: Tensor, drawn: Tensor, bar: Tensor) -> Tensor:
        """Draws x_t from x, Gumbel noise and ᾱ_t (B,): 2 x (B, P) -> (B, P)."""
        shares = self.shares()

        def rule(group: Group, part: Tensor) -> Tensor:
            if group not in shares:
                return part
            return draw(blurred(part, column(bar, part), shares[group]), group.of(drawn))

        return self.present(self.spec.each(rule, x))

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n graphs (n, P). A conditional model takes the classes y (n,), or draws them as in training."""
        return self.draw_given(n, y)

    @torch.no_grad()
    def complete(self, x: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """Draws graphs with the nodes that are there in x: (B, P), (B, P) bool -> (B, P).

        Raises:
            UserError: anything else is known.
        """
        if not (self.given and self.given.are(known)):
            raise UserError("a digress model can be told which nodes are there, and nothing else")
        x = self.noised(x, gumbel(x), x.new_zeros(len(x)))
        for t, s in pairwise(sample_times(self.timesteps, self.sample_steps)):
            x = self.reverse(x, t, s, y)
        return x

    def reverse(self, x_t: Tensor, t: int, s: int, y: Tensor | None = None) -> Tensor:
        """Draws x_s given x_t, s < t: (B, P) -> (B, P)."""
        drawn, times = gumbel(x_t), torch.full((len(x_t),), t, device=x_t.device)
        back = self.back(x_t, times, times - t + s, y)
        each = self.spec.each(lambda group, part: draw(back[group], group.of(drawn)) if group in back else part, x_t)
        return self.present(each)

    def back(self, x_t: Tensor, t: Tensor, s: Tensor, y: Tensor | None = None) -> dict[Group, Tensor]:
        """Returns p(x_s|x_t) at steps s < t (B,), for the channels of each group."""
        f, shares = self.guided(x_t, t / self.timesteps, y).float(), self.shares()
        result = {}
        for group in self.kinds:
            now = group.of(x_t)
            bars = column(self.bars[s], now), column(self.bars[t], now)
            result[group] = mixed(now, group.of(f).softmax(1), *bars, shares[group])
        return result

    @torch.no_grad()
    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates the bound of log P(x) in nats, given which nodes are there, from k of its terms: (B, P) -> (B,).

        A conditional model is evaluated without a class.
        """
        here, shares = self.here(x), self.shares()

        def total(group: Group, gap: Tensor) -> Tensor:
            return (gap * group.of(here)[:, 0]).flatten(1).sum(1)

        bound = x.new_zeros(len(x))
        for group in self.kinds:
            last = blurred(group.of(x), self.bars[-1], shares[group])
            bound = bound - total(group, divergence(last, shares[group].expand_as(last)))
        every = torch.arange(1, self.timesteps + 1, device=x.device)
        for i in range(count := min(k, self.timesteps)):
            if count == self.timesteps:
                t = every[i].expand(len(x))
            else:
                t = torch.randint(1, self.timesteps + 1, (len(x),), device=x.device)
            x_t = self.noised(x, gumbel(x), self.bars[t])
            guess = self.back(x_t, t, t - 1)
            for group in self.kinds:
                now = group.of(x_t)
                bars = column(self.bars[t - 1], now), column(self.bars[t], now)
                true = backward(now, group.of(x), *bars, shares[group])
                gap = divergence(true, guess[group])
                bound = bound - self.timesteps / count * total(group, gap)
        return bound
