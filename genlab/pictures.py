"""Tensors -> pictures: grids of images, scatter plots of points. Pictures are (H, W, 3) uint8 arrays."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.models.base import Density, Family, Reconstructor, Sampler, Scorer, Translator

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


def scatter(real: Tensor, fake: Tensor, landscape: Callable[[Tensor], Tensor] | None = None) -> np.ndarray:
    """Real points (N, 2) in gray under generated ones (M, 2) in colour, over contours of `landscape` (B, 2) -> (B,)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot(aspect="equal")
    low, high = (real.amin(0) - 0.5).tolist(), (real.amax(0) + 0.5).tolist()
    if landscape is not None:
        sides = [torch.linspace(low[i], high[i], 60) for i in (0, 1)]
        points = torch.cartesian_prod(*sides).to(real)
        heights = landscape(points).float().cpu().view(60, 60).T.numpy()
        axes.contourf(sides[0].numpy(), sides[1].numpy(), heights, levels=16, cmap="Blues", alpha=0.6)
    for cloud, colour, label in ((real, "0.45", "real"), (fake, "tab:orange", "generated")):
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


@torch.no_grad()
def snapshot(family: Family, data: Dataset, n: int = 64) -> dict[str, np.ndarray]:
    """Pictures of what a family can do: `samples`, `reconstructions`, `translations`. Draws from the global generator.

    Images: a grid of n samples; rows of real images over their reconstructions, or over their translation and the way
    back. Points: scatter plots over test data, of the other domain for translations.
    """
    pictures = {}
    image = data.spec.is_image
    if isinstance(family, Sampler) and (image or data.spec.shape == (2,)):
        fake = data.decode(family.sample(n if image else POINTS))
        if image:
            pictures["samples"] = grid(fake)
        else:
            pictures["samples"] = scatter(data.real("test", POINTS), fake, landscape(family))
    if isinstance(family, Reconstructor) and (image or data.spec.shape == (2,)):
        x = data.head("test", 32 if image else POINTS)["x"]
        again = data.decode(family.reconstruct(x))
        if image:
            pictures["reconstructions"] = rows(data.decode(x), again)
        else:
            pictures["reconstructions"] = scatter(data.decode(x), again)
    if isinstance(family, Translator) and (image or data.spec.shape == (2,)):
        batch = data.head("test", 32 if image else POINTS)
        there = family.translate(batch["a"], "b")
        if image:
            back = family.translate(there, "a")
            pictures["translations"] = rows(data.decode(batch["a"]), data.decode(there), data.decode(back))
        else:
            pictures["translations"] = scatter(data.decode(batch["b"]), data.decode(there))
    return pictures
