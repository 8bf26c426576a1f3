"""Reading tables: .csv and .parquet -> column names and numbers, errors by line and column.

CSV goes through Python's csv module: unlike numpy's and pandas' readers it says on which line a cell stands, and pandas
would be one dependency more. Parquet needs pyarrow, an extra.
"""

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genlab.errors import UserError, brief, choose

LARGEST = 2**30  # numbers of one table: 8 GiB
DELIMITERS = ",;\t"


class Table(NamedTuple):
    """Numbers with names, and a column of labels where one was asked for."""

    names: tuple[str, ...]
    x: np.ndarray  # (N, D) float64, all finite
    labels: list[str] | None = None  # (N,)


def select(file: Path, names: Sequence[str], columns: Sequence[str] | None, label: str | None) -> list[str]:
    """The names of the columns that are numbers: `columns`, else all but `label`.

    Raises:
        UserError: a name comes twice or is empty, or one that is asked for is not there.
    """
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"{file.name}: two columns are called '{name}'")
        if not name and columns is None:
            raise UserError(f"{file.name}: column {i + 1} has no name; is it an index? data.columns=[...] picks others")
    for key, word in [("data.label", label)] * (label is not None) + [("data.columns", each) for each in columns or ()]:
        choose(key, str(word), names)
    if columns is not None and (not columns or label in columns or len(set(columns)) < len(columns)):
        raise UserError(f"data.columns: {list(columns)} is empty, names one twice, or names the label")
    chosen = list(columns) if columns is not None else [name for name in names if name != label]
    if not chosen:
        raise UserError(f"{file.name}: no column is left beside the label '{label}'")
    return chosen


def read_csv(file: Path, columns: Sequence[str] | None = None, label: str | None = None, header: bool = True) -> Table:
    """Read a .csv file, separated by commas, semicolons or tabs, whichever its first line has most of.

    Args:
        columns: the names of those to read as numbers; None: all but the label.
        label: the name of the column of classes.
        header: whether the first line has the names; else they are column1, column2, ...

    Raises:
        UserError: no such column, a cell that is no finite number, rows of different lengths; by line and column.
    """
    lines = _lines(file)
    _, first = next(lines, (0, []))
    if not first:
        raise UserError(f"{file.name} is empty")
    if not header:
        names = [f"column{i + 1}" for i in range(len(first))]
        lines = _lines(file)
    elif all(_number(cell) is not None for cell in first):
        raise UserError(
            f"{file.name}: line 1 is all numbers, where names of columns belong; data.header=false if there are none"
        )
    else:
        names = [cell.strip() for cell in first]
    chosen = select(file, names, columns, label)
    places = [names.index(name) for name in chosen]
    numbers, labels = array("d"), []
    for line, row in lines:
        if len(row) != len(names):
            raise UserError(f"{file.name}: line {line} has {len(row)} cells, where there are {len(names)} columns")
        values = [_number(row[i]) for i in places]
        if None in values:
            bad = values.index(None)
            raise UserError(f"{file.name}: line {line}, column '{chosen[bad]}': {_wrong(row[places[bad]])}")
        numbers.extend(values)  # type: ignore[arg-type]
        if label is not None:
            labels.append(row[names.index(label)].strip())
        if len(numbers) > LARGEST:
            raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
    x = np.frombuffer(numbers, np.float64).reshape(-1, len(chosen)) if numbers else np.empty((0, len(chosen)))
    return Table(tuple(chosen), x, labels if label is not None else None)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line they end on, from 1; blank lines are skipped."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(1_000_000)
            stream.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise UserError(f"{file.name}: line {reader.line_num}: {brief(error)}") from error
    except OSError as error:
        raise UserError(f"data.path: cannot read {file}: {error.strerror}") from error


def _number(cell: str) -> float | None:
    """The finite number in a cell, None if it holds anything else."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _wrong(cell: str) -> str:
    shown = cell.strip() if len(cell) <= 30 else cell.strip()[:30] + "..."
    if not shown:
        return "the cell is empty"
    if shown.lower() in ("nan", "na", "n/a", "null", "none", "inf", "-inf", "infinity", "-infinity"):
        return f"'{shown}' is no finite number"
    return f"'{shown}' is no number"


def read_parquet(file: Path, columns: Sequence[str] | None = None, label: str | None = None) -> Table:
    """Read a .parquet file; see `read_csv`.

    Raises:
        UserError: pyarrow is not installed, the file is damaged, or a column is not of finite numbers.
    """
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError:
        raise UserError(f"{file.name}: .parquet files are read by pyarrow: pip install 'genlab[tables]'") from None
    try:
        source = parquet.ParquetFile(file)
        names = source.schema_arrow.names
        chosen = select(file, names, columns, label)
        if source.metadata.num_rows * len(chosen) > LARGEST:
            raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
        table = source.read([*chosen, *([label] if label is not None else [])])
    except (ArrowException, OSError) as error:
        raise UserError(f"{file.name} cannot be read as parquet: {brief(error)}") from error
    x = np.empty((table.num_rows, len(chosen)))
    for i, name in enumerate(chosen):
        kind = table.schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
            raise UserError(
                f"{file.name}: column '{name}' is of {kind}, not of numbers; data.columns=[...] picks others"
            )
        x[:, i] = table.column(name).cast("float64").to_numpy()  # nulls become NaN
    finite(file, chosen, x)
    labels = [str(each) for each in table.column(label).to_pylist()] if label is not None else None
    return Table(tuple(chosen), x, labels)


def finite(file: Path, names: Sequence[str], x: np.ndarray) -> None:
    """Check that all numbers (N, D) are finite.

    Raises:
        UserError: the first that is not, by row, counted from 1, and column.
    """
    good = np.isfinite(x)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise UserError(f"{file.name}: row {row + 1}, column '{names[column]}': {x[row, column]} is no finite number")
