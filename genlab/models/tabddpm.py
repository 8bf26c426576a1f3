"""TabDDPM: Gaussian diffusion of a row's numbers beside multinomial diffusion of its words, by one net.

    numbers  q(x_t|x_0) = N(√ᾱ_t x_0, (1-ᾱ_t) I)                              the net predicts ε, x or v, as in ddpm
    words    q(x_t|x_0) = Cat(ᾱ_t x_0 + (1-ᾱ_t)/K)                            the net predicts x_0 by a softmax
             q(x_s|x_t,x_0) ∝ (α x_t + (1-α)/K) ⊙ (ᾱ_s x_0 + (1-ᾱ_s)/K),  α = ᾱ_t/ᾱ_s, s < t
    loss     E |target - f|² + T/C Σ_words KL(q(x_{t-1}|x_t,x_0) || q(x_{t-1}|x_t,x̂_0))                (eq. 4)

A word x_t is always one of the K words, so the net never sees a mixture of words.

A. Kotelnikov, D. Baranchuk, I. Rubachev, A. Babenko, "TabDDPM: Modelling Tabular Data with Diffusion Models", 2023,
https://arxiv.org/abs/2209.15421.
E. Hoogeboom, D. Nielsen, P. Jaini, P. Forré, M. Welling, "Argmax Flows and Multinomial Diffusion: Learning Categorical
Distributions", 2021, https://arxiv.org/abs/2102.05379, eq. 11 to 16.
"""

from itertools import pairwise

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.data.fields import Group, one_hot
from genlab.errors import UserError, choose, within
from genlab.models.base import LossOutput
from genlab.models.ddpm import posterior
from genlab.models.diffusion import Diffusion, column, mixture, separate, target
from genlab.models.head import gumbel
from genlab.models.multinomial import backward, blurred, divergence, draw
from genlab.models.schedules import SCHEDULES, alpha_bars, check_sample_steps, sample_times
from genlab.networks.denoisers import Denoiser, denoiser


class TabDDPM(Diffusion):
    """Gaussian and multinomial diffusion of rows (Kotelnikov et al. 2023). Tables only.

    Args:
        prediction: what the net predicts for numbers: epsilon, x0 or v.
        schedule: schedule of β: linear or cosine.
        timesteps: T.
        sample_steps: steps of the ancestral sampler, at most T; each calls the net once.
        conditional, drop_label, guidance: see `DenoisingModel`.
        net: builds the net from (shape, classes).

    Raises:
        UserError: the data are no table, or an option is out of its range.
    """

    takes_given = False
    completes_any = False
    inpaints = False
    bars: Tensor
    word: Tensor

    def __init__(
        self,
        spec: Spec,
        prediction: str = "epsilon",
        schedule: str = "cosine",
        timesteps: int = 1000,
        sample_steps: int = 100,
        conditional: bool = False,
        drop_label: float = 0.1,
        guidance: float = 1.0,
        net: Denoiser = denoiser,
    ) -> None:
        if spec.table is None:
            raise UserError("model: tabddpm takes tables of typed columns only: data=table data.path=FILE")
        super().__init__(spec, prediction, conditional, drop_label, guidance, net)
        choose("schedule", schedule, SCHEDULES)
        within("timesteps", timesteps, 20)
        check_sample_steps(sample_steps, timesteps)
        self.timesteps, self.sample_steps = timesteps, sample_steps
        self.words = sum(group.kind == "category" for group in spec.groups)  # C
        word = [group.kind == "category" for group in spec.groups for _ in range(group.stop - group.start)]
        self.register_buffer("word", torch.tensor(word), persistent=False)  # which channels belong to words
        self.numbers = word.count(False)
        self.register_buffer("bars", alpha_bars(schedule, timesteps).float(), persistent=False)

    def loss(self, batch: Batch) -> LossOutput:
        x = self.measure(batch)
        t = torch.randint(1, self.timesteps + 1, (len(x),), device=x.device)
        noise = torch.randn_like(x)
        bar_t, bar_s = column(self.bars[t], x), column(self.bars[t - 1], x)
        x_t = self.noised(x, noise, gumbel(x), bar_t)
        f = self.answer(batch, x_t, t / self.timesteps)
        sharp = target(self.prediction, x, noise, bar_t.sqrt(), (1 - bar_t).sqrt())
        squared, gap = x.new_zeros(()), x.new_zeros(())
        for group in self.spec.groups:
            if group.kind == "category":
                x_0, now = (one_hot(group.of(each)) for each in (batch["x"], x_t))
                true = backward(now, x_0, bar_s, bar_t)
                guess = backward(now, group.of(f).float().softmax(1), bar_s, bar_t)
                gap = gap + divergence(true, guess).mean()
            else:
                squared = squared + (group.of(sharp) - group.of(f)).square().sum(1).mean()
        terms = self.timesteps / max(self.words, 1)
        logs = {"numbers": squared / max(self.numbers, 1), "words": terms * gap}
        return LossOutput(logs["numbers"] + logs["words"], logs)

    def noised(self, x: Tensor, noise: Tensor, drawn: Tensor, bar: Tensor) -> Tensor:
        """Draws x_t in the net's space, from x in it, normal noise, Gumbel noise and ᾱ_t (B, 1): (B, D)."""
        scale = self.scale

        def rule(group: Group, x: Tensor) -> Tensor:
            if group.kind != "category":
                return mixture(x, group.of(noise), bar.sqrt(), (1 - bar).sqrt())
            return draw(blurred(one_hot(x), bar), group.of(drawn))

        x_t = self.spec.each(rule, x)
        return torch.where(self.word, x_t / scale, x_t)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n rows (n, D). A conditional model takes the classes y (n,), or draws them as in training."""
        y, x = self.labels(n, y), self.noise(n)
        x = torch.where(self.word, self.noised(x, x, gumbel(x), x.new_zeros(n, 1)), x)
        for t, s in pairwise(sample_times(self.timesteps, self.sample_steps)):
            x = self.reverse(x, t, s, y)
        return self.restore(x)

    def reverse(self, x_t: Tensor, t: int, s: int, y: Tensor | None = None) -> Tensor:
        """Draws x_s given x_t, s < t: (B, D) -> (B, D), in the net's space; at s = 0, numbers are x̂_0 itself."""
        bar_t, bar_s = self.bars[t].double(), self.bars[s].double()
        f = self.guided(x_t, torch.full((len(x_t),), t / self.timesteps, device=x_t.device), y)
        clean = self.clip(separate(self.prediction, x_t, f, bar_t.sqrt().float(), (1 - bar_t).sqrt().float())[0])
        from_x, from_x_t, variance = posterior(bar_s, bar_t)
        fresh = variance.sqrt() if s else torch.zeros_like(variance)
        moved = from_x.float() * clean + from_x_t.float() * x_t + fresh.float() * torch.randn_like(x_t)
        drawn = gumbel(x_t)

        def rule(group: Group, f: Tensor) -> Tensor:
            if group.kind != "category":
                return group.of(moved)
            now = one_hot(group.of(x_t))
            return draw(backward(now, f.float().softmax(1), bar_s.float(), bar_t.float()), group.of(drawn))

        x_s = self.spec.each(rule, f)
        return torch.where(self.word, x_s / self.scale, x_s)
