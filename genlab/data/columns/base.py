"""The columns of a table: how the values of each become channels of a sample, and how channels become values again.

Three forms of a column's values occur, the first two as tensors of the same width:

    x        (B, width) what a model sees: about N(0, 1) for numbers, one channel per word for categories
    units    (B, width) the same channels in the column's own units, which measures and pictures read
    text     what stands in a file: words, numbers with the source's decimals, dates in the source's format

Each kind of column is a class in a file of this folder. Columns are fitted on training rows and travel in checkpoints
as plain values, so a trained model writes its samples without the data.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlab.data.fields import Field


class Column(ABC):
    """One column of a table.

    Args:
        name: as in the file.
        missing: what stands for a missing value in the source, such as "" or "?"; None if no value is missing.
    """

    kind: ClassVar[str]  # the word for it in data.types

    def __init__(self, name: str, missing: str | None = None) -> None:
        self.name, self.missing = name, missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and self.state() == other.state()

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self.width))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, width={self.width})"

    @property
    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """What its channels mean; () for a column that is not learnt."""

    @property
    def width(self) -> int:
        """The number of its channels."""
        return sum(field.size for field in self.fields)

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint; `columns.of` reads them."""

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Column":
        """Reads what `state` wrote, without the kind."""
        return cls(**state)

    @abstractmethod
    def encode(self, units: Tensor, noise: Tensor | None = None) -> Tensor:
        """Converts units to what a model sees: (B, width) -> (B, width) float32.

        Args:
            noise: (B, 2) uniform numbers in [0, 1) that spread repeated values over the interval that stands for them;
                None puts each value in the middle of its interval.
        """

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Converts what a model sees to units, with legal values only: (B, width) -> (B, width) float64."""

    def scores(self, units: Tensor) -> Tensor:
        """Converts units to numbers in which distances make sense, whatever the encoding: (B, width), float32."""
        return self.encode(units)

    @abstractmethod
    def values(self, units: Tensor) -> Tensor:
        """One number for each row, NaN where it is missing: numbers, seconds, or the index of a word: (B,) float64."""

    @abstractmethod
    def units(self, values: np.ndarray) -> Tensor:
        """The inverse of `values`: (B,) -> (B, width) float64."""

    @abstractmethod
    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        """Returns what stands in a file for each row, in the source's format.

        Args:
            generator: for columns whose text is drawn, such as pooled rare words.
        """

    def description(self) -> str:
        """Returns a few words for the table that is printed at the start of a run."""
        return self.kind
