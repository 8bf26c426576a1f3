"""Wasserstein GANs: a critic f(x) with a Lipschitz constant near 1, and a generator that maximises it.

    critic     E f(G(z)) - E f(x)  + constraint       -(the first two) estimates the Wasserstein-1 distance
    generator  -E f(G(z))

The constraint is either weight clipping, |w| <= c after each critic update, or the gradient penalty
λ E (|∇f(x̂)| - 1)² at x̂ = ε x + (1 - ε) G(z), ε ~ U(0, 1) for each sample.

M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875.
I. Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, https://arxiv.org/abs/1704.00028.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, inside, within
from genlab.models.base import Family, LossOutput, Phase, full_precision, input_gradient
from genlab.models.head import Head
from genlab.networks.choice import Decoder, Encoder, decoder, encoder

plain_encoder = partial(encoder, norm="none")


class WGAN(Family):
    """Wasserstein GAN with weight clipping (Arjovsky, Chintala, Bottou 2017).

    Args:
        z_dim: length of the noise vector z ~ N(0, I); of graphs, of each node's, see `Spec.code`.
        n_critic: critic updates per step, each on a fresh batch.
        clip: c, the bound of the critic's weights.
        gumbel: temperature at which the categories of G's samples are drawn, see `Head.relaxed`; 0 draws none.
        generator, critic: build the nets from (z_dim, shape) and from (shape, ()).
    """

    takes_given = True

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 64,
        n_critic: int = 5,
        clip: float = 0.01,
        gumbel: float = 0.2,
        generator: Decoder = decoder,
        critic: Encoder = encoder,
    ) -> None:
        super().__init__(spec)
        self.head = Head(spec.learnt)
        within("gumbel", gumbel, 0)
        self.z_dim = math.prod(spec.code(z_dim))
        self.n_critic, self.clip, self.gumbel = n_critic, clip, gumbel
        with inside("generator"):
            self.generator = generator(self.z_dim + spec.context, spec.learnt.shape)
        with inside("critic"):
            self.critic = critic(spec.shape, ())

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("critic", (self.critic,), self.critic_loss, self.n_critic, after=self.clip_weights),
            Phase("generator", (self.generator,), self.generator_loss),
        )

    def critic_loss(self, batch: Batch) -> LossOutput:
        fake = self.fakes(batch)
        wasserstein = self.score(batch["x"]).mean() - self.score(fake).mean()
        return LossOutput(-wasserstein, {"wasserstein": wasserstein})

    def generator_loss(self, batch: Batch) -> LossOutput:
        return LossOutput(-self.score(self.sample(len(batch["x"]), given=self.given_in(batch))).mean())

    @torch.no_grad()
    def fakes(self, batch: Batch) -> Tensor:
        """Draws as many samples as the batch has, with its given channels if there are any: (B, *shape)."""
        if self.given:
            self.given.remember(batch["x"])
        return self.sample(len(batch["x"]), given=self.given_in(batch))

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Clips the critic's weights: w <- clip(w, -c, c) (algorithm 1, line 7)."""
        for parameter in self.critic.parameters():
            parameter.clamp_(-self.clip, self.clip)

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws G(z) or G(z, c) for n fresh z and given channels c (n, K), see `decoded`: (n, *shape)."""
        z = torch.randn(n, self.z_dim, device=self.device)
        return self.decoded(z, given, lambda z: self.head.relaxed(self.generator(z), self.gumbel))

    def score(self, x: Tensor) -> Tensor:
        """Returns the critic's value f(x): (B, *shape) -> (B,), fp32."""
        return self.critic(x).float()


class WGANGP(WGAN):
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017).

    Args:
        gp_weight: λ, the weight of the penalty.
        critic: may not use BatchNorm, because the penalty is defined for each sample separately (section 4).

    Raises:
        UserError: the critic uses BatchNorm.
    """

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 64,
        n_critic: int = 5,
        gp_weight: float = 10.0,
        gumbel: float = 0.2,
        generator: Decoder = decoder,
        critic: Encoder = plain_encoder,
    ) -> None:
        super().__init__(spec, z_dim, n_critic, gumbel=gumbel, generator=generator, critic=critic)
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.critic.modules()):
            raise OptionError("critic.norm", "the gradient penalty forbids BatchNorm in the critic; use none or layer")
        self.gp_weight = gp_weight

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("critic", (self.critic,), self.critic_loss, self.n_critic),
            Phase("generator", (self.generator,), self.generator_loss),
        )

    def critic_loss(self, batch: Batch) -> LossOutput:
        x = batch["x"]
        fake = self.fakes(batch)
        real_score, fake_score = self.score(torch.cat([x, fake])).chunk(2)
        return self.penalised(real_score.mean() - fake_score.mean(), x, fake)

    def penalised(self, wasserstein: Tensor, real: Tensor, fake: Tensor) -> LossOutput:
        """Adds the penalty at random mixtures of real and drawn samples to the critic's loss: (), 2 x (B, *shape)."""
        mix = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        penalty = self.gradient_penalty(real.lerp(fake.to(real), mix))
        loss = -wasserstein + self.gp_weight * penalty
        return LossOutput(loss, {"wasserstein": wasserstein, "penalty": penalty})

    def gradient_penalty(self, x: Tensor) -> Tensor:
        """Computes E (|∇f(x)| - 1)² over the batch, fp32: (B, *shape) -> ()."""
        with full_precision(x):
            gradient = input_gradient(self.critic, x.float())
            return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
