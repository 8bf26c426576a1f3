"""Rows of a table as measures read them."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Rows of typed columns, one number for each cell."""

    values: np.ndarray  # (N, C) float64: numbers, moments or the index of a word; NaN where a number is missing
    names: tuple[str, ...]  # (C,)
    words: tuple[int, ...]  # (C,) how many words a column has; 0 for a column of numbers
    absent: tuple[int, ...] = ()  # (C,) the index of the word for a missing cell, -1 for none; (): no column has any

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> np.ndarray:
        """Which cells are missing: (N, C) bool."""
        gone = np.isnan(self.values)
        return gone | (self.values == np.array(self.absent)) if self.absent else gone

    def head(self, n: int) -> "Rows":
        """The first n rows."""
        return replace(self, values=self.values[:n])


def same_length(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """The first rows of both, as many of each.

    Raises:
        ValueError: they have different columns, or either has fewer than two rows.
    """
    if a.names != b.names:
        raise ValueError("the tables have different columns")
    n = min(len(a), len(b))
    if n < 2:
        raise ValueError(f"needs two rows at least on each side; there are {len(a)} and {len(b)}")
    return a.head(n), b.head(n)
