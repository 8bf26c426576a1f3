"""The variational autoencoder, which maximises a lower bound of log p(x) in nats.

    ELBO(x) = E_q(z|x) log p(x|z) - β KL(q(z|x) || p(z)),    q = N(μ(x), σ(x)²),  p(z) = N(0, I)        (eq. 3, β = 1)
    z = μ + σ ε,  ε ~ N(0, I)                                                                           (eq. 4)
    KL = ½ Σ_j (μ_j² + σ_j² - 1 - log σ_j²)                                                             (appendix B)

With `importance_samples` k > 1 the objective is the tighter bound of the importance-weighted autoencoder,

    L_k(x) = E log 1/k Σ_i w_i,  w_i = p(x|z_i) p(z_i) / q(z_i|x),  z_i ~ q(z|x)        (IWAE, eq. 8; L_1 = ELBO)

All terms are summed over dimensions and averaged over the batch; averaging the KL over dimensions would silently
rescale β.

D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, https://arxiv.org/abs/1312.6114.
Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders", 2016, https://arxiv.org/abs/1509.00519.
I. Higgins et al., "beta-VAE", 2017, https://openreview.net/forum?id=Sy2fzU9gl.
"""

import math

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import inside, within
from genlab.models.base import Family, LossOutput, Phase, full_precision
from genlab.models.likelihood_head import LikelihoodHead
from genlab.networks.choice import Decoder, Encoder, decoder, encoder

ROWS = 1024  # codes decoded at a time for a likelihood estimate: their activations should fit a CPU's caches


