"""Makes figures of matplotlib without a window, and reads their pixels."""

from typing import Any

import numpy as np

from genlab.plots.pairplot import DPI


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """Returns a figure of this size in inches, and its canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def pixels(canvas: Any) -> np.ndarray:
    """Draws a canvas: (H, W, 3) uint8."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
