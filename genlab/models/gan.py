"""Generative adversarial networks: a generator G(z) against a discriminator D(x), with four losses.

With logits D, real x, fake G(z), and softplus(a) = log(1 + e^a) = -log sigmoid(-a):

    minimax         D: E softplus(-D(x)) + E softplus(D(G(z)))     G: -E softplus(D(G(z)))
    non_saturating  D: the same                                    G:  E softplus(-D(G(z)))
    lsgan           D: ½ E (D(x) - 1)² + ½ E D(G(z))²              G: ½ E (D(G(z)) - 1)²
    hinge           D: E relu(1 - D(x)) + E relu(1 + D(G(z)))      G: -E D(G(z))

I. Goodfellow et al., "Generative Adversarial Networks", 2014, https://arxiv.org/abs/1406.2661.
X. Mao et al., "Least Squares Generative Adversarial Networks", 2017, https://arxiv.org/abs/1611.04076.
J. H. Lim, J. C. Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, UserError, choose, inside, within
from genlab.models import stabilizers
from genlab.models.base import Family, LossOutput, Phase, Rule
from genlab.models.head import Head
from genlab.models.labels import ClassPrior, check_classes
from genlab.networks.choice import Decoder, Encoder, decoder, encoder
from genlab.networks.past_samples import PastSamples

LOSSES = ("non_saturating", "minimax", "lsgan", "hinge")


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Computes the discriminator's loss from its logits (B,) on real and fake samples."""
    if kind == "lsgan":
        return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """Computes the generator's loss from the discriminator's logits (B,) on fake samples."""
    if kind == "lsgan":
        return 0.5 * (fake - 1).square().mean()
    if kind == "hinge":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "minimax" else F.softplus(-fake).mean()