class VAE(Family):
    """Variational autoencoder with a Bernoulli or Gaussian decoder, and its β variant (Kingma, Welling 2014).

    Args:
        z_dim: length of z; of graphs, of the code of each node, see `Spec.code`.
        likelihood: p(x|z) of pixels: bernoulli (data in [0, 1]; its nats compare with papers only on binary data),
            gaussian, or auto: bernoulli where it fits. Reals are Gaussian.
        sigma: the Gaussian's standard deviation in the model's range; None learns one number for all dimensions.
        beta: weight of the KL.
        anneal_steps: steps over which β grows linearly from 0.
        importance_samples: k of the objective L_k; β then weighs log p(z) - log q(z|x).
        noise: whether `sample` draws from p(x|z) or returns its mean; None draws all but pixels.
        encoder, decoder: build the nets from (shape, (2 z_dim,)) and from (z_dim, shape).

    Raises:
        UserError: the likelihood is unknown or does not fit the range of the data, or a number is out of its range.
    """

    prefers = "unit"
    takes_given = True
    head: LikelihoodHead

    def __init__(
        self,
        spec: Spec,
        z_dim: int = 20,
        likelihood: str = "auto",
        sigma: float | None = None,
        beta: float = 1.0,
        anneal_steps: int = 0,
        importance_samples: int = 1,
        noise: bool | None = None,
        encoder: Encoder = encoder,
        decoder: Decoder = decoder,
    ) -> None:
        super().__init__(spec)
        self.head = LikelihoodHead(spec.learnt, likelihood, sigma)
        within("importance_samples", importance_samples, 1)
        within("beta", beta, 0)
        within("anneal_steps", anneal_steps, 0)
        self.z_dim, self.beta, self.anneal_steps = math.prod(spec.code(z_dim)), beta, anneal_steps
        self.importance_samples = importance_samples
        self.noise = noise
        with inside("encoder"):
            self.encoder = encoder(spec.shape, spec.code(2 * z_dim))
        with inside("decoder"):
            self.decoder = decoder(self.z_dim + spec.context, spec.learnt.shape)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        if f"{prefix}log_sigma" in state_dict:  # in checkpoints of formats 1 and 2
            state_dict[f"{prefix}head.log_sigma"] = state_dict.pop(f"{prefix}log_sigma")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self,), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        if self.given and self.training:
            self.given.remember(batch["x"])
        if self.importance_samples > 1:
            return self.importance_weighted_loss(batch)
        x = batch["x"]
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)  # eq. 4
        reconstruction = -self.log_likelihood(x, z).mean()
        kl = gaussian_kl(mean, log_variance).mean()
        loss = reconstruction + self.beta_at(batch["step"]) * kl
        return LossOutput(loss, {"reconstruction": reconstruction, "kl": kl, "elbo": -reconstruction - kl})

    def importance_weighted_loss(self, batch: Batch) -> LossOutput:
        """Computes -L_k with k = `importance_samples`; logs averages over the k samples and, as "elbo", L_k."""
        x, k = batch["x"], self.importance_samples
        posterior = self.posterior(x)
        noise = torch.randn(k, *posterior[0].shape, device=x.device)
        log_likelihood, log_ratio = self.log_weights(x, posterior, noise)
        bound = (log_likelihood + self.beta_at(batch["step"]) * log_ratio).logsumexp(0).mean() - math.log(k)
        logs = {"reconstruction": -log_likelihood.mean(), "kl": gaussian_kl(*posterior).mean(), "elbo": bound}
        return LossOutput(-bound, logs)

    def log_weights(self, x: Tensor, posterior: tuple[Tensor, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """Computes log p(x|z_i) and log p(z_i) - log q(z_i|x) in nats, z_i = μ + σ ε_i.

        (B, *shape), 2 x (B, z_dim), ε (k, B, z_dim) -> 2 x (k, B).
        """
        mean, log_variance = posterior
        z = mean + (0.5 * log_variance).exp() * noise
        log_likelihood = self.log_likelihood(x.repeat(len(noise), *[1] * (x.dim() - 1)), z.flatten(0, 1))
        log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(2)  # the constants cancel
        return log_likelihood.view(noise.shape[:2]), log_ratio

    def beta_at(self, step: Tensor) -> Tensor | float:
        """Returns β after `step` steps: linear from 0 over `anneal_steps`, then constant."""
        if self.anneal_steps == 0:
            return self.beta
        return self.beta * (step.float() / self.anneal_steps).clamp(max=1.0)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns μ(x) and log σ²(x), fp32: (B, *shape) -> 2 x (B, z_dim)."""
        mean, log_variance = self.encoder(x).float().flatten(1).chunk(2, dim=1)
        return mean, log_variance

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Computes log p(x|z) in nats, of the learnt channels, fp32: (B, *shape), (B, z_dim) -> (B,)."""
        if self.given:
            here = self.spec.presence(x)
            x, given = self.given.split(x)
            z = torch.cat([z, given.flatten(1)], dim=1)
            if here is not None:  # what is not there costs nothing
                here = self.given.split(here)[0]
                return self._log_prob(torch.where(here > 0, self.decoder(z), x), x)
        return self._log_prob(self.decoder(z), x)

    def _log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        with full_precision(x):
            return self.head.log_prob(raw, x)

    def elbo(self, x: Tensor, k: int = 1) -> Tensor:
        """Estimates the bound L_k of log p(x), nats: (B, *shape) -> (B,). It grows with k; papers often use k = 5000.

        Memory does not grow with k, because the weights are summed chunk by chunk. k = 1 uses the KL in closed form.
        """
        mean, log_variance = posterior = self.posterior(x)
        if k == 1:
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            return self.log_likelihood(x, z) - gaussian_kl(mean, log_variance)
        total = torch.full((len(x),), -math.inf, device=x.device, dtype=mean.dtype)  # log of the sum of the weights
        chunk = max(1, ROWS // len(x))
        for start in range(0, k, chunk):
            noise = torch.randn(min(chunk, k - start), *mean.shape, device=x.device, dtype=mean.dtype)
            log_likelihood, log_ratio = self.log_weights(x, posterior, noise)
            total = torch.logaddexp(total, (log_likelihood + log_ratio).logsumexp(0))
        return total - math.log(k)

    def encode(self, x: Tensor) -> Tensor:
        """Returns the posterior mean: (B, *shape) -> (B, z_dim)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Returns the mean of p(x|z), or p(x|z, c) for given channels c (B, K): (B, z_dim) -> (B, *shape)."""
        return self.decoded(z, given, lambda z: self.head.mean(self.decoder(z).float()))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decodes the posterior mean: (B, *shape) -> (B, *shape)."""
        return self.decode(self.encode(x), self.given_in({"x": x}))

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Draws n samples x ~ p(x|z), z ~ N(0, I), or takes the mean of p(x|z) if `noise` is off: (n, *shape).

        Args:
            given: (n, K) given channels; None: those of training rows.
        """

        def net(z: Tensor) -> Tensor:
            x = self.head.mean(self.decoder(z).float())
            return x if self.noise is False else self.head.sample(x, pixels=self.noise is True)

        return self.decoded(torch.randn(n, self.z_dim, device=self.device), given, net)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes KL(N(μ, σ²) || N(0, I)) in nats, summed over dimensions: 2 x (B, D) -> (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
