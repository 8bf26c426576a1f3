"""What a drawer of samples of one layout does; `genlab.plots.drawers` has them all."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from torch import Tensor

from genlab.data.base import Dataset
from genlab.data.spec import Spec
from genlab.models.base import Family


class Drawer:
    """Draws samples of one layout, in data units."""

    shown: ClassVar[int]  # samples in a picture that pairs them with their reconstructions or translations
    blends: ClassVar[bool]  # whether an interpolation between two samples can be shown

    def samples(self, family: Family, data: Dataset, n: int) -> np.ndarray:
        """Draws samples during training; `n` is how many, if the layout leaves a choice."""
        raise NotImplementedError

    def again(self, spec: Spec, real: Tensor, again: Tensor) -> np.ndarray:
        """Draws samples and their reconstructions."""
        raise NotImplementedError

    def moved(self, spec: Spec, source: Tensor, there: Tensor, back: Tensor, target: Tensor) -> np.ndarray:
        """Draws samples, their translations, the translations back, and samples of the target domain."""
        raise NotImplementedError

    def sheet(
        self, spec: Spec, arrays: Mapping[str, Tensor], columns: int | None, real: Callable[[], Tensor | None]
    ) -> np.ndarray:
        """Draws the output of `genlab sample`.

        Args:
            arrays: `samples`; for translations also `originals` and `cycles`.
            columns: columns of a grid; None: as square as possible.
            real: returns real samples to draw over, or None if they cannot be read.
        """
        raise NotImplementedError