class GAN(Family):
    """GAN with the non-saturating, minimax, least-squares or hinge loss (Goodfellow et al. 2014).

    The options after `loss` are off by default; `stabilizers.py` explains and cites each of them.

    Args:
        z_dim: length of the noise vector z ~ N(0, I); of graphs, of each node's, see `Spec.code`.
        loss: non_saturating, minimax, lsgan or hinge.
        conditional: whether G sees an embedding of the class besides z, and D one besides x.
        feature_matching: use the distance between the mean features of real and fake samples as G's loss.
        minibatch: number of kernels of minibatch discrimination, 0 for none.
        replay: size of the pool of past samples that about half of D's fakes come from; 0 for none.
        unrolled: k; G's loss is minus D's full loss after k more steps of D on this batch (on each part separately, if
            the batch is cut into parts or ranks), whatever `loss` is; 0 for none.
        unrolled_rate: step size η of plain gradient descent for these steps; None: steps of D's own optimizer from its
            current moments, which the trainer supplies.
        instance_noise: σ at step 0 of the noise added to all inputs of D; it falls to 0 over `noise_steps`.
        packing: m, the number of samples that D judges at once; it must divide the batch size.
        r1: γ, twice the weight of the squared gradient of D at real samples; 0 for none. D may then not use BatchNorm,
            because the penalty is defined for each sample separately.
        gumbel: temperature at which the categories of G's samples are drawn, see `Head.relaxed`; 0 draws none.
        generator, discriminator: build the nets from (z_dim, shape) and from (shape, ()).

    Raises:
        UserError: an option is out of its range, `conditional` without labels, `feature_matching` with `unrolled`, or
            `r1` with BatchNorm in D.
    """

    takes_given = True

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 64,
        loss: str = "non_saturating",
        conditional: bool = False,
        feature_matching: bool = False,
        minibatch: int = 0,
        replay: int = 0,
        unrolled: int = 0,
        unrolled_rate: float | None = None,
        instance_noise: float = 0.0,
        noise_steps: int = 1000,
        packing: int = 1,
        r1: float = 0.0,
        gumbel: float = 0.2,
        generator: Decoder = decoder,
        discriminator: Encoder = encoder,
    ) -> None:
        super().__init__(spec)
        self.head = Head(spec.learnt)
        choose("loss", loss, LOSSES)
        for name, value, lowest in (
            ("minibatch", minibatch, 0),
            ("replay", replay, 0),
            ("unrolled", unrolled, 0),
            ("unrolled_rate", unrolled_rate or 0.0, 0),
            ("instance_noise", instance_noise, 0),
            ("noise_steps", noise_steps, 1),
            ("packing", packing, 1),
            ("r1", r1, 0),
            ("gumbel", gumbel, 0),
        ):
            within(name, value, lowest)
        if conditional:
            check_classes(spec)
        if feature_matching and unrolled:
            raise OptionError("feature_matching", "replaces the generator's loss, as unrolled does; use only one")
        self.z_dim = math.prod(spec.code(z_dim))
        self.loss, self.conditional, self.matching = loss, conditional, feature_matching
        self.unrolled, self.unrolled_rate = unrolled, unrolled_rate
        self.foresees = ("discriminator",) if unrolled and unrolled_rate is None else ()
        self.noise, self.noise_steps, self.r1, self.gumbel = instance_noise, noise_steps, r1, gumbel
        with inside("generator"):
            seen = self.z_dim + conditional * stabilizers.EMBEDDING + spec.context
            self.generator = generator(seen, spec.learnt.shape)
        with inside("discriminator"):
            self.discriminator = stabilizers.Discriminator(discriminator, spec, conditional, packing, minibatch)
        if r1 and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.discriminator.modules()):
            raise OptionError("discriminator.norm", "r1 forbids BatchNorm in the discriminator; use none or layer")
        self.embedding = nn.Embedding(spec.classes, stabilizers.EMBEDDING) if conditional else None
        self.class_prior = ClassPrior(spec) if conditional else None
        self.replay = PastSamples(spec.shape, replay, labelled=True) if replay else None

    def phases(self) -> tuple[Phase, ...]:
        generator = (self.generator, self.embedding) if self.embedding else (self.generator,)
        return (
            Phase("discriminator", (self.discriminator,), self.discriminator_loss),
            Phase("generator", generator, self.generator_loss),
        )

    def discriminator_loss(self, batch: Batch) -> LossOutput:
        y = self.fake_labels(len(batch["x"]))
        if self.given and self.training:
            self.given.remember(batch["x"])
        with torch.no_grad():
            fake = self.sample(len(y), y, self.given_in(batch))
        if self.replay and self.training:
            fake, labels = self.replay(fake, y)
            y = y if labels is None else labels
        return self.judge(self.discriminator, self.noisy(batch["x"], batch), batch.get("y"), self.noisy(fake, batch), y)

    def judge(
        self, net: Callable[..., Tensor], x: Tensor, y: Tensor | None, fake: Tensor, fake_y: Tensor
    ) -> LossOutput:
        """Computes D's full loss, with `net` in place of D, on real x and fake samples (B, *shape) and their labels."""
        on_real, on_fake = net(x, y), net(fake, fake_y)
        threshold = 0.5 if self.loss == "lsgan" else 0.0  # halfway between the targets for fake and real
        accuracy = 0.5 * ((on_real > threshold).float().mean() + (on_fake <= threshold).float().mean())
        loss, logs = discriminator_loss(self.loss, on_real, on_fake), {"accuracy": accuracy}
        if self.r1:
            logs["penalty"] = stabilizers.r1(lambda points: net(points, y), x, self.discriminator.packing)
            loss = loss + 0.5 * self.r1 * logs["penalty"]
        return LossOutput(loss, logs)

    def generator_loss(self, batch: Batch) -> LossOutput:
        y = self.fake_labels(len(batch["x"]))
        fake, net = self.noisy(self.sample(len(y), y, self.given_in(batch)), batch), self.discriminator
        if not (self.matching or self.unrolled):
            return LossOutput(generator_loss(self.loss, net(fake, y)))
        real = self.noisy(batch["x"], batch), batch.get("y")
        if self.matching:
            return LossOutput(stabilizers.feature_matching(net.features(*real), net.features(fake, y)))

        def loss(judge: Callable[..., Tensor]) -> Tensor:
            return self.judge(judge, *real, fake, y).loss

        # Eq. 7 of Metz et al. 2017: G ascends the loss that D descends, at the weights D has after these steps.
        return LossOutput(-loss(stabilizers.unroll(net, loss, self.unrolled, self.rule())))

    def rule(self) -> Rule:
        """Returns the update rule of D's simulated steps.

        Raises:
            UserError: this is the rule of D's own optimizer, and no trainer has supplied it.
        """
        if self.unrolled_rate is not None:
            return stabilizers.Descent(self.unrolled_rate)
        if "discriminator" not in self.rules:
            raise UserError("model.unrolled: D's optimizer is unknown outside a Trainer; set model.unrolled_rate")
        return self.rules["discriminator"]

    def noisy(self, x: Tensor, batch: Batch) -> Tensor:
        """Returns x as D sees it at the batch's step: with instance noise, if that is on, but not on given channels."""
        if not self.noise:
            return x
        noisy = stabilizers.instance_noise(x, torch.randn_like(x), batch["step"], self.noise, self.noise_steps)
        if self.given is None:
            return noisy
        return self.present(self.given.join(self.given.split(noisy)[0], self.given.split(x)[1]))

    def fake_labels(self, n: int) -> Tensor:
        """Draws the classes of n fakes as in the training data; returns zeros if the family is not conditional."""
        y = self.draw_labels(n)
        return torch.zeros(n, dtype=torch.int64, device=self.device) if y is None else y

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws G(z), G(z, y) or G(z, c) for n fresh z: (n, *shape).

        Args:
            y: (n,) classes; None: drawn as in training.
            given: (n, K) given channels c; None: those of training rows.
        """
        z = torch.randn(n, self.z_dim, device=self.device)
        if self.embedding:
            z = torch.cat([z, self.embedding(self.fake_labels(n) if y is None else y)], dim=1)
        return self.decoded(z, given, lambda z: self.head.relaxed(self.generator(z), self.gumbel))

    def score(self, x: Tensor) -> Tensor:
        """Returns the discriminator's logits: (B, *shape) -> (B,), fp32.

        With packing, D judges m copies of each x. A conditional D gives the mean over the classes, weighted by their
        shares in the training data.
        """
        x = x.repeat_interleave(self.discriminator.packing, dim=0)
        if not self.class_prior:
            return self.discriminator(x)
        labels = (torch.full((len(x),), k, device=x.device) for k in range(self.spec.classes))
        logits = torch.stack([self.discriminator(x, y) for y in labels])
        return self.class_prior.mean(logits)
