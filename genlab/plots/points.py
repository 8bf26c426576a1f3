"""Draws points in the plane, or of more dimensions as pair plots. Pictures are (H, W, 3) uint8 arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.spec import Spec
from genlab.models.base import Density, Family, Scorer
from genlab.plots.pairplot import outside, pairplot

POINTS = 2000  # drawn in a scatter plot


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
    if isinstance(family, Density) and family.spec.only("real"):
        return family.log_prob
    return family.score if isinstance(family, Scorer) else None


def plot(
    spec: Spec, real: Tensor | None, fake: Tensor, heights: Callable[[Tensor], Tensor] | None = None
) -> np.ndarray:
    """Points in data units, generated (M, D) over real ones (N, D): in the plane a scatter plot, else a pair plot."""
    if fake.shape[1] == 2 and not spec.columns:
        return scatter(real, fake, heights)
    return pairplot(real, fake, [each.name for each in spec.columns for _ in range(each.size)])
