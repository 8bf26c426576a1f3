"""Draws what a family can do, by its abilities and its data. Pictures are (H, W, 3) uint8 arrays."""

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
    """Rows from one image to the next, decoded from codes between theirs: (2 R, *shape) -> (R * steps, *shape).

    Along straight lines. A great circle (T. White, "Sampling Generative Networks", 2016,
    https://arxiv.org/abs/1609.04468) keeps to the shell that draws of a Gaussian prior lie on, but the ends here are
    posterior means, which lie well inside of it, and a plain autoencoder has no prior at all.
    """
    start, end = family.encode(x).float().chunk(2)
    weight = torch.linspace(0, 1, steps, device=x.device).view(-1, *[1] * (start.dim() - 1))
    return family.decode(torch.cat([a + weight * (b - a) for a, b in zip(start, end, strict=True)]))


def latent_grid(family: Codec, device: torch.device, side: int = 20) -> Tensor:
    """What a plane of codes stands for: (side², *shape), at even steps of the prior's probability in each direction.

    The codes are the inverse of the Gaussian distribution function at (i + ½) / side (figure 4 of D. P. Kingma,
    M. Welling, "Auto-Encoding Variational Bayes", 2014, https://arxiv.org/abs/1312.6114); the first coordinate grows
    to the right, the second upwards.
    """
    ticks = torch.special.ndtri((torch.arange(side, device=device) + 0.5) / side)
    return family.decode(torch.cartesian_prod(ticks.flip(0), ticks).flip(1))


@torch.no_grad()
def snapshot(family: Family, data: Dataset, n: int = 64, reasons: Reasons | None = None) -> dict[str, np.ndarray]:
    """Pictures of what a family can do, by name. Draws from the global generator.

    Images: `samples`, a grid of n (of a conditional family a class a column); `reconstructions`, rows of real images
    over theirs; `interpolation` between test images; `latent_grid` where the code of a sampler has two dimensions;
    `translations`, rows of images over their translation and the way back.
    Points: scatter plots over test data, of the other domain for translations; pair plots of tables, and where points
    have not two coordinates.

    Args:
        reasons: takes in, by name, why a picture cannot be drawn, and the others go on; None raises.
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
    """Samples as their layout shows them."""
    return DRAWERS[data.spec.layout].samples(family, data, n)


def draw_reconstructions(family: Reconstructor, data: Dataset) -> np.ndarray:
    """Test samples and their reconstructions."""
    drawer = DRAWERS[data.spec.layout]
    x = data.head("test", drawer.shown)["x"]
    return drawer.again(data.spec, data.decode(x), data.decode(family.reconstruct(x)))


def draw_interpolation(family: Codec, data: Dataset) -> np.ndarray:
    """Rows between pairs of test images.

    Raises:
        ValueError: there is only one.
    """
    x = data.head("test", 16)["x"]
    if len(x) < 2:
        raise ValueError("needs two test images at least")
    return grid(data.decode(interpolation(family, x[: len(x) // 2 * 2])), columns=10)


def is_plane(family: Codec, data: Dataset) -> bool:
    """Whether codes of images have two dimensions."""
    return family.encode(data.head("test", 1)["x"]).shape[1:] == (2,)


def draw_translations(family: Translator, data: Dataset) -> np.ndarray:
    """Images with their translations and what comes back; or translated points over those of the other domain."""
    drawer = DRAWERS[data.spec.layout]
    batch = data.head("test", drawer.shown)
    there, back = round_trip(family, batch["a"])
    source, target, there, back = map(data.decode, (batch["a"], batch["b"], there, back))
    return drawer.moved(data.spec, source, there, back, target)
