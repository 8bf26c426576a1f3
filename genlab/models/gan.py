"""Generative adversarial networks: a generator G(z) against a discriminator D(x), in four losses.

With logits D, real x, fake G(z), and softplus(a) = log(1 + e^a) = -log sigmoid(-a):

    minimax         D: E softplus(-D(x)) + E softplus(D(G(z)))     G: -E softplus(D(G(z)))
    non_saturating  D: the same                                    G:  E softplus(-D(G(z)))
    lsgan           D: ½ E (D(x) - 1)² + ½ E D(G(z))²              G: ½ E (D(G(z)) - 1)²
    hinge           D: E relu(1 - D(x)) + E relu(1 + D(G(z)))      G: -E D(G(z))

I. Goodfellow et al., "Generative Adversarial Networks", 2014, https://arxiv.org/abs/1406.2661.
X. Mao et al., "Least Squares Generative Adversarial Networks", 2017, https://arxiv.org/abs/1611.04076.
J. H. Lim, J. C. Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import choose
from genlab.models.base import Family, Out, Phase
from genlab.networks.choice import Decoder, Encoder, decoder, encoder

LOSSES = ("non_saturating", "minimax", "lsgan", "hinge")


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss from its logits (B,) on real and fake samples."""
    if kind == "lsgan":
        return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """The generator's loss from the discriminator's logits (B,) on fake samples."""
    if kind == "lsgan":
        return 0.5 * (fake - 1).square().mean()
    if kind == "hinge":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "minimax" else F.softplus(-fake).mean()


class GAN(Family):
    """GAN with the non-saturating, minimax, least-squares or hinge loss (Goodfellow et al. 2014).

    Args:
        z_dim: length of the noise vector z ~ N(0, I).
        loss: non_saturating, minimax, lsgan or hinge.
        generator, discriminator: make the nets, from (z_dim, shape) and from (shape, ()).
    """

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 64,
        loss: str = "non_saturating",
        generator: Decoder = decoder,
        discriminator: Encoder = encoder,
    ) -> None:
        super().__init__(spec)
        choose("model.loss", loss, LOSSES)
        self.z_dim, self.loss = z_dim, loss
        self.generator = generator(z_dim, spec.shape)
        self.discriminator = discriminator(spec.shape, ())

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", (self.discriminator,), self.discriminator_loss),
            Phase("generator", (self.generator,), self.generator_loss),
        )

    def discriminator_loss(self, batch: Batch) -> Out:
        with torch.no_grad():
            fake = self.sample(len(batch["x"]))
        real, fake = self.score(batch["x"]), self.score(fake)
        cut = 0.5 if self.loss == "lsgan" else 0.0  # halfway between the targets for fake and real
        accuracy = 0.5 * ((real > cut).float().mean() + (fake <= cut).float().mean())
        return Out(discriminator_loss(self.loss, real, fake), {"accuracy": accuracy})

    def generator_loss(self, batch: Batch) -> Out:
        return Out(generator_loss(self.loss, self.score(self.sample(len(batch["x"])))))

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw G(z) for n fresh z: (n, *shape)."""
        return self.squash(self.generator(torch.randn(n, self.z_dim, device=self.device)))

    def score(self, x: Tensor) -> Tensor:
        """The discriminator's logits: (B, *shape) -> (B,), fp32."""
        return self.discriminator(x).float()
