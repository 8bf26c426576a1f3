"""Draws what a family can do, by its abilities and its data. Pictures are (H, W, 3) uint8 arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.attempts import Reasons, attempt
from genlab.models.base import Codec, Family, Measured, Reconstructor, Sampler, Translator, round_trip
from genlab.plots.images import grid, rows
from genlab.plots.points import POINTS, landscape, plot


def classes_in_turn(family: Family, n: int) -> Tensor | None:
    """The classes with training samples in turn, (n,): a row of a grid shows one of each. None if unlabelled.

    Even shares are for looking at classes side by side, and for who asks for them; samples that are measured are drawn
    in the shares of the data.
    """
    if not family.conditional:
        return None
    known = known_classes(family)
    return known[torch.arange(n, device=family.device) % len(known)]


def known_classes(family: Family) -> Tensor:
    """The classes that have training samples: (K,) int64. A model knows nothing of any other."""
    shares = torch.tensor(family.spec.shares, device=family.device)
    return shares.nonzero().flatten()


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
    image = data.spec.layout == "image"
    if isinstance(family, Sampler):
        makers["samples"] = lambda: draw_images(family, data, n) if image else draw_points(family, data)
    if isinstance(family, Reconstructor):
        makers["reconstructions"] = lambda: draw_reconstructions(family, data)
    if isinstance(family, Codec) and image:
        makers["interpolation"] = lambda: draw_interpolation(family, data)
        if isinstance(family, Sampler) and attempt("latent_grid", lambda: is_plane(family, data), reasons):
            makers["latent_grid"] = lambda: grid(data.decode(latent_grid(family, data.device)))
    if isinstance(family, Translator):
        makers["translations"] = lambda: draw_translations(family, data)
    drawn = {name: attempt(name, make, reasons) for name, make in makers.items()}
    return {name: picture for name, picture in drawn.items() if picture is not None}


def draw_images(family: Family, data: Dataset, n: int) -> np.ndarray:
    """A grid of n samples, of a conditional family a class a column."""
    assert isinstance(family, Sampler)
    labels = classes_in_turn(family, n)
    columns = None if labels is None else min(n, len(known_classes(family)))
    return grid(data.decode(family.sample(n, labels)), columns)


def draw_points(family: Family, data: Dataset) -> np.ndarray:
    """Samples over test points, of a conditional family of the same classes."""
    assert isinstance(family, Sampler)
    labels = data.labels("test", POINTS) if family.conditional else None
    real = None if isinstance(family, Measured) else data.real("test", POINTS)
    return plot(data, real, data.decode(family.sample(POINTS, labels)), landscape(family))


def draw_reconstructions(family: Reconstructor, data: Dataset) -> np.ndarray:
    """Test samples and their reconstructions."""
    x = data.head("test", 32 if data.spec.layout == "image" else POINTS)["x"]
    real, again = data.decode(x), data.decode(family.reconstruct(x))
    return rows(real, again) if data.spec.layout == "image" else plot(data, real, again)


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
    batch = data.head("test", 32 if data.spec.layout == "image" else POINTS)
    there, back = round_trip(family, batch["a"])
    if data.spec.layout == "image":
        return rows(data.decode(batch["a"]), data.decode(there), data.decode(back))
    return plot(data, data.decode(batch["b"]), data.decode(there))
