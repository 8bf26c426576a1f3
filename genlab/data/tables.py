"""What readers of tables share: the table, the choice of its columns, the check that all numbers are finite."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.data.files import note, quoted, several
from genlab.errors import UserError, choose, did_you_mean

LARGEST = 2**30  # numbers of one table: 8 GiB
EXACT = 2**53  # integers from here on do not all fit into a double
INDEX = re.compile(r"__index_level_[0-9]+__|Unnamed: 0(\.[0-9]+)*")  # what pandas calls a column of row numbers
PICK = "data.columns=[...] picks columns, data.label=... takes one as classes"


class Table(NamedTuple):
    """Numbers with names, and a column of labels where one was asked for."""

    names: tuple[str, ...]  # of the columns; () for images
    x: np.ndarray  # (N, D) float64, all finite, or images (N, C, H, W) uint8
    labels: list[str] | None = None  # (N,)
    lines: np.ndarray | None = None  # (N,) the lines of a text file

    def where(self, row: int) -> str:
        """Where row number `row`, from 0, is in the file: `line 7`, or `row 7` where there are no lines."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"


def select(
    file: Path,
    names: Sequence[str],
    columns: Sequence[str] | None,
    label: str | None,
    version: int = 2,
    index: Collection[str] = (),
) -> list[str]:
    """The names of the columns that are numbers: `columns`, else all but `label` and, from version 2 on, an index.

    Args:
        index: columns that the file itself says are an index; those with pandas' names for one are known anyway.

    Raises:
        UserError: a name comes twice or is empty, or some that are asked for are not there.
    """
    if twice := sorted({name for name in names if names.count(name) > 1 and name}):
        raise UserError(f"{file.name}: two columns are called {quoted(twice)}")
    if label is not None:
        choose("data.label", label, names)
    if columns is not None:
        _check_choice(file, names, list(columns), label)
        return list(columns)
    named = [name for name in names if name]
    if len(named) < len(names):
        raise UserError(
            f"{file.name}: column {list(names).index('') + 1} has no name in the header; if it only numbers the rows, "
            f"or is empty, name the columns to learn: data.columns=[{','.join(named[:3])}{',...' if named[3:] else ''}]"
        )
    chosen = [name for name in names if name != label]
    if version > 1 and (left_out := [name for name in chosen if name in index or INDEX.fullmatch(name)]):
        note(
            f"{file.name}: left out: {quoted(left_out)}, which number or name the rows; "
            f"data.columns=[...] can pick them"
        )
        chosen = [name for name in chosen if name not in left_out]
    if not chosen:
        raise UserError(f"{file.name}: no column to learn is left beside {quoted(names)}")
    return chosen


def _check_choice(file: Path, names: Sequence[str], columns: list[str], label: str | None) -> None:
    if not columns or label in columns or len(set(columns)) < len(columns):
        raise UserError(f"data.columns: {columns} is empty, has a name twice, or has the label in it")
    if absent := [name for name in columns if name not in names]:
        near = did_you_mean(absent[0], names)
        raise UserError(
            f"data.columns: {file.name} has no column {quoted(absent)}; its columns are {several(names, 20)}{near}"
        )


def finite(file: Path, names: Sequence[str], x: np.ndarray) -> None:
    """Check that all numbers (N, D) are finite.

    Raises:
        UserError: some are not: for each column the first, by row, counted from 1.
    """
    good = np.isfinite(x)
    if not good.all():
        columns = np.flatnonzero(~good.all(0)).tolist()
        rows = [int(np.argmin(good[:, i])) for i in columns]
        wrong = [
            f"row {row + 1}, column '{names[i]}': {_what(x[row, i], int((~good[:, i]).sum()))}"
            for i, row in zip(columns, rows, strict=True)
        ]
        raise UserError(f"{file.name}: {several(wrong, separator='; ', what='column')}")


def _what(value: float, count: int) -> str:
    what = "the number is missing (null or NaN)" if np.isnan(value) else f"{value} is not a finite number"
    return what + f" (and {count - 1:,} more)" * (count > 1)


def check_digits(file: Path, name: str, exact: np.ndarray, x: np.ndarray) -> None:
    """Check that the integers of a column (N,) are the same as doubles.

    Args:
        exact: the integers, of an integer type or Python's.
        x: the same as float64, all finite.

    Raises:
        UserError: one is not, by row: it has more digits than a double holds.
    """
    large = np.flatnonzero(np.abs(x) >= EXACT)
    with np.errstate(invalid="ignore"):  # 2^63 does not fit into int64, and differs from all that do
        wrong = large[exact[large] != x[large].astype(exact.dtype)]
    if wrong.size:
        raise UserError(
            f"{file.name}: row {wrong[0] + 1}, column '{name}': {exact[wrong[0]]} has more digits than a double holds, "
            f"as identifiers do; leave the column out"
        )
