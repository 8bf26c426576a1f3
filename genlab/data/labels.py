"""Names of classes: from the values of a column, an array or a folder, in a sensible order, none of them missing."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from genlab.errors import UserError

MOST_CLASSES = 1000
# What spreadsheets, pandas and R write where there is no value; compared in small letters.
MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "#na", "nan", "-nan", "nat", "null", "none"))
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
CODE = re.compile(r"[+-]?0[0-9]")  # a leading zero: 01 and 1 may be two codes, where 1.0 and 1 are one number


def name_of(value: Any) -> str | None:
    """The name of the class that a value stands for: text without blanks around, 2.0 as `2`; None if it is missing."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)
    text = str(value).strip()
    return None if value is None or text.lower() in MISSING else text


def complete(file: Path, names: Sequence[str | None], column: str, where: Callable[[int], str]) -> list[str]:
    """The names, if there is one for each row.

    Args:
        where: says which row number `i` (from 0) is: "line 7".

    Raises:
        UserError: labels are missing: where the first of them is, and how many more.
    """
    found = [name for name in names if name is not None]
    if len(found) < len(names):
        more = len(names) - len(found) - 1
        raise UserError(
            f"{file.name}: {where(names.index(None))}, column '{column}': the label is missing"
            f"{f' (and in {more} more rows)' if more else ''}; remove such rows, or give the class a name "
            f"other than empty, NA, nan, null or None"
        )
    return found


def ordered(names: Iterable[str]) -> list[str]:
    """Names in alphabetical order; if all are numbers, by their values."""
    names = sorted(names)
    return sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names


def classes(
    file: Path, labels: list[str] | None, column: str, version: int = 2
) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """Class numbers (N,) and the names of the classes, in alphabetical order, numbers by size; None and () if none.

    Raises:
        UserError: there are so many that they can be no classes, one is written in two ways, or a row has none.
    """
    if labels is None:
        return None, ()
    if "" in labels:
        raise UserError(f"{file.name}: column '{column}' is empty in row {labels.index('') + 1}")
    found = set(labels)
    if len(found) > MOST_CLASSES:
        raise UserError(
            f"{file.name}: column '{column}' has {len(found):,} different labels; at most {MOST_CLASSES:,} classes are "
            f"allowed"
        )
    names = ordered(found) if version > 1 else _first_rules(found)
    if version > 1:
        _check_spelling(file, names, column)
    number = {name: k for k, name in enumerate(names)}
    return torch.tensor([number[each] for each in labels]), tuple(names)


def _check_spelling(file: Path, names: list[str], column: str) -> None:
    """Refuse one number written in two ways, `1` and `1.0`: it would become two classes."""
    numbers = [name for name in names if NUMBER.fullmatch(name) and not CODE.match(name)]
    for a, b in pairwise(sorted(numbers, key=float)):
        if float(a) == float(b):
            raise UserError(f"{file.name}: column '{column}' has one class as '{a}' and as '{b}'; write it one way")


def _first_rules(found: set[str]) -> list[str]:
    """The order of version 1, which takes all that Python's float does for a number."""
    try:
        return sorted(sorted(found), key=float)
    except ValueError:
        return sorted(found)
