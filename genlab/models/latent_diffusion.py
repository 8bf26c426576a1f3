"""Latent diffusion: a diffusion model of the codes of an autoencoder, and its decoder behind it.

    z = encode(x),    prior: a model of p(z),    sample: x = decode(z), z ~ prior

The autoencoder is that of a trained run, frozen, or the model trains a VAE of its own beside the prior: the VAE on its
bound, the prior on the codes of the moment, which send no gradient back. One optimizer step moves both; as Adam treats
each number alone, that is the same as two optimizers.

R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer, "High-Resolution Image Synthesis with Latent Diffusion
Models", 2022, https://arxiv.org/abs/2112.10752. Here codes are vectors, and the prior's net is an MLP.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from genlab.data.base import Batch, Spec
from genlab.errors import OptionError, inside
from genlab.models.base import Codec, Family, LossOutput, Phase, Sampler
from genlab.models.ddpm import DDPM
from genlab.models.vae import VAE


class LatentDiffusion(Family):
    """A diffusion prior over the codes of an autoencoder (Rombach et al. 2022).

    Args:
        autoencoder: a trained family that encodes and decodes, kept as it is; on the command line, its run folder.
            None: train `own` beside the prior.
        own: makes the autoencoder to train, from the data's spec.
        prior: makes the model of the codes, from their spec: DDPM, Score or FlowMatching.

    Raises:
        UserError: the autoencoder was trained on other data, or cannot encode and decode.
    """

    prefers = "unit"

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
        theirs = self.autoencoder.spec
        if (theirs.shape, theirs.values) != (spec.shape, spec.values):
            raise OptionError(
                "autoencoder",
                f"trained on shape {theirs.shape}, data.range={theirs.values}, "
                f"while this data has shape {spec.shape}, data.range={spec.values}",
            )
        if theirs.meaning != spec.meaning:
            raise OptionError("autoencoder", "trained on data whose fields mean something else")
        named, known = ([column.name for column in each.columns] for each in (spec, theirs))
        if named != known:
            its, here = (", ".join(names) or "none" for names in (known, named))
            raise OptionError("autoencoder", f"trained on other columns ({its}) than this data has ({here})")
        if self.frozen:
            self.autoencoder.requires_grad_(False)
        self.autoencoder.eval()  # so that the probe leaves no trace in BatchNorm's statistics
        with torch.no_grad():
            code = self.coder.encode(torch.zeros(1, *spec.shape))
        self.autoencoder.train(not self.frozen)
        with inside("prior"):
            self.prior = prior(Spec(tuple(code.shape[1:]), spec.classes, counts=spec.counts))
        self.conditional = self.prior.conditional

    def draw_labels(self, n: int) -> Tensor | None:
        return self.prior.draw_labels(n)

    @property
    def coder(self) -> Codec:
        return cast(Codec, self.autoencoder)

    def train(self, mode: bool = True) -> "LatentDiffusion":
        """Training mode for all but a frozen autoencoder."""
        super().train(mode)
        if self.frozen:
            self.autoencoder.eval()
        return self

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.prior,) if self.frozen else (self.autoencoder, self.prior), self.loss),)

    def loss(self, batch: Batch) -> LossOutput:
        """The prior's loss on the codes, plus the autoencoder's own where it is trained as well."""
        with torch.no_grad():
            z = self.coder.encode(batch["x"])
        (phase,) = self.prior.phases()
        out = phase.loss(batch | {"x": z.float()})
        if self.frozen:
            return out
        (phase,) = self.autoencoder.phases()
        own = phase.loss(batch)
        logs = {"prior": out.loss, "autoencoder": own.loss} | out.logs | own.logs
        return LossOutput(out.loss + own.loss, logs)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Decode n codes drawn from the prior, without the decoder's own noise: (n, *shape)."""
        return self.coder.decode(cast(Sampler, self.prior).sample(n, y))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the code of x: (B, *shape) -> (B, *shape)."""
        return self.coder.decode(self.coder.encode(x))
