"""The variational autoencoder: maximise a lower bound of log p(x), in nats.

    ELBO(x) = E_q(z|x) log p(x|z) - β KL(q(z|x) || p(z)),    q = N(μ(x), σ(x)²),  p(z) = N(0, I)        (eq. 3, β = 1)
    z = μ + σ ε,  ε ~ N(0, I)                                                                           (eq. 4)
    KL = ½ Σ_j (μ_j² + σ_j² - 1 - log σ_j²)                                                             (appendix B)

Both terms are summed over dimensions and averaged over the batch; averaging the KL over dimensions would silently
rescale β.

D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, https://arxiv.org/abs/1312.6114.
I. Higgins et al., "beta-VAE", 2017, https://openreview.net/forum?id=Sy2fzU9gl.
Learned decoder scale: O. Rybkin, K. Daniilidis, S. Levine, "Simple and Effective VAE Training with Calibrated
Decoders", 2021, https://arxiv.org/abs/2006.13202.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.data.base import Batch, Spec
from genlab.errors import UserError, choose
from genlab.models.base import Family, Out, Phase, full_precision
from genlab.networks.choice import Decoder, Encoder, decoder, encoder

LIKELIHOODS = ("auto", "bernoulli", "gaussian")


class VAE(Family):
    """Variational autoencoder with a Bernoulli or Gaussian decoder, and its β variant (Kingma, Welling 2014).

    Args:
        z_dim: length of z.
        likelihood: p(x|z): bernoulli (data in [0, 1]; nats that compare with papers only on binary data), gaussian,
            or auto: gaussian for points, bernoulli for images.
        sigma: the Gaussian's standard deviation in the model's range; None learns one number for all dimensions.
        beta: weight of the KL.
        anneal_steps: steps over which β grows linearly from 0.
        noise: whether `sample` draws from p(x|z) or returns its mean; None draws for points and not for images.
        encoder, decoder: make the nets, from (shape, (2 z_dim,)) and from (z_dim, shape).
    """

    prefers = "unit"

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 20,
        likelihood: str = "auto",
        sigma: float | None = None,
        beta: float = 1.0,
        anneal_steps: int = 0,
        noise: bool | None = None,
        encoder: Encoder = encoder,
        decoder: Decoder = decoder,
    ) -> None:
        super().__init__(spec)
        choose("model.likelihood", likelihood, LIKELIHOODS)
        unit = spec.range in ("unit", "binary")
        if likelihood == "auto":
            likelihood = "bernoulli" if unit else "gaussian"
        if likelihood == "bernoulli" and not unit:
            raise UserError(f"model.likelihood: bernoulli needs data.range unit or binary, not {spec.range}")
        self.z_dim, self.likelihood, self.beta, self.anneal_steps = z_dim, likelihood, beta, anneal_steps
        self.noise = not spec.is_image if noise is None else noise
        self.encoder = encoder(spec.shape, (2 * z_dim,))
        self.decoder = decoder(z_dim, spec.shape)
        # A parameter when it is learned, a buffer when it is given; unused by a Bernoulli decoder.
        log_sigma = torch.tensor(math.log(sigma or 1.0))
        if likelihood == "gaussian" and sigma is None:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self,), self.loss),)

    def loss(self, batch: Batch) -> Out:
        x = batch["x"]
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)  # eq. 4
        reconstruction = -self.log_likelihood(x, z).mean()
        kl = gaussian_kl(mean, log_variance).mean()
        loss = reconstruction + self.beta_at(batch["step"]) * kl
        return Out(loss, {"reconstruction": reconstruction, "kl": kl, "elbo": -reconstruction - kl})

    def beta_at(self, step: Tensor) -> Tensor | float:
        """β after `step` steps: linear from 0 over `anneal_steps`, then constant."""
        if self.anneal_steps == 0:
            return self.beta
        return self.beta * (step.float() / self.anneal_steps).clamp(max=1.0)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ(x) and log σ²(x), fp32: (B, *shape) -> 2 x (B, z_dim)."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, fp32: (B, *shape), (B, z_dim) -> (B,)."""
        raw = self.decoder(z)
        with full_precision(x):
            if self.likelihood == "bernoulli":
                return -F.binary_cross_entropy_with_logits(raw.float(), x, reduction="none").flatten(1).sum(1)
            error = (self.squash(raw.float()) - x) * (-self.log_sigma).exp()
            return -(0.5 * error.square() + self.log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """The bound of log p(x) from k samples of q (k > 1: the tighter bound of IWAE), nats: (B, *shape) -> (B,).

        L_k = E log 1/k Σ_i p(x, z_i) / q(z_i|x)   (eq. 8 of Burda et al. 2015, https://arxiv.org/abs/1509.00519)
        """
        mean, log_variance = self.posterior(x)
        if k == 1:
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            return self.log_likelihood(x, z) - gaussian_kl(mean, log_variance)
        weights = []
        for _ in range(k):
            noise = torch.randn_like(mean)
            z = mean + (0.5 * log_variance).exp() * noise
            log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(1)  # log p(z) - log q(z|x)
            weights.append(self.log_likelihood(x, z) + log_ratio)
        return torch.stack(weights).logsumexp(0) - math.log(k)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior mean: (B, *shape) -> (B, z_dim)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z): (B, z_dim) -> (B, *shape)."""
        return self.squash(self.decoder(z).float())

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the posterior mean: (B, *shape) -> (B, *shape)."""
        return self.decode(self.encode(x))

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw n samples x ~ p(x|z), z ~ N(0, I), or the mean of p(x|z) where `noise` is off: (n, *shape)."""
        x = self.decode(torch.randn(n, self.z_dim, device=self.device))
        if not self.noise:
            return x
        if self.likelihood == "bernoulli":
            return torch.bernoulli(x)
        return x + self.log_sigma.exp() * torch.randn_like(x)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) || N(0, I)) in nats, summed over dimensions: 2 x (B, D) -> (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
