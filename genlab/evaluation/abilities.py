"""Each ability of a family, asked for on held-out data and handed to the measures; values by name.

A function here takes a family that has the ability, the data and how many samples to use, and draws from torch's
global generator, which the caller seeds.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genlab.data.base import Batch, Dataset
from genlab.data.pairs import Pairs
from genlab.metrics import autoencoding, likelihood
from genlab.metrics.translation import mean_distance
from genlab.models.base import Bounded, Codec, Density, Discrete, Family, Reconstructor, Translator, round_trip

CHUNK = 500  # samples at a time, to bound the memory
DENSITY_CHUNK = 100
SAMPLED = {"cpu": 100, "cuda": 1000}  # samples drawn at a time, by the kind of device


def samples(family: Any, n: int, y: Tensor | None = None) -> Tensor:
    """n samples in the model's range, of the classes y (n,) of a conditional family: (n, *shape).

    A few at a time: on a CPU the activations of more leave its caches, and a U-Net takes twice as long for each.
    """
    size = SAMPLED.get(family.device.type, CHUNK)
    parts = [min(size, n - start) for start in range(0, n, size)]
    labels = [None] * len(parts) if y is None else list(y.split(size))
    return torch.cat([family.sample(each, of) for each, of in zip(parts, labels, strict=True)])


def reconstruction(family: Reconstructor, data: Dataset, split: str, n: int) -> dict[str, float]:
    """Mean squared error of reconstructions, in data units; of a table, standardised."""
    x = data.head(split, n)["x"]
    again = torch.cat([family.reconstruct(part) for part in x.split(CHUNK)])
    x, again = (data.spec.standardise(data.decode(each)) for each in (x, again))
    return {"reconstruction_mse": autoencoding.reconstruction_mse(x, again)}


def code(family: Codec, data: Dataset, split: str, n: int) -> dict[str, float]:
    """Active units of the code."""
    x = data.head(split, n)["x"]
    return {"active_units": float(autoencoding.active_units(torch.cat([family.encode(p) for p in x.split(CHUNK)])))}


def bounds(family: Bounded, data: Dataset, split: str, n: int, k: int) -> dict[str, float]:
    """The ELBO and, of a model with a code, the NLL by the bound from k samples of it; standard errors; all in nats.

    The bound of a model without a code does not grow with k, it is only estimated better: there k is that of the ELBO.
    """
    x = data.head(split, n)["x"]
    coded = isinstance(family, Codec)
    elbo = likelihood.mean(autoencoding.bound(family.elbo, x, 1 if coded else k, CHUNK) - data.spec.log_scale)
    if not coded:
        return {"elbo": elbo.value, "elbo_error": elbo.error}
    tight = likelihood.mean(data.spec.log_scale - autoencoding.bound(family.elbo, x, k, CHUNK))
    return {"elbo": elbo.value, "elbo_error": elbo.error, "iwae_nll": tight.value, "iwae_nll_error": tight.error}


def density(family: Density, data: Dataset, split: str, n: int) -> dict[str, float]:
    """The NLL of points in data units, beside the entropy of the data where that is known exactly, nats."""
    x = data.head(split, n)["x"]
    log_q = torch.cat([family.log_prob(part) for part in x.split(CHUNK)]) - data.spec.log_scale
    return likelihood.likelihood_measures(log_q, data.truth.log_prob(x.double()) if data.truth else None)


def bits(family: Family, data: Dataset, split: str, n: int, k: int) -> dict[str, float]:
    """Bits/dim of 8-bit images: of a family that knows pixels as discrete values by its own bound; of a density on
    continuous pixels after uniform dequantization, v = (pixel + u) / 256 (Theis et al. 2016,
    https://arxiv.org/abs/1511.01844, section 3.1).
    """
    x = data.head(split, n)["x"]
    size = math.prod(data.spec.shape)
    if isinstance(family, Discrete):
        found = torch.cat([family.bits_per_dim(part, k) for part in x.split(DENSITY_CHUNK)])
        mean = likelihood.mean(found)
    else:
        assert isinstance(family, Density)
        found = torch.cat([family.log_prob(dequantize(part, data)) for part in x.split(DENSITY_CHUNK)])
        low, high = data.spec.limits
        mean = likelihood.bits_per_dim(found, size, (high - low) / 256)
    return {"bits_per_dim": mean.value, "bits_per_dim_error": mean.error}


def dequantize(x: Tensor, data: Dataset) -> Tensor:
    """Images in the model's range -> uniform draws within each pixel value's own 1/256 of that range."""
    v = (255 * data.decode(x) + torch.rand_like(x)) / 256
    low, high = data.spec.limits
    return (high - low) * v + low


def translations(family: Translator, data: Pairs, split: str, n: int) -> tuple[Batch, Tensor, Tensor]:
    """The first `n` samples of a split; their translations a -> b, and b -> a again, in data units: (N, *shape)."""
    batch = data.head(split, n)
    there, back = round_trip(family, batch["a"])
    return batch, data.decode(there), data.decode(back)


def translation_errors(data: Pairs, batch: Batch, there: Tensor, back: Tensor) -> dict[str, float]:
    """Errors of translations and round trips in data units; of a table, standardised."""
    source, there, back = (data.spec.standardise(x) for x in (data.decode(batch["a"]), there, back))
    values = {"cycle_error": mean_distance(back, source)}
    if data.known:
        truth = data.spec.standardise(data.decode(data.transform(batch["a"])))
        values["translation_error"] = mean_distance(there, truth)
        values["identity_error"] = mean_distance(source, truth)
    return values


def entropy(data: Dataset, split: str, n: int) -> dict[str, float]:
    """What the data's own density gets on the same samples: floors of `elbo` and `iwae_nll`; {} where it is unknown."""
    if data.truth is None:
        return {}
    nats = data.truth.log_prob(data.head(split, n)["x"].double()).mean().item()
    return {"elbo": nats, "iwae_nll": -nats}
