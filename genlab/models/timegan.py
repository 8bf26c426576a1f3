"""TimeGAN: a GAN in the space of learned codes of each step, whose generator also learns to take the steps.

Five recurrent nets, all causal: an embedder e and a recovery r between series x and codes h, one h_t for each step; a
generator g from noise to codes; a supervisor s that predicts the next code; and a discriminator d of codes. With

    h = e(x),  x̃ = r(h),    ê = g(z),  ĥ = s(ê),  x̂ = r(ĥ),    z uniform in [0, 1] at each step
    L_R = |x - x̃|²                     reconstruction                                                        (eq. 7)
    L_S = |h_{t+1} - s(h)_t|²          supervision                                                           (eq. 9)
    L_U = E log d(h) + E log (1 - d(ĥ)) + γ E log (1 - d(ê))                                                 (eq. 8)
    L_M = |mean x̂ - mean x| + |deviation x̂ - deviation x|    over the batch, for each number of a series

training has three stages (section 4.4 and the authors' code, https://github.com/jsyoon0823/TimeGAN):

    embedding     e, r   10 √L_R
    supervised    s      L_S
    joint         g, s   the non-saturating form of L_U + 100 √L_S + 100 L_M, twice a step
                  e, r   10 √L_R + 0.1 L_S, twice a step
                  d      -L_U, unless it is below a threshold

The stages are ranges of steps, after which their phases stop. Each phase draws its own batch, where the authors' code
shares one between g and e. Where d's loss is below the threshold, its gradient is 0; Adam's momentum still moves d a
little, whereas the code skips the update.

J. Yoon, D. Jarrett, M. van der Schaar, "Time-series Generative Adversarial Networks", NeurIPS 2019,
https://papers.nips.cc/paper/8789.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import UserError, choose, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.networks.recurrent import CELLS, RecurrentMap

RECONSTRUCTION, SUPERVISION, MOMENTS = 10.0, 100.0, 100.0  # weights of the losses
EMBEDDER = 0.1  # weight of L_S in the embedder's loss
SMALLEST = 1e-12  # added under a square root, whose slope at 0 is infinite


class TimeGAN(Family):
    """TimeGAN: adversarial and supervised learning in the space of each step's codes (Yoon et al. 2019).

    Args:
        z_dim: numbers of noise at each step; None: as many as a step of the data has.
        hidden: length of a code, and units of every layer.
        layers: recurrent layers of every net but the supervisor, which has one less, at least one.
        cell: gru or lstm.
        embedding_steps: steps of the first stage.
        supervised_steps: steps of the second stage; all steps after it are the third.
        gamma: γ, weight of the codes that the supervisor has not seen.
        threshold: the discriminator learns only where its loss is above this.
        gumbel: temperature at which the categories of samples are drawn, see `Head.relaxed`; 0 draws none.

    Raises:
        UserError: the data are not series of 2 or more steps, or an option is out of its range.
    """

    def __init__(
        self,
        spec: Spec,
        z_dim: int | None = None,
        hidden: int = 24,
        layers: int = 3,
        cell: str = "gru",
        embedding_steps: int = 1000,
        supervised_steps: int = 1000,
        gamma: float = 1.0,
        threshold: float = 0.15,
        gumbel: float = 0.2,
    ) -> None:
        super().__init__(spec)
        if spec.layout != "sequence" or spec.shape[1] < 2:
            raise UserError(
                f"model: timegan learns series of 2 or more steps, not samples of shape {spec.shape}; use data=sines"
            )
        choose("cell", cell, CELLS)
        channels, self.steps = spec.shape
        self.z_dim = channels if z_dim is None else z_dim
        for name, value, lowest in (
            ("z_dim", self.z_dim, 1),
            ("hidden", hidden, 1),
            ("layers", layers, 1),
            ("embedding_steps", embedding_steps, 0),
            ("supervised_steps", supervised_steps, 0),
            ("gamma", gamma, 0),
            ("threshold", threshold, 0),
            ("gumbel", gumbel, 0),
        ):
            within(name, value, lowest)
        self.embedding_steps, self.supervised_steps = embedding_steps, supervised_steps
        self.gamma, self.threshold, self.gumbel = gamma, threshold, gumbel
        self.embedder = RecurrentMap(channels, hidden, cell, hidden, layers)
        self.recovery = RecurrentMap(hidden, channels, cell, hidden, layers)
        self.generator = RecurrentMap(self.z_dim, hidden, cell, hidden, layers)
        self.supervisor = RecurrentMap(hidden, hidden, cell, hidden, max(1, layers - 1))
        self.discriminator = RecurrentMap(hidden, 1, cell, hidden, layers)

    def phases(self) -> tuple[Phase, ...]:
        codes, game = (self.embedder, self.recovery), (self.generator, self.supervisor)
        first, joint = self.embedding_steps, self.embedding_steps + self.supervised_steps
        return (
            Phase("embedding", codes, self.embedding_loss, stop=first),
            Phase("supervised", (self.supervisor,), self.supervised_loss, start=first, stop=joint),
            Phase("generator", game, self.generator_loss, repeats=2, start=joint),
            Phase("embedder", codes, self.embedder_loss, repeats=2, start=joint),
            Phase("discriminator", (self.discriminator,), self.discriminator_loss, start=joint),
        )

    # The nets

    def embed(self, x: Tensor) -> Tensor:
        """Returns the codes h: (B, C, T) -> (B, hidden, T), in (0, 1)."""
        return self.embedder(x).sigmoid()

    def generate(self, n: int) -> Tensor:
        """Draws codes ê from noise: (n, hidden, T), in (0, 1)."""
        return self.generator(torch.rand(n, self.z_dim, self.steps, device=self.device)).sigmoid()

    def supervise(self, h: Tensor) -> Tensor:
        """Predicts the next code at each step: (B, hidden, T) -> (B, hidden, T), in (0, 1)."""
        return self.supervisor(h).sigmoid()

    def judge(self, h: Tensor) -> Tensor:
        """Returns the discriminator's logits, one for each step, fp32: (B, hidden, T) -> (B, T)."""
        return self.discriminator(h).squeeze(1).float()

    # The losses

    def reconstruction(self, x: Tensor, h: Tensor) -> Tensor:
        """Computes 10 √L_R, (), from the codes h of x."""
        error = (self.head.mean(self.recovery(h).float()) - x).square().mean()
        return RECONSTRUCTION * (error + SMALLEST).sqrt()

    def supervision(self, h: Tensor) -> Tensor:
        """Computes L_S, (), from the codes h of real series."""
        return (self.supervise(h)[..., :-1].float() - h[..., 1:].float()).square().mean()

    def embedding_loss(self, batch: Batch) -> LossOutput:
        return LossOutput(self.reconstruction(batch["x"], self.embed(batch["x"])))

    def supervised_loss(self, batch: Batch) -> LossOutput:
        with torch.no_grad():
            h = self.embed(batch["x"])
        return LossOutput(self.supervision(h))

    def embedder_loss(self, batch: Batch) -> LossOutput:
        h = self.embed(batch["x"])
        reconstruction, supervision = self.reconstruction(batch["x"], h), self.supervision(h)
        return LossOutput(reconstruction + EMBEDDER * supervision, {"reconstruction": reconstruction})

    def generator_loss(self, batch: Batch) -> LossOutput:
        x = batch["x"]
        with torch.no_grad():
            h = self.embed(x)
        raw_codes = self.generate(len(x))
        codes = self.supervise(raw_codes)
        adversarial = F.softplus(-self.judge(codes)).mean() + self.gamma * F.softplus(-self.judge(raw_codes)).mean()
        supervision = (self.supervision(h) + SMALLEST).sqrt()
        moments = moment_distance(self.head.relaxed(self.recovery(codes).float(), self.gumbel), x)
        loss = adversarial + SUPERVISION * supervision + MOMENTS * moments
        return LossOutput(loss, {"adversarial": adversarial, "supervision": supervision, "moments": moments})

    def discriminator_loss(self, batch: Batch) -> LossOutput:
        with torch.no_grad():
            real = self.embed(batch["x"])
            raw_codes = self.generate(len(real))
            codes = self.supervise(raw_codes)
        on_real, on_fake, on_raw = self.judge(real), self.judge(codes), self.judge(raw_codes)
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean() + self.gamma * F.softplus(on_raw).mean()
        accuracy = 0.5 * ((on_real > 0).float().mean() + (on_fake <= 0).float().mean())
        learns = (loss.detach() > self.threshold).float()
        # The value is the loss, the gradient is 0 where the discriminator is ahead.
        return LossOutput(learns * loss + (1 - learns) * loss.detach(), {"accuracy": accuracy, "learns": learns})

    # Abilities

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draws n series: r(s(g(z))), (n, C, T)."""
        raw = self.recovery(self.supervise(self.generate(n)))
        return self.head.relaxed(raw.float(), self.gumbel)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Embeds and recovers x: (B, C, T) -> (B, C, T)."""
        return self.head.mean(self.recovery(self.embed(x)).float())


def moment_distance(fake: Tensor, real: Tensor) -> Tensor:
    """Computes L_M, (), from two batches (B, C, T): the mean distance of their means and of their deviations."""
    variance, mean = torch.var_mean(fake, dim=0, correction=0)
    real_variance, real_mean = torch.var_mean(real, dim=0, correction=0)
    deviations = (variance + 1e-6).sqrt() - (real_variance + 1e-6).sqrt()
    return deviations.abs().mean() + (mean - real_mean).abs().mean()
