"""Draws points in the plane, and other points as pair plots. Pictures are (H, W, 3) uint8 arrays."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genlab.data.spec import Spec
from genlab.models.base import Density, Family, Scorer
from genlab.plots.canvas import new_figure, pixels
from genlab.plots.pairplot import GENERATED, REAL, outside, pairplot
from genlab.plots.tables import table

POINTS = 2000  # maximum number of points in a scatter plot


def scatter(real: Tensor | None, fake: Tensor, landscape: Callable[[Tensor], Tensor] | None = None) -> np.ndarray:
    """Draws generated points (M, 2) over real ones (N, 2) in gray, on contours of `landscape` (B, 2) -> (B,)."""
    shown = fake if real is None else real
    low, high = (shown.amin(0) - 0.5).tolist(), (shown.amax(0) + 0.5).tolist()
    ratio = min(max((high[1] - low[1]) / (high[0] - low[0]), 0.4), 1.6)
    figure, canvas = new_figure(4, 3.5 * ratio + 0.6)
    axes = figure.add_subplot(aspect="equal")
    if landscape is not None:
        sides = [torch.linspace(low[i], high[i], 60) for i in (0, 1)]
        points = torch.cartesian_prod(*sides).to(shown)
        heights = landscape(points).float().cpu().view(60, 60).T.numpy()
        axes.contourf(sides[0].numpy(), sides[1].numpy(), heights, levels=16, cmap="Blues", alpha=0.45)
    for cloud, colour, label in ((real, REAL, "real"), (fake, GENERATED, "generated")):
        if cloud is None:
            continue
        points = cloud[:POINTS].float().cpu().numpy()
        text = label + outside(points, np.array(low), np.array(high))
        axes.plot(points[:, 0], points[:, 1], ".", color=colour, markersize=2.5, alpha=0.5, label=text)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    legend = figure.legend(loc="outside upper left", ncols=2, frameon=False, markerscale=4, handletextpad=0.1)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
    return pixels(canvas)


def landscape(family: Family) -> Callable[[Tensor], Tensor] | None:
    """Returns the function whose contours to draw: the family's log-density, else its critic's score, else None."""
    if isinstance(family, Density) and family.spec.only("real"):
        return family.log_prob
    return family.score if isinstance(family, Scorer) else None


def plot(
    spec: Spec, real: Tensor | None, fake: Tensor, heights: Callable[[Tensor], Tensor] | None = None
) -> np.ndarray:
    """Draws generated points (M, D) over real ones (N, D) in data units: a scatter plot if D is 2, else a pair plot."""
    if spec.table:
        return table(spec.table, real, fake)
    if fake.shape[1] == 2 and not spec.columns:
        return scatter(real, fake, heights)
    return pairplot(real, fake, [field.name for field in spec.columns for _ in range(field.size)])
