"""Draws the pictures that suit the abilities and the data of a family. Pictures are (H, W, 3) uint8 arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.attempts import Reasons, attempt
from genlab.models.base import Codec, Family, Reconstructor, Sampler, Translator, round_trip
from genlab.plots.drawers import DRAWERS
from genlab.plots.images import grid


def interpolation(family: Codec, x: Tensor, steps: int = 10) -> Tensor:
    """Decodes codes between those of pairs of images, R rows: (2 R, *shape) -> (R * steps, *shape).

    Interpolates along straight lines. A great circle (T. White, "Sampling Generative Networks", 2016,
    https://arxiv.org/abs/1609.04468) stays on the shell of draws from a Gaussian prior, but the ends here are posterior
    means, which are well inside that shell, and a plain autoencoder has no prior at all.
    """
    start, end = family.encode(x).float().chunk(2)
    weight = torch.linspace(0, 1, steps, device=x.device).view(-1, *[1] * (start.dim() - 1))
    return family.decode(torch.cat([a + weight * (b - a) for a, b in zip(start, end, strict=True)]))


def latent_grid(family: Codec, device: torch.device, side: int = 20) -> Tensor:
    """Decodes a grid of two-dimensional codes, (side², *shape), at equal steps of the prior's probability per axis.

    The codes are the inverse of the Gaussian distribution function at (i + ½) / side (figure 4 of D. P. Kingma,
    M. Welling, "Auto-Encoding Variational Bayes", 2014, https://arxiv.org/abs/1312.6114); the first coordinate grows
    to the right, the second upwards.
    """
    ticks = torch.special.ndtri((torch.arange(side, device=device) + 0.5) / side)
    return family.decode(torch.cartesian_prod(ticks.flip(0), ticks).flip(1))


@torch.no_grad()
def snapshot(family: Family, data: Dataset, n: int = 64, reasons: Reasons | None = None) -> dict[str, np.ndarray]:
    """Draws pictures by name, depending on what the family can do. Uses the global random generator.

    Images: `samples`, a grid of n (with one class per column if the family is conditional); `reconstructions`, rows of
    real images above theirs; `interpolation` between test images; `latent_grid` if the codes of a sampler have two
    dimensions; `translations`, rows of images above their translations and the translations back.
    Points: scatter plots over test data (of the other domain for translations); pair plots for tables and for points
    that do not have two coordinates.

    Args:
        reasons: collects by name why a picture cannot be drawn, so that the others are still drawn; None: raise.
    """
    makers: dict[str, Callable[[], np.ndarray]] = {}
    if isinstance(family, Sampler):
        makers["samples"] = lambda: draw_samples(family, data, n)
    if isinstance(family, Reconstructor):
        makers["reconstructions"] = lambda: draw_reconstructions(family, data)
    if isinstance(family, Codec) and DRAWERS[data.spec.layout].blends:
        makers["interpolation"] = lambda: draw_interpolation(family, data)
        if isinstance(family, Sampler) and attempt("latent_grid", lambda: is_plane(family, data), reasons):
            makers["latent_grid"] = lambda: grid(data.decode(latent_grid(family, data.device)))
    if isinstance(family, Translator):
        makers["translations"] = lambda: draw_translations(family, data)
    drawn = {name: attempt(name, make, reasons) for name, make in makers.items()}
    return {name: picture for name, picture in drawn.items() if picture is not None}


def draw_samples(family: Family, data: Dataset, n: int) -> np.ndarray:
    """Draws samples in the way of their layout."""
    return DRAWERS[data.spec.layout].samples(family, data, n)


def draw_reconstructions(family: Reconstructor, data: Dataset) -> np.ndarray:
    """Draws test samples and their reconstructions."""
    drawer = DRAWERS[data.spec.layout]
    x = data.head("test", drawer.shown)["x"]
    return drawer.again(data.spec, data.decode(x), data.decode(family.reconstruct(x)))


def draw_interpolation(family: Codec, data: Dataset) -> np.ndarray:
    """Draws interpolations between pairs of test images, one per row.

    Raises:
        ValueError: there are fewer than two test images.
    """
    x = data.head("test", 16)["x"]
    if len(x) < 2:
        raise ValueError("needs at least two test images")
    return grid(data.decode(interpolation(family, x[: len(x) // 2 * 2])), columns=10)


def is_plane(family: Codec, data: Dataset) -> bool:
    """Returns whether the codes of images have two dimensions."""
    return family.encode(data.head("test", 1)["x"]).shape[1:] == (2,)


def draw_translations(family: Translator, data: Dataset) -> np.ndarray:
    """Draws images with their translations and translations back, or translated points over the other domain."""
    drawer = DRAWERS[data.spec.layout]
    batch = data.head("test", drawer.shown)
    translated, back = round_trip(family, batch["a"])
    source, target, translated, back = map(data.decode, (batch["a"], batch["b"], translated, back))
    return drawer.moved(data.spec, source, translated, back, target)
