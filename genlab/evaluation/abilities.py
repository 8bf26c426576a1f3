"""Runs each ability of a family on held-out data and returns the measured values by name.

Each function takes a family that has the ability, the data and the number of samples to use. Random numbers come from
torch's global generator, which the caller seeds.
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

CHUNK = 500  # samples processed at a time, to bound the memory
DENSITY_CHUNK = 100
REDRAWS = 10  # of rows that do not fulfil the constraints of their table
ROWS = 2000  # rows of a table drawn at a time
SAMPLED = {"cpu": 100, "cuda": 1000}  # samples drawn at a time, by the kind of device


def samples(family: Any, n: int, y: Tensor | None = None) -> Tensor:
    """Draws n samples in the model's range: (n, *shape). A conditional family draws the classes y (n,).

    Samples are drawn a few at a time: on a CPU the activations of larger batches do not fit into the caches, and a
    U-Net takes twice as long per sample.
    """
    most = ROWS if family.spec.table else SAMPLED.get(family.device.type, CHUNK)
    sizes = [min(most, n - start) for start in range(0, n, most)]
    labels = [None] * len(sizes) if y is None else list(y.split(most))
    return torch.cat([family.sample(size, part) for size, part in zip(sizes, labels, strict=True)])


def samples_in_units(family: Any, n: int, y: Tensor | None = None) -> Tensor:
    """Draws n samples in data units, (n, *shape), as `genlab sample` does.

    Rows of a table that do not fulfil its constraints are drawn again, a few times; a model that hardly ever fulfils
    them is judged by what it draws.
    """
    units = family.spec.decode(samples(family, n, y))
    schema = family.spec.table
    if schema is None or not schema.constraints:
        return units
    units, good = schema.fulfil(units)
    for _ in range(REDRAWS):
        bad = (~good).nonzero()[:, 0]
        if not len(bad):
            break
        again = family.spec.decode(samples(family, len(bad), None if y is None else y[bad]))
        units[bad], good[bad] = schema.fulfil(again)
    return units


def reconstruction(family: Reconstructor, data: Dataset, split: str, n: int) -> dict[str, float]:
    """Returns the mean squared error of reconstructions, in data units; columns of a table are standardised."""
    x = data.head(split, n)["x"]
    rebuilt = torch.cat([family.reconstruct(part) for part in x.split(CHUNK)])
    x, rebuilt = (data.spec.standardise(data.decode(batch)) for batch in (x, rebuilt))
    return {"reconstruction_mse": autoencoding.reconstruction_mse(x, rebuilt)}


def code(family: Codec, data: Dataset, split: str, n: int) -> dict[str, float]:
    """Returns the number of active units of the code."""
    x = data.head(split, n)["x"]
    return {"active_units": float(autoencoding.active_units(torch.cat([family.encode(p) for p in x.split(CHUNK)])))}


def bounds(family: Bounded, data: Dataset, split: str, n: int, k: int) -> dict[str, float]:
    """Returns the ELBO and, for a model with a code, the NLL bound from k samples of the code, with standard errors.

    All values are in nats. Without a code, a larger k does not tighten the bound but only estimates it better, so
    there k is the number of samples of the ELBO.
    """
    x = data.head(split, n)["x"]
    coded = isinstance(family, Codec)
    elbo = likelihood.mean(autoencoding.bound(family.elbo, x, 1 if coded else k, CHUNK) - data.spec.log_scale)
    if not coded:
        return {"elbo": elbo.value, "elbo_error": elbo.error}
    tight = likelihood.mean(data.spec.log_scale - autoencoding.bound(family.elbo, x, k, CHUNK))
    return {"elbo": elbo.value, "elbo_error": elbo.error, "iwae_nll": tight.value, "iwae_nll_error": tight.error}


def density(family: Density, data: Dataset, split: str, n: int) -> dict[str, float]:
    """Returns the NLL of points in data units and, if the true density is known, its floor and excess, in nats."""
    x = data.head(split, n)["x"]
    log_q = torch.cat([family.log_prob(part) for part in x.split(CHUNK)]) - data.spec.log_scale
    return likelihood.likelihood_measures(log_q, data.truth.log_prob(x.double()) if data.truth else None)


def bits(family: Family, data: Dataset, split: str, n: int, k: int) -> dict[str, float]:
    """Returns the bits/dim of 8-bit images.

    A family that models pixels as discrete values gives its own bound. A density of continuous pixels is evaluated
    after uniform dequantization, v = (pixel + u) / 256 (Theis et al. 2016, https://arxiv.org/abs/1511.01844,
    section 3.1).
    """
    x = data.head(split, n)["x"]
    size = math.prod(data.spec.shape)
    if isinstance(family, Discrete):
        values = torch.cat([family.bits_per_dim(part, k) for part in x.split(DENSITY_CHUNK)])
        mean = likelihood.mean(values)
    else:
        assert isinstance(family, Density)
        log_q = torch.cat([family.log_prob(dequantize(part, data)) for part in x.split(DENSITY_CHUNK)])
        low, high = data.spec.limits
        mean = likelihood.bits_per_dim(log_q, size, (high - low) / 256)
    return {"bits_per_dim": mean.value, "bits_per_dim_error": mean.error}


def dequantize(x: Tensor, data: Dataset) -> Tensor:
    """Adds uniform noise to images in the model's range: each pixel value covers 1/256 of that range."""
    v = (255 * data.decode(x) + torch.rand_like(x)) / 256
    low, high = data.spec.limits
    return (high - low) * v + low


def translations(family: Translator, data: Pairs, split: str, n: int) -> tuple[Batch, Tensor, Tensor]:
    """Returns the first `n` samples of a split, their translations and the round trips, (N, *shape) in data units."""
    batch = data.head(split, n)
    translated, restored = round_trip(family, batch["a"])
    return batch, data.decode(translated), data.decode(restored)


def translation_errors(data: Pairs, batch: Batch, there: Tensor, back: Tensor) -> dict[str, float]:
    """Returns the errors of translations and round trips in data units; columns of a table are standardised."""
    source, there, back = (data.spec.standardise(x) for x in (data.decode(batch["a"]), there, back))
    values = {"cycle_error": mean_distance(back, source)}
    if data.known:
        truth = data.spec.standardise(data.decode(data.transform(batch["a"])))
        values["translation_error"] = mean_distance(there, truth)
        values["identity_error"] = mean_distance(source, truth)
    return values


def entropy(data: Dataset, split: str, n: int) -> dict[str, float]:
    """Returns the floors of `elbo` and `iwae_nll`, from the data's own density on the same samples; {} if unknown."""
    if data.truth is None:
        return {}
    nats = data.truth.log_prob(data.head(split, n)["x"].double()).mean().item()
    return {"elbo": nats, "iwae_nll": -nats}
