"""How samples are shown, by the layout of the data: images in grids, points over real ones."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.spec import Layout, Spec
from genlab.models.base import Family, Measured, Sampler
from genlab.plots.images import classes_in_turn, grid, known_classes, rows
from genlab.plots.points import POINTS, landscape, plot

IN_A_FILE = 100  # images in grid.png


class Drawer:
    """Draws samples of one layout, in data units."""

    shown: ClassVar[int]  # samples in a picture beside what belongs to them
    blends: ClassVar[bool]  # whether what lies between two samples can be seen

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """What a sampler draws while it trains, n where that is a matter of choice."""
        raise NotImplementedError

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        """Samples and their reconstructions."""
        raise NotImplementedError

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        """Samples, their translations, what comes back, and the domain that they were to be carried to."""
        raise NotImplementedError

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        """What `genlab sample` drew.

        Args:
            arrays: `samples`; of translations `originals` and `cycles` as well.
            columns: of a grid; None: as square as can be.
            real: real samples to draw over, where they can be read.
        """
        raise NotImplementedError


class ImageDrawer(Drawer):
    """Grids of images (N, C, H, W) in [0, 1]; what belongs together one under the other."""

    shown = 32
    blends = True

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """A grid of n samples, of a conditional family a class a column."""
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
    """Scatter plots in the plane, pair plots of tables and of more dimensions: points (N, D) over real ones."""

    shown = POINTS
    blends = False

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """As many samples as test points, over these, of a conditional family of the same classes."""
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


DRAWERS: dict[Layout, Drawer] = {"vector": PointDrawer(), "image": ImageDrawer()}
