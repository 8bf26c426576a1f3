"""Computes the scale of each column from the training split, and checks that single precision can hold the result."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from genlab.data.fields import Field, numeric
from genlab.data.files import quoted, several
from genlab.data.tables import Table
from genlab.errors import UserError

MIDDLE = (0.05, 0.95)  # the bulk of a column is between these quantiles
COARSE = 0.01  # largest error of a number in the bulk, as a share of its width
ROWS = 200_000  # how many rows are examined for this; they are in pseudo-random order


def scale(file: Path, names: Sequence[str], x: np.ndarray) -> tuple[Field, ...]:
    """Computes the mean and deviation of each column of the training rows x (N, D).

    Raises:
        UserError: there is only one row, or a column is constant, so it has no density and nothing to learn.
    """
    if len(x) == 1:
        raise UserError(f"{file.name}: only one row is left to train on; a deviation needs at least two")
    with np.errstate(over="ignore", invalid="ignore"):
        means, deviations = x.mean(0), x.std(0)
    same = (x == x[0]).all(0)
    if same.any():
        wrong = [f"column '{names[i]}' is {x[0, i]:g}" for i in np.flatnonzero(same).tolist()]
        raise UserError(
            f"{file.name}: constant in all {len(x):,} rows of the training split: {several(wrong, what='column')}; "
            f"a constant cannot be learned, leave it out"
        )
    bad = ~(np.isfinite(deviations) & (deviations > 0))
    if bad.any():
        wrong = [names[i] for i in np.flatnonzero(bad).tolist()]
        raise UserError(f"{file.name}: numbers too large or too alike to standardise in column {quoted(wrong)}")
    return tuple(numeric(n, float(m), float(s)) for n, m, s in zip(names, means, deviations, strict=True))


def standardise(x: np.ndarray, columns: Sequence[Field]) -> np.ndarray:
    """Returns (value - mean) / deviation of values (N, D), in float32."""
    with np.errstate(over="ignore"):
        return ((x - [c.mean for c in columns]) / [c.deviation for c in columns]).astype(np.float32)


def check_precision(file: Path, table: Table, places: Tensor, training: int, columns: Sequence[Field]) -> None:
    """Checks that the bulk of each column survives single precision, which a single outlier can spoil.

    The bulk is the middle 90 % of the training rows. As most of them may be equal, the middle 90 % of the distinct
    numbers, without the farthest one, is checked too. Every number in the bulk must come back from float32 with an
    error of at most 1 % of the width of the bulk.

    Args:
        places: (N,) row numbers in the order of the splits, the first `training` of them for training.

    Raises:
        UserError: float32 blurs the bulk of a column, or cannot hold a cell; the message names the cell.
    """
    rows = places.numpy()
    for i, column in enumerate(columns):
        x = table.x[rows, i]
        single = standardise(x[:, None], [column])[:, 0]
        if not np.isfinite(single).all():
            row = rows[np.argmin(np.isfinite(single))]
            raise UserError(
                f"{file.name}: {table.where(row)}, column '{column.name}': {table.x[row, i]:g} is too far from all "
                f"training rows for single precision; correct or remove it"
            )
        examined = x[: min(training, ROWS)]
        error = np.abs(single[: len(examined)].astype(np.float64) * column.deviation + column.mean - examined)
        far = np.abs(examined - np.median(examined))
        distinct = np.unique(examined, return_index=True)[1]
        distinct = distinct[far[distinct] < far.max()] if len(distinct) > 2 else distinct
        for bulk, errors in ((examined, error), (examined[distinct], error[distinct])):
            low, high = np.quantile(bulk, MIDDLE, method="nearest")
            if high > low and errors[(bulk >= low) & (bulk <= high)].max() > COARSE * (high - low):
                row = rows[np.argmax(np.abs(x[:training] - np.median(examined)))]
                raise UserError(
                    f"{file.name}: {table.where(row)}, column '{column.name}': {table.x[row, i]:g} is so far from the "
                    f"others, most of which are between {low:g} and {high:g}, that these cannot be told apart in "
                    f"single precision; correct or remove such rows, take logarithms, or leave the column out"
                )
