"""Draws samples according to the layout of the data: images and graphs in grids, points and series over real ones."""

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.spec import Layout, Spec
from genlab.models.base import Family, Measured, Sampler
from genlab.plots.drawer import Drawer
from genlab.plots.graphs import GraphDrawer
from genlab.plots.images import classes_in_turn, grid, known_classes, rows
from genlab.plots.points import POINTS, landscape, plot
from genlab.plots.series import ALL, PAIRS, SERIES, pairs, series

IN_A_FILE = 100  # maximum number of images in grid.png


class ImageDrawer(Drawer):
    """Draws grids of images (N, C, H, W) in [0, 1], with corresponding images below one another."""

    shown = 32
    blends = True

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """Draws a grid of n samples, with one class per column for a conditional family."""
        assert isinstance(family, Sampler)
        labels = classes_in_turn(family, n)
        columns = None if labels is None else min(n, len(known_classes(family)))
        return grid(data.decode(family.sample(n, labels)), columns)

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        return rows(real, again)

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        return rows(source, there, back)

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        if "cycles" in arrays:
            return rows(*(arrays[name][:IN_A_FILE] for name in ("originals", "samples", "cycles")), columns=10)
        return grid(arrays["samples"][:IN_A_FILE], columns)


class PointDrawer(Drawer):
    """Draws points (N, D) over real ones: scatter plots in the plane, pair plots for tables and other dimensions."""

    shown = POINTS
    blends = False

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """Draws samples over test points; a conditional family samples the classes of these points."""
        assert isinstance(family, Sampler)
        labels = data.labels("test", POINTS) if family.conditional else None
        real = None if isinstance(family, Measured) else data.real("test", POINTS)
        return plot(data.spec, real, data.decode(family.sample(POINTS, labels)), landscape(family))

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        return plot(spec, real, again)

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        return plot(spec, target, there)

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        return plot(spec, real(), arrays["samples"])


class SeriesDrawer(Drawer):
    """Draws series (N, C, T) over real ones, see `genlab.plots.series`."""

    shown = PAIRS
    blends = False

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """Draws samples over test series; a conditional family samples the classes of these series."""
        assert isinstance(family, Sampler)
        labels = data.labels("test", SERIES) if family.conditional else None
        return series(data.spec, data.real("test", SERIES), data.decode(family.sample(SERIES, labels)))

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        return pairs(spec, real, again)

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        return series(spec, target, there)

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        return series(spec, real(), arrays["samples"], most=ALL, tsne=True)


DRAWERS: dict[Layout, Drawer] = {
    "vector": PointDrawer(),
    "sequence": SeriesDrawer(),
    "image": ImageDrawer(),
    "graph": GraphDrawer(),
}
