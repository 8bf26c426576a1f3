"""Reads .csv files and reports errors by line and column.

Uses Python's csv module: unlike the readers of numpy and pandas it tells the line of each cell, and pandas would be
one more dependency.
"""

import csv
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from genlab.data.files import note, several
from genlab.data.labels import CODE, complete, name_of
from genlab.data.tables import EXACT, LARGEST, PICK, Table, select
from genlab.errors import UserError, brief

DELIMITERS = ",;\t"
QUOTED = re.compile(r'(?<![^,;\t\r\n])"(?:[^"]|"")*"(?![^,;\t\r\n])')  # a quoted cell, from end to end
NOT_FINITE = ("nan", "na", "n/a", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity")
FLAGS = ("true", "false", "yes", "no", "t", "f", "y", "n")


class Bad(NamedTuple):
    """The cells of one column that are not numbers."""

    line: int  # line of the first one
    cell: str  # text of the first one
    count: int = 1


def read_csv(
    file: Path, columns: Sequence[str] | None = None, label: str | None = None, header: bool = True, version: int = 2
) -> Table:
    """Reads a .csv file, separated by commas, semicolons or tabs, whichever is most frequent in its first line.

    Args:
        columns: names of the columns to read as numbers; None: all but the label.
        label: the name of the column of classes.
        header: whether the first line has the column names; without it they are column1, column2, ...
        version: 1 reads everything that Python's float accepts as a number, and any text as a label.

    Raises:
        UserError: a column does not exist, a cell is not a finite number, a label is missing, or rows differ in
            length; the message names the line and column.
    """
    rows = _rows(file)
    _, first = next(rows, (0, []))
    if not first:
        raise UserError(f"{file.name} is empty")
    if not header:
        names = [f"column{i + 1}" for i in range(len(first))]
        rows = _rows(file)
    else:
        names = [cell.strip() for cell in first]
        _check_header(file, names)
    chosen = select(file, names, columns, label, version)
    places = [names.index(name) for name in chosen]
    read = number if version > 1 else first_number
    numbers, lines, bad = array("d"), array("q"), dict[int, Bad]()
    labels: list[str | None] = []
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(f"{file.name}: line {line} has {len(row)} cells, but there are {len(names)} columns")
        values = [read(row[i]) for i in places]
        for k in [k for k, value in enumerate(values) if value is None]:
            values[k] = 0.0  # the file is rejected later, once the bad cells of all columns are known
            bad[k] = bad[k]._replace(count=bad[k].count + 1) if k in bad else Bad(line, row[places[k]])
        numbers.extend(values)  # type: ignore[arg-type]
        lines.append(line)
        if label is not None:
            cell = row[names.index(label)].strip()
            labels.append(name_of(cell) if version > 1 else cell)
        if len(numbers) > LARGEST:
            raise UserError(f"{file.name}: more than {LARGEST:,} numbers, too many to hold in memory")
    if bad:
        _refuse(file, {chosen[k]: bad[k] for k in sorted(bad)})
    x = np.frombuffer(numbers, np.float64).reshape(-1, len(chosen)) if numbers else np.empty((0, len(chosen)))
    table = Table(tuple(chosen), x, None, np.frombuffer(lines, np.int64) if lines else None)
    return table if label is None else table._replace(labels=complete(file, labels, label, table.where))


def number(cell: str) -> float | None:
    """Returns the finite decimal number in a cell, or None if it holds anything else.

    Python's float accepts more: 1_0, digits of other scripts, and 01234, which is a code. Integers with more digits
    than a double holds are treated as identifiers, not numbers.
    """
    value, text = first_number(cell), cell.strip()
    if value is None or "_" in text or not text.isascii():
        return None
    digits = text.lstrip("+-")
    if digits[0] == "0" and digits[1:2].isdigit():
        return None
    return None if abs(value) >= EXACT and digits.isdigit() and int(digits) != abs(value) else value


def first_number(cell: str) -> float | None:
    """Returns any finite number that Python's float accepts, else None: the rules of version 1."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check_header(file: Path, names: list[str]) -> None:
    """Rejects a first line of only numbers; notes one with some numbers, which may be data."""
    numbers = [name for name in names if first_number(name) is not None]
    if len(numbers) == len(names):
        raise UserError(f"{file.name}: line 1 is all numbers, not column names; if it is data, set data.header=false")
    if any(not name.isdigit() for name in numbers):
        note(
            f"{file.name}: line 1 is read as column names, including '{numbers[0]}'; if it is data, "
            f"set data.header=false"
        )


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with the line on which it ends, counted from 1; skips blank lines."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            delimiter = guess_delimiter(stream.read(1_000_000))
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file.name} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise UserError(f"{file.name}: line {reader.line_num}: {brief(error)}") from error
    except OSError as error:
        raise UserError(f"data.path: cannot read {file}: {error.strerror}") from error


def guess_delimiter(text: str) -> str:
    """Returns the most frequent delimiter of the first line, outside quoted cells; the second line decides ties."""
    lines = [line for line in QUOTED.sub("", text).splitlines() if line][:2]
    first, second = [*lines, "", ""][:2]
    return max(DELIMITERS, key=lambda mark: (first.count(mark), first.count(mark) == second.count(mark) > 0))


def _refuse(file: Path, bad: dict[str, Bad]) -> NoReturn:
    """Rejects a file because of bad cells, given by column name.

    Raises:
        UserError: always.
    """
    wrong = [
        f"line {entry.line}, column '{name}': {_wrong(entry.cell)}"
        f"{f' (and {entry.count - 1:,} more)' * (entry.count > 1)}"
        for name, entry in bad.items()
    ]
    all_missing = all(entry.cell.strip().lower() in ("", *NOT_FINITE) for entry in bad.values())
    advice = f"remove such rows, or fill them in; {PICK}" if all_missing else PICK
    raise UserError(f"{file.name}: {several(wrong, 3, '; ', 'column')}; {advice}")


def _wrong(cell: str) -> str:
    """Explains to the user why a cell is not a number."""
    text = cell.strip()
    shown = text if len(text) <= 30 else text[:30] + "..."
    if not text:
        return "the cell is empty"
    if text.lower() in NOT_FINITE:
        return f"'{shown}' is not a finite number"
    if CODE.match(text):
        return f"'{shown}' begins with a zero, so it looks like a code, not a number"
    if text.isascii() and text.lstrip("+-").isdigit():
        return f"'{shown}' has more digits than a double holds, so it looks like an identifier"
    if text.lower() in FLAGS:
        return f"'{shown}' is not a number; write 1 and 0"
    if re.fullmatch(r"[+-]?[0-9][0-9.]*,[0-9.,]*", text):
        return f"'{shown}' is not a number; write a decimal point, and no thousands separators"
    return f"'{shown}' is not a number"
