"""Series in files: arrays of series made elsewhere, (N, T, C)."""

from pathlib import Path
from typing import TYPE_CHECKING

from genlab.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from genlab.data.base import Dataset


def units(array: "np.ndarray", data: "Dataset", path: Path) -> "Tensor":
    """Returns an array of series as samples in data units: (N, *shape) float64.

    Args:
        array: (N, T, C) with one number for each channel: of words their place among the labels, NaN where a cell is
            missing. (N, C, T) is read too if T and C differ, and (N, T) for a single channel.

    Raises:
        UserError: the array has another shape, holds no numbers, or a value that is not finite.
    """
    import numpy as np
    import torch

    from genlab.data.spec import by_step
    from genlab.metrics.series.channels import labels

    if array.dtype.kind not in "fiu":
        raise UserError(f"samples: {path} holds {array.dtype}, not numbers")
    schema = data.spec.steps
    learnt = [column for column in schema.columns if column.width] if schema else []
    width, steps = data.spec.shape
    channels = len(learnt) or width
    given, found = array.shape, None
    if array.ndim == 2 and channels == 1:
        array = array[:, None]
    if array.ndim == 3 and len(array) >= 2:
        if array.shape[1:] in ((steps, channels), (steps, width)):
            found = array.transpose(0, 2, 1)
        elif array.shape[1:] in ((channels, steps), (width, steps)):
            found = array
    if found is None:
        wanted = f"(N, {steps}, {channels})"
        raise UserError(f"samples: {path} holds {given}, but {data.name} needs at least 2 series: {wanted}")
    packed = schema is not None and (found.shape[1] != width or width == channels)
    may_miss = [packed and column.missing is not None and not labels(column) for column in learnt]
    known = np.isfinite(found)
    if any(may_miss):
        known |= np.isnan(found) & np.array(may_miss)[:, None]
    if (bad := ~known.all(axis=(1, 2))).any():
        raise UserError(f"samples: {path} has a value that is not finite in sample {int(bad.argmax())}")
    x = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float64))
    if packed:
        for column, cells in zip(learnt, x.unbind(1), strict=True):
            words = len(labels(column))
            if words and not ((cells == cells.round()) & (cells >= 0) & (cells < words)).all():
                raise UserError(f"samples: {path}: words of '{column.name}' are given by their places 0 to {words - 1}")

        def of_rows(rows: torch.Tensor) -> torch.Tensor:
            parts = [column.units(values.numpy()) for column, values in zip(learnt, rows.unbind(1), strict=True)]
            return torch.cat(parts, dim=1)

        x = by_step(of_rows, x)
    return x
