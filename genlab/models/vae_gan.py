"""VAE-GAN: a variational autoencoder whose decoder must also fool a discriminator.

    autoencoder    w · VAE loss + λ · ½ [E softplus(-D(x̃)) + E softplus(-D(x_p))]
    discriminator  E softplus(-D(x)) + ½ [E softplus(D(x̃)) + E softplus(D(x_p))]

with reconstructions x̃ = decode(z), z ~ q(z|x), and samples x_p = decode(z_p), z_p ~ N(0, I). Both are means of
p(x|z). As in algorithm 1 of the paper, the adversarial term updates only the decoder; the encoder gets the gradient of
the VAE loss. The paper also measures the reconstruction error in the discriminator's features. This is left out, so
that the VAE loss stays a bound of log p(x) in nats and only λ changes. That bound is summed over pixels (about 100 nats
on MNIST), while the adversarial term is of order 1, so λ must be in the tens to matter.

    λ = 0          exactly a plain VAE: there is no phase `discriminator`
    w = 0, λ > 0   adversarial only: the encoder learns nothing, the decoder is a GAN's generator

A. B. L. Larsen, S. K. Sønderby, H. Larochelle, O. Winther, "Autoencoding beyond Pixels using a Learned Similarity
Metric", 2016, https://arxiv.org/abs/1512.09300.
"""

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, inside, within
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.gan import discriminator_loss, generator_loss
from genlab.models.vae import VAE
from genlab.networks.choice import Decoder, Encoder, decoder, encoder


class VAEGAN(Family):
    """VAE with λ times an adversarial loss on its reconstructions and samples (Larsen et al. 2016).

    Args:
        adversarial_weight: λ; 0 is a plain VAE.
        vae_weight: w; 0 leaves the adversarial loss only.
        z_dim, likelihood, sigma, beta, anneal_steps, noise, encoder, decoder: options of the VAE.
        discriminator: builds the net from (shape, ()).

    Raises:
        UserError: a weight is negative, or both are 0.
    """

    prefers = "unit"
    takes_graphs = True

    def __init__(
        self,
        spec: Spec,
        adversarial_weight: float = 10.0,
        vae_weight: float = 1.0,
        z_dim: int = 20,
        likelihood: str = "auto",
        sigma: float | None = None,
        beta: float = 1.0,
        anneal_steps: int = 0,
        noise: bool | None = None,
        encoder: Encoder = encoder,
        decoder: Decoder = decoder,
        discriminator: Encoder = encoder,
    ) -> None:
        super().__init__(spec)
        within("adversarial_weight", adversarial_weight, 0)
        within("vae_weight", vae_weight, 0)
        if not adversarial_weight + vae_weight:
            raise OptionError("adversarial_weight", "must not be 0 if vae_weight is 0: there would be nothing to learn")
        self.adversarial_weight, self.vae_weight = adversarial_weight, vae_weight
        # The VAE comes first, so that with the same seed it starts from the weights of a plain VAE.
        self.vae = VAE(
            spec, z_dim, likelihood, sigma, beta, anneal_steps, noise=noise, encoder=encoder, decoder=decoder
        )
        with inside("discriminator"):
            self.discriminator = discriminator(spec.shape, ())

    def phases(self) -> tuple[Phase, ...]:
        autoencoder = Phase("autoencoder", (self.vae,), self.autoencoder_loss)
        if not self.adversarial_weight:
            return (autoencoder,)
        return autoencoder, Phase("discriminator", (self.discriminator,), self.discriminator_loss)

    def autoencoder_loss(self, batch: Batch) -> LossOutput:
        out = self.vae.loss(batch)
        loss, logs = self.vae_weight * out.loss, out.logs
        if self.adversarial_weight:
            score = self.discriminator(self.fakes(batch["x"])).float()
            adversarial = generator_loss("non_saturating", score)
            loss = loss + self.adversarial_weight * adversarial
            logs = logs | {"vae": out.loss, "adversarial": adversarial}
        return LossOutput(loss, logs)

    def discriminator_loss(self, batch: Batch) -> LossOutput:
        with torch.no_grad():
            fake = self.fakes(batch["x"])
        real = self.discriminator(batch["x"]).float()
        fake = self.discriminator(fake).float()
        accuracy = 0.5 * ((real > 0).float().mean() + (fake <= 0).float().mean())
        return LossOutput(discriminator_loss("non_saturating", real, fake), {"accuracy": accuracy})

    def fakes(self, x: Tensor) -> Tensor:
        """Returns reconstructions of x (B, *shape), then as many samples: (2 B, *shape), without encoder gradients."""
        with torch.no_grad():
            mean, log_variance = self.vae.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        given = self.given_in({"x": x})
        both = None if given is None else torch.cat([given, given])
        return self.decode(torch.cat([z, torch.randn_like(z)]), both)

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws n samples as the VAE does: (n, *shape)."""
        return self.vae.sample(n, given=given)

    def encode(self, x: Tensor) -> Tensor:
        """Returns the posterior mean: (B, *shape) -> (B, z_dim)."""
        return self.vae.encode(x)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Returns the mean of p(x|z), see `VAE.decode`: (B, z_dim) -> (B, *shape)."""
        return self.vae.decode(z, given)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decodes the posterior mean: (B, *shape) -> (B, *shape)."""
        return self.vae.reconstruct(x)

    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates the VAE's bound of log p(x) from k samples, in nats: (B, *shape) -> (B,)."""
        return self.vae.elbo(x, k)
