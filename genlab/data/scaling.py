"""The scale of each column, from the training split, and the check that single precision can hold what is scaled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from genlab.data.fields import Field, numeric
from genlab.data.files import quoted, several
from genlab.data.tables import Table
from genlab.errors import UserError

MIDDLE = (0.05, 0.95)  # between these quantiles lies the bulk of a column
COARSE = 0.01  # of the width of the bulk: the largest error of a number in it
ROWS = 200_000  # that are looked at for it; they are in pseudo-random order


def scale(file: Path, names: Sequence[str], x: np.ndarray) -> tuple[Field, ...]:
    """Mean and deviation of each column of the training rows x (N, D).

    Raises:
        UserError: columns are constant: they have no density, and nothing to learn; or there is one row only.
    """
    if len(x) == 1:
        raise UserError(f"{file.name}: one row is left to train on, which has no deviation; at least two are needed")
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
    """(N, D) values -> (value - mean) / deviation in float32."""
    with np.errstate(over="ignore"):
        return ((x - [c.mean for c in columns]) / [c.deviation for c in columns]).astype(np.float32)


def check_precision(file: Path, table: Table, places: Tensor, training: int, columns: Sequence[Field]) -> None:
    """Check that the bulk of each column survives single precision, which one wild cell can spoil.

    The bulk is the middle 90 % of the training rows and, as most of them may be one number, of the different numbers
    among them without the farthest; its numbers must come back from float32 with an error of at most 1 % of its width.

    Args:
        places: (N,) the rows in the order of the splits, the first `training` of them for training.

    Raises:
        UserError: a column has its bulk blurred, or a cell is too far out for float32: the cell, by row and column.
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
        shown = x[: min(training, ROWS)]
        error = np.abs(single[: len(shown)].astype(np.float64) * column.deviation + column.mean - shown)
        far = np.abs(shown - np.median(shown))
        different = np.unique(shown, return_index=True)[1]
        different = different[far[different] < far.max()] if len(different) > 2 else different
        for bulk, errors in ((shown, error), (shown[different], error[different])):
            low, high = np.quantile(bulk, MIDDLE, method="nearest")
            if high > low and errors[(bulk >= low) & (bulk <= high)].max() > COARSE * (high - low):
                row = rows[np.argmax(np.abs(x[:training] - np.median(shown)))]
                raise UserError(
                    f"{file.name}: {table.where(row)}, column '{column.name}': {table.x[row, i]:g} is so far from the "
                    f"others, most of which are between {low:g} and {high:g}, that these cannot be told apart in "
                    f"single precision; correct or remove such rows, take logarithms, or leave the column out"
                )
