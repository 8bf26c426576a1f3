"""Makes figures of matplotlib without a window, and reads their pixels."""

from typing import Any

import numpy as np

DPI = 150  # of all pictures of data: their text can still be read at half size


def new_figure(width: float, height: float, dpi: int = DPI) -> tuple[Any, Any]:
    """Returns a figure of this size in inches, and its canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def pixels(canvas: Any) -> np.ndarray:
    """Draws a canvas: (H, W, 3) uint8."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
