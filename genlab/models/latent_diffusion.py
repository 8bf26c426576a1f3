"""Latent diffusion: a diffusion model of an autoencoder's codes, followed by the decoder.

    z = encode(x),    prior: a model of p(z),    sample: x = decode(z), z ~ prior

The autoencoder comes from a trained run and is frozen, or the model trains its own VAE together with the prior: the VAE
on its bound, the prior on the current codes, which pass no gradient back. One optimizer updates both; since Adam treats
each parameter separately, that is the same as two optimizers.

R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer, "High-Resolution Image Synthesis with Latent Diffusion
Models", 2022, https://arxiv.org/abs/2112.10752. Here codes are vectors, and the prior's net is an MLP. The code of a
graph is a code for each node, and the prior takes these as graphs without edges: its net is an edge transformer, so
that nothing depends on the order of the nodes.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.data.fields import Field
from genlab.errors import OptionError, inside
from genlab.models.base import Codec, Family, LossOutput, Phase
from genlab.models.ddpm import DDPM
from genlab.models.given import Given
from genlab.models.vae import VAE


class LatentDiffusion(Family):
    """A diffusion prior over the codes of an autoencoder (Rombach et al. 2022).

    Args:
        autoencoder: a trained family that encodes and decodes, kept frozen; on the command line, its run folder.
            None: train `own` together with the prior.
        own: builds the autoencoder to train, from the data's spec.
        prior: builds the model of the codes from their spec: DDPM, Score or FlowMatching.

    Raises:
        UserError: the autoencoder was trained on other data, or cannot encode and decode.
    """

    prefers = "unit"
    takes_graphs = True

    def __init__(
        self,
        spec: Spec,
        autoencoder: Family | None = None,
        own: Callable[[Spec], Family] = VAE,
        prior: Callable[[Spec], Family] = DDPM,
    ) -> None:
        super().__init__(spec)
        self.frozen = autoencoder is not None
        with inside("own"):
            self.autoencoder = autoencoder if autoencoder is not None else own(spec)
        if not isinstance(self.autoencoder, Codec):
            raise OptionError("autoencoder", f"a {type(self.autoencoder).__name__} cannot encode and decode")
        trained = self.autoencoder.spec
        if (trained.shape, trained.values) != (spec.shape, spec.values):
            raise OptionError(
                "autoencoder",
                f"trained on shape {trained.shape}, data.range={trained.values}, "
                f"but this data has shape {spec.shape}, data.range={spec.values}",
            )
        if trained.meaning != spec.meaning:
            raise OptionError("autoencoder", "trained on data whose fields have another meaning")
        names, trained_names = ([column.name for column in part.columns] for part in (spec, trained))
        if names != trained_names:
            old, new = (", ".join(columns) or "none" for columns in (trained_names, names))
            raise OptionError("autoencoder", f"trained on other columns ({old}) than this data has ({new})")
        if self.frozen:
            self.autoencoder.requires_grad_(False)
        self.autoencoder.eval()  # so that the probe does not change BatchNorm's statistics
        with torch.no_grad():
            code = self.coder.encode(torch.zeros(1, *spec.shape))
        self.autoencoder.train(not self.frozen)
        with inside("prior"):
            self.prior = prior(of_codes(spec, code.shape[1]))
        self.conditional = self.prior.conditional

    def draw_labels(self, n: int) -> Tensor | None:
        return self.prior.draw_labels(n)

    @property
    def coder(self) -> Codec:
        return cast(Codec, self.autoencoder)

    def train(self, mode: bool = True) -> "LatentDiffusion":
        """Sets the training mode of all modules except a frozen autoencoder."""
        super().train(mode)
        if self.frozen:
            self.autoencoder.eval()
        return self

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.prior,) if self.frozen else (self.autoencoder, self.prior), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        """Computes the prior's loss on the codes, plus the autoencoder's own loss if it is trained as well."""
        with torch.no_grad():
            z = self.coder.encode(batch["x"]).float()
            if self.given:
                z = cast(Given, self.prior.given).join(z, self.given.split(batch["x"])[1])
        (phase,) = self.prior.phases()
        out = phase.loss(batch | {"x": z})
        if self.frozen:
            return out
        (phase,) = self.autoencoder.phases()
        own = phase.loss(batch)
        logs = {"prior": out.loss, "autoencoder": own.loss} | out.logs | own.logs
        return LossOutput(out.loss + own.loss, logs)

    def sample(self, n: int, y: Tensor | None = None, given: Tensor | None = None) -> Tensor:
        """Decodes n codes drawn from the prior, without the decoder's noise: (n, *shape).

        Args:
            y: (n,) classes; None: drawn as in training.
            given: of graphs, which nodes are there, (n, N); None: as in training.
        """
        prior = cast(Any, self.prior)
        if prior.given is None:
            return self.coder.decode(prior.sample(n, y))
        if given is None:
            code = prior.sample(n, y)
        else:
            x = prior.given.join(given.new_zeros(n, len(prior.given.learnt)), given)
            code = prior.complete(x, prior.given.mask.expand_as(x), prior.labels(n, y))
        return cast(Any, self.coder).decode(*prior.given.split(code))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encodes and decodes x: (B, *shape) -> (B, *shape)."""
        z = self.coder.encode(x)
        return self.coder.decode(z) if self.given is None else cast(Any, self.coder).decode(z, self.given.split(x)[1])


def of_codes(spec: Spec, size: int) -> Spec:
    """Returns the spec of codes of `size` numbers: vectors, or for graphs which nodes are there and a code of each."""
    if not spec.nodes:
        return Spec((size,), spec.classes, counts=spec.counts)
    fields = (Field("present", "present", part="node"), Field("code", size=size // spec.nodes, part="node"))
    return Spec((), spec.classes, fields, counts=spec.counts, nodes=spec.nodes)
