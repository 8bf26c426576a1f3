"""Tensors -> pictures: grids of images, scatter plots of points. Pictures are (H, W, 3) uint8 arrays."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.base import Dataset
from genlab.metrics.attempts import Reasons, attempt
from genlab.models.base import Codec, Density, Family, Measured, Reconstructor, Sampler, Scorer, Translator, round_trip
from genlab.pairplot import outside, pairplot

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
        text = label + outside(points, np.array(low), np.array(high))
        axes.plot(points[:, 0], points[:, 1], ".", color=colour, markersize=3, alpha=0.5, label=text)
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


def plot(
    data: Dataset, real: Tensor | None, fake: Tensor, heights: Callable[[Tensor], Tensor] | None = None
) -> np.ndarray:
    """Points in data units, generated (M, D) over real ones (N, D): in the plane a scatter plot, else a pair plot."""
    if math.prod(data.spec.shape) == 2 and not data.spec.columns:
        return scatter(real, fake, heights)
    return pairplot(real, fake, [column.name for column in data.spec.columns])


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
