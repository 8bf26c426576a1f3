"""Decides what the attributes of nodes and edges in a file are: categories or numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genlab.data.csv_file import number
from genlab.data.files import pasted
from genlab.data.graphs.graph import Attribute
from genlab.data.labels import name_of, ordered
from genlab.errors import UserError

FEW = 20  # integers with at most so many different values are a category
MOST = 100  # labels of a category


def guessed(file: str, name: str, cells: Sequence[Any], where: Callable[[int], str]) -> Attribute:
    """Returns the attribute that these cells hold: a category, or numbers.

    Numbers with decimals, and integers of more than 20 different values, are numbers; all else is a category.

    Args:
        cells: text, or typed values: bool, int, float; None or "" where it is missing.
        where: the place of cell k, for messages: "node 3 of graph 1".

    Raises:
        UserError: a value is missing, or a category has more than 100 labels; the message names the place.
    """
    words = [name_of(cell) for cell in cells]
    if None in words:
        missing = sum(word is None for word in words)
        raise UserError(
            f"{file}: '{name}' is missing at {where(words.index(None))}"
            f"{f' (and {missing - 1:,} more places)' if missing > 1 else ''}; fill it in, or leave it out: "
            f"data.exclude=[{pasted(name)}]"
        )
    typed_float = any(isinstance(cell, float) for cell in cells)
    numbers = None if any(isinstance(cell, bool) for cell in cells) else [_number(cell) for cell in cells]
    if numbers is not None and None not in numbers:
        values = np.array(numbers, np.float64)
        whole = not typed_float and bool((values == np.round(values)).all())
        if not whole or len(np.unique(values)) > FEW:
            return Attribute(name, values)
    return category(file, name, [str(word) for word in words])


def category(file: str, name: str, words: Sequence[str]) -> Attribute:
    """Returns the category of these words.

    Raises:
        UserError: there are more than 100 different ones.
    """
    labels = ordered(set(words))
    if len(labels) > MOST:
        raise UserError(
            f"{file}: '{name}' has {len(labels):,} different words; a category has at most {MOST}; leave it out: "
            f"data.exclude=[{pasted(name)}]"
        )
    place = {word: k for k, word in enumerate(labels)}
    return Attribute(name, np.array([place[word] for word in words], np.int64), tuple(labels))


def _number(cell: Any) -> float | None:
    if isinstance(cell, str):
        return number(cell)
    return float(cell) if math.isfinite(cell) else None
