"""Tensors -> pictures: grids of images, scatter plots of points. Pictures are (H, W, 3) uint8 arrays."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.models.base import Codec, Density, Family, Measured, Reconstructor, Sampler, Scorer, Translator, round_trip
from genlab.pairplot import pairplot

POINTS = 2000  # drawn in a scatter plot


def grid(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1], C 1 or 3, side by side with a gray line between; as square as N allows."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 96, np.uint8)
    pixels = images.clamp(0, 1).mul(255).round().byte().expand(n, 3 if channels == 1 else channels, height, width)
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).cpu().numpy()):
        top, left = 1 + i // columns * (height + 1), 1 + i % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image
    return canvas


def rows(*batches: Tensor, columns: int = 8) -> np.ndarray:
    """Batches of images (N, C, H, W) that belong together, one under the other, `columns` at a time.

    What is left over after the last full row is not shown.
    """
    columns = min(columns, len(batches[0]))
    kept = len(batches[0]) // columns * columns
    parts = [images[:kept].view(-1, columns, *images.shape[1:]) for images in batches]
    return grid(torch.stack(parts, dim=1).flatten(0, 2), columns)


def scatter(real: Tensor | None, fake: Tensor, landscape: Callable[[Tensor], Tensor] | None = None) -> np.ndarray:
    """Real points (N, 2) in gray under generated ones (M, 2) in colour, over contours of `landscape` (B, 2) -> (B,)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = fake if real is None else real
    figure = Figure(figsize=(5, 5), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot(aspect="equal")
    low, high = (shown.amin(0) - 0.5).tolist(), (shown.amax(0) + 0.5).tolist()
    if landscape is not None:
        sides = [torch.linspace(low[i], high[i], 60) for i in (0, 1)]
        points = torch.cartesian_prod(*sides).to(shown)
        heights = landscape(points).float().cpu().view(60, 60).T.numpy()
        axes.contourf(sides[0].numpy(), sides[1].numpy(), heights, levels=16, cmap="Blues", alpha=0.6)
    for cloud, colour, label in ((real, "0.45", "real"), (fake, "tab:orange", "generated")):
        if cloud is None:
            continue
        points = cloud[:POINTS].float().cpu().numpy()
        axes.plot(points[:, 0], points[:, 1], ".", color=colour, markersize=3, alpha=0.5, label=label)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.legend(loc="upper left", markerscale=3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def landscape(family: Family) -> Callable[[Tensor], Tensor] | None:
    """What the family thinks of each place: its density, else its critic's value, else nothing."""
    if isinstance(family, Density):
        return family.log_prob
    return family.score if isinstance(family, Scorer) else None


def classes_in_turn(family: Family, n: int) -> Tensor | None:
    """Labels 0, 1, ..., 0, 1, ... (n,), so that rows of `spec.classes` samples show one of each; None if unlabelled."""
    return torch.arange(n, device=family.device) % family.spec.classes if family.conditional else None


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
def snapshot(family: Family, data: Dataset, n: int = 64) -> dict[str, np.ndarray]:
    """Pictures of what a family can do, by name. Draws from the global generator.

    Images: `samples`, a grid of n (of a conditional family a class a column); `reconstructions`, rows of real images
    over theirs; `interpolation` between test images; `latent_grid` where the code of a sampler has two dimensions;
    `translations`, rows of images over their translation and the way back.
    Points: scatter plots over test data, of the other domain for translations; pair plots of tables, and where points
    have not two coordinates.
    """
    pictures = {}
    image = data.spec.is_image

    def plot(real: Tensor | None, fake: Tensor, heights: Callable[[Tensor], Tensor] | None = None) -> np.ndarray:
        if data.spec.shape == (2,) and not data.spec.columns:
            return scatter(real, fake, heights)
        return pairplot(real, fake, [column.name for column in data.spec.columns])

    if isinstance(family, Sampler):
        n = n if image else POINTS
        fake = data.decode(family.sample(n, classes_in_turn(family, n)))
        if image:
            pictures["samples"] = grid(fake, columns=family.spec.classes if family.conditional else None)
        else:
            real = None if isinstance(family, Measured) else data.real("test", POINTS)
            pictures["samples"] = plot(real, fake, landscape(family))
    if isinstance(family, Reconstructor):
        x = data.head("test", 32 if image else POINTS)["x"]
        again = data.decode(family.reconstruct(x))
        if image:
            pictures["reconstructions"] = rows(data.decode(x), again)
        else:
            pictures["reconstructions"] = plot(data.decode(x), again)
    if isinstance(family, Codec) and image:
        x = data.head("test", 16)["x"]
        pictures["interpolation"] = grid(data.decode(interpolation(family, x)), columns=10)
        if isinstance(family, Sampler) and family.encode(x).shape[1:] == (2,):
            pictures["latent_grid"] = grid(data.decode(latent_grid(family, x.device)))
    if isinstance(family, Translator):
        batch = data.head("test", 32 if image else POINTS)
        there, back = round_trip(family, batch["a"])
        if image:
            pictures["translations"] = rows(data.decode(batch["a"]), data.decode(there), data.decode(back))
        else:
            pictures["translations"] = plot(data.decode(batch["b"]), data.decode(there))
    return pictures
