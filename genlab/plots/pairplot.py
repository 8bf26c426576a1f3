"""Draws points of any dimension: a histogram of each coordinate and a scatter plot of each pair."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from genlab.plots.canvas import new_figure, pixels

REAL, GENERATED = "0.35", "tab:orange"  # colours, the same in all pictures
POINTS = 1000  # maximum number of points in a scatter plot
COORDINATES = 6  # number of coordinates shown, from the first
SHOWN = 0.002, 0.998  # quantiles of the real values that bound the axes, so that outliers do not shrink the rest


def outside(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Returns a legend text if more than a tenth of the points (N, D) are outside the axes, else ""."""
    count = int((~((points >= low) & (points <= high)).all(1)).sum())
    return f" ({count:,} of {len(points):,} outside)" if count > 0.1 * len(points) else ""


def pairplot(real: Tensor | None, fake: Tensor, names: Sequence[str] = ()) -> np.ndarray:
    """Draws real points (N, D) in gray and generated ones (M, D) in colour as an (H, W, 3) uint8 picture.

    Args:
        names: names of the coordinates; empty: x0, x1, ...
    """
    shown = min(fake.shape[1], COORDINATES)
    clouds = [
        (cloud.flatten(1)[:, :shown].double().cpu().numpy(), colour, label)
        for cloud, colour, label in ((real, REAL, "real"), (fake, GENERATED, "generated"))
        if cloud is not None
    ]
    names = list(names) or [f"x{i}" for i in range(shown)]
    count = min(POINTS, *(len(points) for points, _, _ in clouds))  # as many of each, so that neither hides the other
    low, high = np.quantile(clouds[0][0], SHOWN, axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 1e-3 * np.maximum(abs(low), 1))
    low, high = low - margin, high + margin
    clouds = [(points, colour, label + outside(points, low, high)) for points, colour, label in clouds]
    side = max(1.4, 4 / shown)
    figure, canvas = new_figure(side * shown, side * shown + 0.3)
    grid = figure.subplots(shown, shown, squeeze=False, sharex="col")
    for i in range(shown):
        for j in range(shown):
            axes = grid[i, j]
            axes.set_xlim(low[j], high[j])
            axes.tick_params(labelsize=8)
            axes.xaxis.offsetText.set_fontsize(8)
            axes.yaxis.offsetText.set_fontsize(8)
            if i == j:
                axes.set_yticks([])
                bins = np.linspace(low[i], high[i], 40)
                for points, colour, label in clouds:
                    # Weights relative to all points, so that points outside the picture lower the bars.
                    weights = np.full(len(points), 1 / len(points))
                    axes.hist(points[:, i], bins, weights=weights, color=colour, alpha=0.5, label=label)
            else:
                axes.set_ylim(low[i], high[i])
                for points, colour, _ in clouds:
                    axes.plot(points[:count, j], points[:count, i], ".", color=colour, markersize=2, alpha=0.4)
            if i == shown - 1:
                axes.set_xlabel(names[j], fontsize=9)
            if j == 0:
                axes.set_ylabel(names[i], fontsize=9)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=9, frameon=False)
    return pixels(canvas)
