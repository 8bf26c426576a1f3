"""Points of any number of dimensions as a picture: histograms of each coordinate, scatter plots of each pair."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

POINTS = 1000  # drawn in a scatter plot
COORDINATES = 6  # the first so many are shown
SHOWN = 0.002, 0.998  # quantiles of the real values, between which the axes reach: a stray sample must not shrink all


def outside(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """What a legend says of points (N, D) of which many lie beyond the axes; "" where few do."""
    count = int((~((points >= low) & (points <= high)).all(1)).sum())
    return f" ({count:,} of {len(points):,} outside)" if count > 0.1 * len(points) else ""


def pairplot(real: Tensor | None, fake: Tensor, names: Sequence[str] = ()) -> np.ndarray:
    """Real points (N, D) in gray, generated ones (M, D) in colour, as an (H, W, 3) uint8 picture.

    Args:
        names: of the coordinates; x0, x1, ... where there are none.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = min(fake.shape[1], COORDINATES)
    clouds = [
        (cloud.flatten(1)[:, :shown].double().cpu().numpy(), colour, label)
        for cloud, colour, label in ((real, "0.45", "real"), (fake, "tab:orange", "generated"))
        if cloud is not None
    ]
    names = list(names) or [f"x{i}" for i in range(shown)]
    count = min(POINTS, *(len(points) for points, _, _ in clouds))  # as many of both, so that neither hides the other
    low, high = np.quantile(clouds[0][0], SHOWN, axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 1e-3 * np.maximum(abs(low), 1))
    low, high = low - margin, high + margin
    clouds = [(points, colour, label + outside(points, low, high)) for points, colour, label in clouds]
    side = 4 if shown == 1 else max(1.6, 5 / shown)
    figure = Figure(figsize=(side * shown, side * shown), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(shown, shown, squeeze=False, sharex="col")
    for i in range(shown):
        for j in range(shown):
            axes = grid[i, j]
            axes.set_xlim(low[j], high[j])
            axes.tick_params(labelsize=6)
            axes.xaxis.offsetText.set_fontsize(6)
            axes.yaxis.offsetText.set_fontsize(6)
            if i == j:
                axes.set_yticks([])
                bins = np.linspace(low[i], high[i], 40)
                for points, colour, label in clouds:
                    # Weights that divide by all points: what lies outside of the picture is missing in it.
                    weights = np.full(len(points), 1 / len(points))
                    axes.hist(points[:, i], bins, weights=weights, color=colour, alpha=0.5, label=label)
            else:
                axes.set_ylim(low[i], high[i])
                for points, colour, _ in clouds:
                    axes.plot(points[:count, j], points[:count, i], ".", color=colour, markersize=2, alpha=0.4)
            if i == shown - 1:
                axes.set_xlabel(names[j], fontsize=7)
            if j == 0:
                axes.set_ylabel(names[i], fontsize=7)
    grid[0, 0].legend(fontsize=6)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
