"""Code that the table readers share: the table, the choice of its columns, checks of its numbers."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.data.files import note, pasted, quoted, several
from genlab.errors import UserError, choose, did_you_mean

LARGEST = 2**30  # numbers in one table: 8 GiB
EXACT = 2**53  # from here on, not every integer fits into a double
INDEX = re.compile(r"__index_level_[0-9]+__|Unnamed: 0(\.[0-9]+)*")  # pandas' names for a column of row numbers
PICK = "choose columns with data.columns=[...], and a column of classes with data.label=..."


class Table(NamedTuple):
    """Numbers with column names, and the labels if a column of them was requested."""

    names: tuple[str, ...]  # names of the columns; () for images
    x: np.ndarray  # (N, D) float64, all finite, or images (N, C, H, W) uint8
    labels: list[str] | None = None  # (N,)
    lines: np.ndarray | None = None  # (N,) the line of each row in a text file

    def where(self, row: int) -> str:
        """Returns where row `row`, counted from 0, is in the file: `line 7`, or `row 7` if the file has no lines."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"


def select(
    file: Path,
    names: Sequence[str],
    columns: Sequence[str] | None,
    label: str | None,
    version: int = 2,
    index: Collection[str] = (),
) -> list[str]:
    """Returns the names of the columns to learn: `columns`, else all but `label` and, from version 2 on, an index.

    Args:
        index: columns that the file declares as an index; pandas' own names for one are recognised anyway.

    Raises:
        UserError: a name is repeated or empty, or a requested column does not exist.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1 and name}):
        raise UserError(f"{file.name}: two columns are called {quoted(repeated)}")
    if label is not None:
        choose("data.label", label, names)
    if columns is not None:
        _check_choice(file, names, list(columns), label)
        return list(columns)
    named = [name for name in names if name and name != label]
    first_only = version > 1 and names[0] == "" and "" not in names[1:]  # where pandas writes its index
    if "" in names and not first_only:
        paste = ",".join(map(pasted, named[:3])) + (",..." if named[3:] else "")
        raise UserError(
            f"{file.name}: column {list(names).index('') + 1} has no name in the header; if it is empty or only "
            f'numbers the rows, name the columns to learn: "data.columns=[{paste}]"'
        )
    chosen = [name for name in names if name != label]
    if version > 1 and (left_out := [n for n in chosen if not n or n in index or INDEX.fullmatch(n)]):
        note(
            f"{file.name}: left out: {quoted(left_out)}, an index of the rows; "
            f"to keep such columns, name them in data.columns=[...]"
        )
        chosen = [name for name in chosen if name not in left_out]
    if not chosen:
        raise UserError(f"{file.name}: no column is left to learn; its columns are {quoted(names)}")
    return chosen


def _check_choice(file: Path, names: Sequence[str], columns: list[str], label: str | None) -> None:
    if not columns or label in columns or len(set(columns)) < len(columns):
        raise UserError(f"data.columns must name one column or more, each once, without the label; got {columns}")
    if absent := [name for name in columns if name not in names]:
        near = did_you_mean(absent[0], names)
        raise UserError(
            f"data.columns: {file.name} has no column {quoted(absent)}; its columns are {several(names, 20)}{near}"
        )


def finite(file: Path, names: Sequence[str], x: np.ndarray) -> None:
    """Checks that all numbers (N, D) are finite.

    Raises:
        UserError: some are not; the message names the first of each column by row, counted from 1.
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
    problem = "the number is missing (null or NaN)" if np.isnan(value) else f"{value} is not a finite number"
    return problem + f" (and {count - 1:,} more)" * (count > 1)


def check_digits(file: Path, name: str, exact: np.ndarray, x: np.ndarray) -> None:
    """Checks that the integers of a column (N,) are unchanged as doubles.

    Args:
        exact: the integers, of an integer type or Python's own.
        x: the same as float64, all finite.

    Raises:
        UserError: an integer has more digits than a double holds; the message names its row.
    """
    large = np.flatnonzero(np.abs(x) >= EXACT)
    with np.errstate(invalid="ignore"):  # 2^63 does not fit into int64, so its cast differs from every exact value
        wrong = large[exact[large] != x[large].astype(exact.dtype)]
    if wrong.size:
        raise UserError(
            f"{file.name}: row {wrong[0] + 1}, column '{name}': {exact[wrong[0]]} has more digits than a double holds, "
            f"so it looks like an identifier; leave the column out"
        )
