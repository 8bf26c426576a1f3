"""Columns that are not learnt: constants, which are kept, and identifiers, which are numbered anew or left out."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlab.data.columns.base import Column
from genlab.data.fields import Field


class Fixed(Column):
    """Base of the columns without channels."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return ()

    def encode(self, units: Tensor, noise: Tensor | None = None) -> Tensor:
        return units.float()

    def decode(self, x: Tensor) -> Tensor:
        return x.double()

    def values(self, units: Tensor) -> Tensor:
        return torch.zeros(len(units), dtype=torch.float64, device=units.device)

    def units(self, values: np.ndarray) -> Tensor:
        return torch.zeros(len(values), 0, dtype=torch.float64)


class Constant(Fixed):
    """A column with one text in all rows.

    Args:
        cell: the text.
    """

    kind: ClassVar[str] = "constant"

    def __init__(self, name: str, cell: str | None, missing: str | None = None) -> None:
        super().__init__(name, missing)
        self.cell = cell

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "cell": self.cell, "missing": self.missing}

    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        return [self.cell] * len(units)

    def description(self) -> str:
        return f"constant '{self.cell}', kept as it is"


class Identifier(Fixed):
    """A column that numbers the rows: samples are numbered anew, in the form of the source.

    Args:
        start: the number of the first sample.
        prefix, suffix: around each number, as in ID00017.
        digits: that numbers are filled up to with zeros.
    """

    kind: ClassVar[str] = "id"

    def __init__(
        self,
        name: str,
        start: int = 1,
        missing: str | None = None,
        prefix: str = "",
        suffix: str = "",
        digits: int = 1,
    ) -> None:
        super().__init__(name, missing)
        self.start, self.prefix, self.suffix, self.digits = start, prefix, suffix, digits

    @property
    def plain(self) -> bool:
        """Whether its cells are plain numbers."""
        return not (self.prefix or self.suffix) and self.digits == 1

    def state(self) -> dict[str, Any]:
        form = {} if self.plain else {"prefix": self.prefix, "suffix": self.suffix, "digits": self.digits}
        return {"kind": self.kind, "name": self.name, "start": self.start, "missing": self.missing, **form}

    def text(self, units: Tensor, generator: torch.Generator) -> Sequence[Any]:
        return [self.cell(i) for i in range(len(units))]

    def cell(self, i: int) -> str:
        """The identifier of sample i."""
        return f"{self.prefix}{self.start + i:0{self.digits}d}{self.suffix}"

    def description(self) -> str:
        return f"id, not learnt; samples are numbered from {self.cell(0)}"
