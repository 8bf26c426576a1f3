"""CycleGAN: translation between two domains a and b without paired examples.

The generators G: a -> b and F: b -> a and the discriminators D_a and D_b are trained with

    L_adv(G, D_b) = E_b (D_b(b) - 1)² + E_a D_b(G(a))²        D_b: ½ of this;   G: E_a (D_b(G(a)) - 1)²     (section 4)
    L_cyc(G, F)   = E_a |F(G(a)) - a| + E_b |G(F(b)) - b|                                                   (eq. 2)
    L_id(G, F)    = E_b |G(b) - b| + E_a |F(a) - a|                                                     (section 5.2)
    L(G, F)       = L_adv(G) + L_adv(F) + λ L_cyc + λ μ L_id,    λ = 10, μ = ½                               (eq. 3)

where |.| is the mean over the pixels of a sample. The discriminators see fakes from a pool of 50 past ones.

L_id asks G to leave samples of b unchanged. Where the two domains overlap, this contradicts the task: a point that lies
in both a and b cannot both move and stay. Clouds of points do overlap, images of two styles do not; so μ is 0 for
points by default.

J.-Y. Zhu, T. Park, P. Isola, A. A. Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks", 2017, https://arxiv.org/abs/1703.10593.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import choose, inside, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.gan import LOSSES, discriminator_loss, generator_loss
from genlab.networks import resnet
from genlab.networks.past_samples import PastSamples
from genlab.networks.resnet import patches, translator

DOMAINS = ("a", "b")
DIRECTIONS = (("a", "b"), ("b", "a"))


class CycleGAN(Family):
    """Unpaired translation between two domains with cycle consistency (Zhu et al. 2017).

    Args:
        loss: the adversarial loss: lsgan, non_saturating, minimax or hinge.
        cycle: λ, weight of the cycle loss.
        identity: μ, weight of the identity loss as a share of λ; None: 0.5 for pixels, 0 otherwise.
        pool: number of past fakes kept for each discriminator; 0 shows it only the latest.
        generator, discriminator: build the nets from the shape of a sample.
    """

    domains = 2

    def __init__(
        self,
        spec: Spec,
        loss: str = "lsgan",
        cycle: float = 10.0,
        identity: float | None = None,
        pool: int = 50,
        generator: resnet.Translator = translator,
        discriminator: resnet.Translator = patches,
    ) -> None:
        super().__init__(spec)
        choose("loss", loss, LOSSES)
        for name, value in (("cycle", cycle), ("identity", identity or 0), ("pool", pool)):
            within(name, value, 0)
        self.loss, self.cycle = loss, cycle
        self.identity = (0.5 if spec.only("pixel") else 0.0) if identity is None else identity
        # Keyed by the domain that each maps to, judges or stores: G is generators["b"], F is generators["a"].
        with inside("generator"):
            self.generators = nn.ModuleDict({domain: generator(spec.shape) for domain in DOMAINS})
        with inside("discriminator"):
            self.discriminators = nn.ModuleDict({domain: discriminator(spec.shape) for domain in DOMAINS})
        self.pools = nn.ModuleDict({domain: PastSamples(spec.shape, pool) for domain in DOMAINS})

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("generators", (self.generators,), self.generators_loss),
            Phase("discriminators", (self.discriminators,), self.discriminators_loss),
        )

    def generators_loss(self, batch: Batch) -> LossOutput:
        adversarial, cycle, identity = torch.zeros(3, device=self.device)
        carry: Batch = {}
        for source, target in DIRECTIONS:
            real = batch[source]
            fake = self.translate(real, target)
            adversarial = adversarial + self.fooling(target, fake)
            cycle = cycle + F.l1_loss(self.translate(fake, source), real)  # eq. 2
            if self.identity:
                identity = identity + F.l1_loss(self.translate(real, source), real)
            carry[f"fake_{target}"] = fake
        loss = adversarial + self.cycle * (cycle + self.identity * identity)  # eq. 3
        logs = {"adversarial": adversarial, "cycle": cycle}
        return LossOutput(loss, logs | {"identity": identity} if self.identity else logs, carry)

    def discriminators_loss(self, batch: Batch) -> LossOutput:
        losses = {}
        for domain in DOMAINS:
            fake = batch[f"fake_{domain}"]
            if self.training:  # a validation loss does not change the pool
                fake, _ = self.pools[domain](fake)
            losses[domain] = discriminator_loss(self.loss, self.judge(domain, batch[domain]), self.judge(domain, fake))
        return LossOutput(losses["a"] + losses["b"], losses)

    def fooling(self, domain: str, fake: Tensor) -> Tensor:
        """Computes the generator's adversarial loss. CycleGAN has no ½ before the square, so lsgan's ½ is undone."""
        factor = 2.0 if self.loss == "lsgan" else 1.0
        return factor * generator_loss(self.loss, self.judge(domain, fake))

    def judge(self, domain: str, x: Tensor) -> Tensor:
        """Returns D's logits, fp32: (B, *shape) -> (B,), or (B, h, w) for the patches of images."""
        return self.discriminators[domain](x).float()

    def translate(self, x: Tensor, to: str = "b") -> Tensor:
        """Returns G(x) for to="b", F(x) for to="a", fp32: (B, *shape) -> (B, *shape)."""
        choose("to", to, DOMAINS)
        return self.head.mean(self.generators[to](x).float())
