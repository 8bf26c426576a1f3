"""The plain autoencoder: x -> z -> x', trained on the squared error. It has no prior, so it cannot sample.

G. E. Hinton, R. R. Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", 2006,
https://doi.org/10.1126/science.1127647.
"""

import math

from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import inside
from genlab.models.base import Family, LossOutput, Phase
from genlab.models.head import Head
from genlab.networks.choice import Decoder, Encoder, decoder, encoder


class Autoencoder(Family):
    """Autoencoder with mean squared error (Hinton, Salakhutdinov 2006).

    Args:
        z_dim: length of the code; of graphs, of the code of each node, see `Spec.code`.
        encoder, decoder: build the nets from (shape, (z_dim,)) and from (z_dim, shape).
    """

    prefers = "unit"
    takes_graphs = True

    def __init__(self, spec: Spec, z_dim: int = 64, encoder: Encoder = encoder, decoder: Decoder = decoder) -> None:
        super().__init__(spec)
        with inside("encoder"):
            self.encoder = encoder(spec.shape, spec.code(z_dim))
        with inside("decoder"):
            self.decoder = decoder(math.prod(spec.code(z_dim)) + spec.context, spec.learnt.shape)
        self.head = Head(spec.learnt)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.encoder, self.decoder), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        """Computes the squared error, averaged over the elements of a sample and over the batch."""
        x = batch["x"]
        if self.given and self.training:
            self.given.remember(x)
        error = (self.reconstruct(x).float() - x).square()
        return LossOutput(error.mean() if self.given is None else self.mean_error(error, x).mean())

    def encode(self, x: Tensor) -> Tensor:
        """Encodes x: (B, *shape) -> (B, z_dim)."""
        return self.encoder(x).flatten(1)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Tensor:
        """Decodes z, (B, z_dim) -> (B, *shape). Of graphs, `given` (B, N) says which nodes are there."""
        return self.decoded(z, given, lambda z: self.head.mean(self.decoder(z)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encodes and decodes x: (B, *shape) -> (B, *shape)."""
        return self.decode(self.encode(x), self.given_in({"x": x}))
