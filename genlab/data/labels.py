"""Derives class names from the values of a column, an array or a folder, orders them, and rejects missing ones."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from genlab.errors import UserError

MOST_CLASSES = 1000
# What spreadsheets, pandas and R write for a missing value; compared in lower case.
MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "#na", "nan", "-nan", "nat", "null", "none"))
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
CODE = re.compile(r"[+-]?0[0-9]")  # a leading zero: 01 and 1 may be two codes, but 1.0 and 1 are one number


def name_of(value: Any) -> str | None:
    """Returns the class name for a value: stripped text, 2.0 as `2`, or None if the value is missing."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)
    text = str(value).strip()
    return None if value is None or text.lower() in MISSING else text


def complete(file: Path, names: Sequence[str | None], column: str, where: Callable[[int], str]) -> list[str]:
    """Returns the names after checking that every row has one.

    Args:
        where: describes row `i`, counted from 0: "line 7".

    Raises:
        UserError: labels are missing; the message says where the first one is and counts the rest.
    """
    present = [name for name in names if name is not None]
    if len(present) < len(names):
        more = len(names) - len(present) - 1
        raise UserError(
            f"{file.name}: {where(names.index(None))}, column '{column}': the label is missing"
            f"{f' (and in {more} more rows)' if more else ''}; remove such rows, or name their class, "
            f"but not NA, nan, null or None"
        )
    return present


def ordered(names: Iterable[str]) -> list[str]:
    """Sorts names alphabetically, or by value if all are numbers."""
    names = sorted(names)
    return sorted(names, key=float) if all(map(NUMBER.fullmatch, names)) else names


def classes(
    file: Path, labels: list[str] | None, column: str, version: int = 2
) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """Returns class indices (N,) and the class names, see `ordered`; None and () without labels.

    Raises:
        UserError: there are too many labels to be classes, one is written in two ways, or a row has none.
    """
    if labels is None:
        return None, ()
    if "" in labels:
        raise UserError(f"{file.name}: column '{column}' is empty in row {labels.index('') + 1}")
    distinct = set(labels)
    if len(distinct) > MOST_CLASSES:
        raise UserError(
            f"{file.name}: column '{column}' has {len(distinct):,} different labels; at most {MOST_CLASSES:,} "
            f"classes are allowed"
        )
    names = ordered(distinct) if version > 1 else _first_rules(distinct)
    if version > 1:
        _check_spelling(file, names, column)
    number = {name: k for k, name in enumerate(names)}
    return torch.tensor([number[label] for label in labels]), tuple(names)


def _check_spelling(file: Path, names: list[str], column: str) -> None:
    """Rejects a number written in two ways, such as `1` and `1.0`, which would become two classes."""
    numbers = [name for name in names if NUMBER.fullmatch(name) and not CODE.match(name)]
    for a, b in pairwise(sorted(numbers, key=float)):
        if float(a) == float(b):
            raise UserError(f"{file.name}: column '{column}' has one class as '{a}' and as '{b}'; use one spelling")


def _first_rules(names: set[str]) -> list[str]:
    """Sorts names by the rules of version 1, which accepts everything that Python's float does as a number."""
    try:
        return sorted(sorted(names), key=float)
    except ValueError:
        return sorted(names)
